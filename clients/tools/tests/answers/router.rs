// SPDX-License-Identifier: AGPL-3.0-or-later
//! A router with a mesh behind it of somebody who answers all that is sent to them, and of some who send.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use ratman_wire::api::{
    Address, Arrived, AuthToken, AuxiliaryData, Bandwidth, ByteCount, Contact, Content, FromRouter,
    Letterhead, List, Microframe, MicroframeDecoder, News, Opened, OpenedStream, Page, PayloadLimit,
    Recipient, Reply, Request, RouteEntry, StreamId, StreamNews, Text, WallTime,
};

pub(crate) const OURS: Address = Address::from_bytes([0x11; 32]);
pub(crate) const THEIRS: Address = Address::from_bytes([0x22; 32]);

/// What the mesh does with the stream of this number, from 1 on.
pub(crate) type Answer = fn(u64, Vec<u8>) -> Vec<Vec<u8>>;

/// A stream that comes, or was sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stream {
    pub(crate) with: Address,
    pub(crate) content: Vec<u8>,
    pub(crate) data: AuxiliaryData,
}

#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) requests: Vec<Request>,
    pub(crate) sent: Vec<Stream>,
    pub(crate) taken: usize,
    /// What comes next.
    coming: VecDeque<Stream>,
    given: u8,
}

/// A router on a port of its own. Its threads end with the test.
#[derive(Clone)]
pub(crate) struct Router {
    pub(crate) address: SocketAddr,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    answer: Answer,
    news: News,
}

struct Client {
    router: Router,
    stream: TcpStream,
    decoder: MicroframeDecoder,
    come: Vec<u8>,
}

/// The client left.
struct Gone;

impl Router {
    pub(crate) fn new(answer: Answer, news: News) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let router = Self { address, heard: Arc::default(), answer, news };
        let ours = router.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let decoder = MicroframeDecoder::new(PayloadLimit::REQUEST);
                let client = Client { router: ours.clone(), stream, decoder, come: Vec::new() };
                thread::spawn(move || client.serve());
            }
        });
        router
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.0.lock().unwrap()
    }

    /// Has something come from the mesh.
    pub(crate) fn bring(&self, stream: Stream) {
        self.heard().coming.push_back(stream);
        self.heard.1.notify_all();
    }

    /// Waits until something is so.
    pub(crate) fn wait_until(&self, is_so: impl Fn(&Heard) -> bool) {
        let limit = std::time::Duration::from_secs(20);
        let waiting = self.heard.1.wait_timeout_while(self.heard(), limit, |heard| !is_so(heard));
        assert!(!waiting.unwrap().1.timed_out(), "it does not happen");
    }
}

impl Client {
    fn serve(mut self) {
        while let Ok(frame) = self.hear() {
            let request = Request::decode(&frame).unwrap();
            self.router.heard().requests.push(request.clone());
            self.router.heard.1.notify_all();
            let done = match request {
                Request::StreamCreate(new) => self.take(new.to[0], new.auxiliary_data),
                Request::StreamReceive(_) => self.give(),
                Request::AddressCreate(_) => {
                    self.say(Reply::AddressCreated { address: OURS, token: AuthToken::from_bytes([7; 32]) })
                }
                Request::RouterQuery(_) => {
                    self.say(Reply::Error(ratman_wire::api::ClientError::NotSupported))
                }
                Request::RouteQuery(_) => self.say(Reply::RoutePage(page([route()]))),
                Request::ContactQuery(_) => self.say(Reply::ContactPage(page([contact()]))),
                Request::FilterList(_) => self.say(Reply::FilterPage(page([]))),
                Request::FilterAdd(_) => self.say(Reply::FilterAdded(1)),
                _ => self.say(Reply::Ok),
            };
            if done.is_err() {
                return;
            }
        }
    }

    fn hear(&mut self) -> Result<Microframe, Gone> {
        loop {
            let mut rest = &self.come[..];
            let frame = self.decoder.decode(&mut rest).unwrap();
            let used = self.come.len() - rest.len();
            self.come.drain(..used);
            if let Some(frame) = frame {
                return Ok(frame);
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) | Err(_) => return Err(Gone),
                Ok(length) => self.come.extend_from_slice(&piece[..length]),
            }
        }
    }

    fn write(&mut self, frame: &Microframe) -> Result<(), Gone> {
        self.stream.write_all(&frame.encode()).map_err(|_| Gone)
    }

    fn say(&mut self, reply: Reply) -> Result<(), Gone> {
        self.write(&reply.to_frame(None))
    }

    /// Takes a stream for the mesh, which answers.
    fn take(&mut self, to: Recipient, data: AuxiliaryData) -> Result<(), Gone> {
        let stream = OpenedStream { to, stream: StreamId::from_bytes([0x3F; 32]) };
        self.say(Reply::Opened(Opened {
            streams: [stream.clone()].into_iter().collect(),
            offset: ByteCount(0),
        }))?;
        let mut content = Vec::new();
        loop {
            match Request::decode(&self.hear()?).unwrap() {
                Request::Content(piece) => content.extend_from_slice(piece.as_bytes()),
                Request::End(_) => break,
                other => panic!("{other:?} within content"),
            }
        }
        let Recipient::Address(with) = to else { panic!("to a namespace") };
        {
            let mut heard = self.router.heard();
            heard.sent.push(Stream { with, content: content.clone(), data });
            let number = heard.sent.len().try_into().unwrap();
            let answers = (self.router.answer)(number, content);
            let answers =
                answers.into_iter().map(|content| Stream { with, content, data: AuxiliaryData::default() });
            heard.coming.extend(answers);
        }
        self.router.heard.1.notify_all();
        self.say(Reply::News(StreamNews { stream: stream.clone(), news: News::Accepted }))?;
        let news = self.router.news.clone();
        self.say(Reply::News(StreamNews { stream, news }))
    }

    /// Gives what comes, each once it is said that the one before was taken.
    fn give(&mut self) -> Result<(), Gone> {
        loop {
            let coming = self.router.heard.1.wait_while(self.router.heard(), |heard| heard.coming.is_empty());
            let mut heard = coming.unwrap();
            let Some(stream) = heard.coming.pop_front() else { continue };
            heard.given += 1;
            let id = StreamId::from_bytes([heard.given; 32]);
            drop(heard);
            let letterhead = Letterhead {
                from: stream.with,
                to: Recipient::Address(OURS),
                stream_size: ByteCount(stream.content.len().try_into().unwrap()),
                auxiliary_data: stream.data.clone(),
            };
            let (created, offset) = (WallTime::from_micros(5), ByteCount(0));
            self.say(Reply::Arrived(Box::new(Arrived { letterhead, stream: id, created, offset })))?;
            self.write(&FromRouter::Content(Content::new(stream.content).unwrap()).to_frame(None))?;
            self.write(&FromRouter::End.to_frame(None))?;
            match Request::decode(&self.hear()?).unwrap() {
                Request::Taken(_) => self.router.heard().taken += 1,
                other => panic!("{other:?} instead of whether it was taken"),
            }
            self.say(Reply::Taken)?;
            self.router.heard.1.notify_all();
        }
    }
}

fn page<T, const N: usize>(entries: [T; N]) -> Page<T> {
    Page { entries: entries.into_iter().collect(), next: List::default() }
}

fn contact() -> Contact {
    Contact { address: THEIRS, name: Some(Text::of("ann")), configured: false, trust: None }
}

fn route() -> RouteEntry {
    RouteEntry {
        address: THEIRS,
        overlay: "fd00::1".parse().unwrap(),
        local: false,
        live: true,
        next_hop: None,
        hops: Some(2),
        ping: None,
        mtu: None,
        bandwidth: Bandwidth::UNKNOWN,
        reason: Text::of("the only route"),
    }
}
