// SPDX-License-Identifier: AGPL-3.0-or-later
//! A router that does what a test says, by the codec of the protocol.

use std::time::Duration;

use ratman_client::types::{
    Address, AuthToken, AuxiliaryData, ByteCount, Letterhead, News, OpenedStream, Recipient, StreamId,
    WallTime,
};
use ratman_client::{RatmanIpc, Timeouts};
use ratman_wire::api::{
    ApiVersion, Arrived, ClientError, Content, FromRouter, MicroframeDecoder, Opened, PayloadLimit, Reply,
    Request, StreamHeader, StreamNews, StreamWay,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The address of the client, and its token.
pub(crate) const OURS: Address = Address::from_bytes([1; 32]);
pub(crate) const THEIRS: Address = Address::from_bytes([2; 32]);

pub(crate) fn token() -> AuthToken {
    AuthToken::from_bytes([7; 32])
}

pub(crate) fn to(address: Address) -> Recipient {
    Recipient::Address(address)
}

/// A test that takes longer hangs.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it hangs")
}

/// Where the router listens.
pub(crate) struct Router {
    listener: TcpListener,
}

impl Router {
    pub(crate) async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// A connection on which nothing was said.
    pub(crate) async fn accept(&self) -> Peer<TcpStream> {
        let (stream, _) = self.listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        Peer::new(stream)
    }

    /// A connection on which both versions were said.
    pub(crate) async fn greet(&self) -> Peer<TcpStream> {
        let mut peer = self.accept().await;
        peer.greet().await;
        peer
    }

    /// The first connection of a client, which asks what the router is.
    pub(crate) async fn first(&self) -> Peer<TcpStream> {
        let mut peer = self.greet().await;
        peer.tell_nothing().await;
        peer
    }

    /// Whether nobody connected.
    pub(crate) async fn is_left_alone(&self) -> bool {
        let soon = Duration::from_millis(50);
        tokio::time::timeout(soon, self.listener.accept()).await.is_err()
    }
}

/// A client that started, its router, and the connection that it made for that.
pub(crate) async fn started() -> (Router, RatmanIpc, Peer<TcpStream>) {
    started_with(Timeouts::default()).await
}

pub(crate) async fn started_with(timeouts: Timeouts) -> (Router, RatmanIpc, Peer<TcpStream>) {
    let router = Router::new().await;
    let starting = RatmanIpc::start_with(router.address().into(), timeouts);
    let (ipc, peer) = soon(async { tokio::join!(starting, router.first()) }).await;
    (router, ipc.unwrap(), peer)
}

/// The router's end of a connection.
pub(crate) struct Peer<S> {
    stream: S,
    decoder: MicroframeDecoder,
    come: Vec<u8>,
    /// Whether each byte is sent by itself.
    pub(crate) is_slow: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn new(stream: S) -> Self {
        let decoder = MicroframeDecoder::new(PayloadLimit::REQUEST);
        Self { stream, decoder, come: Vec::new(), is_slow: false }
    }

    pub(crate) async fn greet(&mut self) {
        assert_eq!(self.hear().await, Request::Connect(ApiVersion::OURS));
        self.say(Reply::Ok).await;
    }

    /// To the question what the router is: it knows the question.
    pub(crate) async fn tell_nothing(&mut self) {
        assert!(matches!(self.hear().await, Request::RouterQuery(_)));
        self.say(Reply::Error(ClientError::NotSupported)).await;
    }

    /// The next request, with its token; nothing where the client left.
    pub(crate) async fn try_hear(&mut self) -> Option<(Request, Option<AuthToken>)> {
        loop {
            let mut rest = &self.come[..];
            let frame = self.decoder.decode(&mut rest).unwrap();
            let used = self.come.len() - rest.len();
            self.come.drain(..used);
            if let Some(frame) = frame {
                return Some((Request::decode(&frame).unwrap(), frame.auth));
            }
            match self.stream.read_buf(&mut self.come).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    pub(crate) async fn hear(&mut self) -> Request {
        self.try_hear().await.expect("the client left").0
    }

    /// A request that has the token.
    pub(crate) async fn hear_ours(&mut self) -> Request {
        let (request, auth) = self.try_hear().await.expect("the client left");
        assert_eq!(auth, Some(token()), "{request:?}");
        request
    }

    /// The content up to its end.
    pub(crate) async fn hear_content(&mut self) -> Vec<u8> {
        let mut content = Vec::new();
        loop {
            match self.hear().await {
                Request::Content(piece) => content.extend_from_slice(piece.as_bytes()),
                Request::End(_) => return content,
                other => panic!("{other:?} within content"),
            }
        }
    }

    pub(crate) async fn is_gone(&mut self) -> bool {
        self.try_hear().await.is_none()
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let pieces = if self.is_slow { 1 } else { bytes.len().max(1) };
        for piece in bytes.chunks(pieces) {
            self.stream.write_all(piece).await.unwrap();
            self.stream.flush().await.unwrap();
            if self.is_slow {
                tokio::task::yield_now().await;
            }
        }
    }

    pub(crate) async fn say(&mut self, reply: Reply) {
        self.write(&reply.to_frame(None).encode()).await;
    }

    pub(crate) async fn give(&mut self, content: &[u8]) {
        let piece = FromRouter::Content(Content::new(content.to_vec()).unwrap());
        self.write(&piece.to_frame(None).encode()).await;
    }

    pub(crate) async fn end(&mut self) {
        self.write(&FromRouter::End.to_frame(None).encode()).await;
    }

    /// A whole stream our way.
    pub(crate) async fn bring(&mut self, id: u8, content: &[u8]) {
        self.say(arrived(id, content.len(), 0)).await;
        if !content.is_empty() {
            self.give(content).await;
        }
        self.end().await;
    }

    /// The client says that it has it.
    pub(crate) async fn is_taken(&mut self) {
        assert!(matches!(self.hear().await, Request::Taken(_)));
        self.say(Reply::Taken).await;
    }

    /// A stream of a subscription, up to `length` bytes of its content.
    pub(crate) async fn publish(&mut self, content: &[u8], length: usize) {
        let header = StreamHeader { way: StreamWay::Subscription, letterhead: letterhead(content.len()) };
        self.write(&header.to_frame(Some(&token())).encode()).await;
        self.write(&content[..length]).await;
    }

    pub(crate) async fn news(&mut self, to: Address, news: News) {
        self.say(Reply::News(StreamNews { stream: stream_to(to), news })).await;
    }
}

pub(crate) fn letterhead(size: usize) -> Letterhead {
    Letterhead {
        from: THEIRS,
        to: to(OURS),
        stream_size: ByteCount(size.try_into().unwrap()),
        auxiliary_data: AuxiliaryData::default(),
    }
}

pub(crate) fn arrived(id: u8, size: usize, offset: u64) -> Reply {
    Reply::Arrived(Box::new(Arrived {
        letterhead: letterhead(size),
        stream: StreamId::from_bytes([id; 32]),
        created: WallTime::from_micros(5),
        offset: ByteCount(offset),
    }))
}

pub(crate) fn stream_to(address: Address) -> OpenedStream {
    OpenedStream { to: to(address), stream: StreamId::from_bytes(*address.as_bytes()) }
}

pub(crate) fn opened(recipients: &[Address], offset: u64) -> Reply {
    let streams = recipients.iter().copied().map(stream_to).collect();
    Reply::Opened(Opened { streams, offset: ByteCount(offset) })
}
