// SPDX-License-Identifier: AGPL-3.0-or-later
//! A router that knows one of everything, and says so by the codec of the protocol.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use irdest_scripted_router::{Client, Gone, listen};
use ratman_wire::api::{
    Address, AddressName, AnycastReply, Arrived, AuthToken, AuxiliaryData, Bandwidth, ByteCount, Capacity,
    ClientError, Contact, Content, DateTime, FilterAction, FilterEntry, FilterRule, FromRouter, KnownPeer,
    Letterhead, LinkEntry, LinkState, List, LocalAddress, LocalNamespace, Mtu, Namespace, News, NextHop,
    Opened, OpenedStream, Page, Progress, Recipient, Refusal, RefusalReason, Reply, Request, RouteEntry,
    RouterFigures, RouterId, Senders, Stage, StreamEntry, StreamId, StreamKey, StreamNews, SubscriptionId,
    Text, WallTime,
};

pub(crate) const OURS: Address = Address::from_bytes([0x11; 32]);
pub(crate) const THEIRS: Address = Address::from_bytes([0x22; 32]);
pub(crate) const OTHERS: Address = Address::from_bytes([0x33; 32]);
pub(crate) const SPACE: Namespace = Namespace::from_bytes([0x44; 32]);
pub(crate) const TOKEN: [u8; 32] = [7; 32];
const STREAM: StreamId = StreamId::from_bytes([0x3F; 32]);

/// How this router is different from a friendly one.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    /// What becomes of what is sent to an address, after it was accepted.
    pub(crate) news: Vec<News>,
    /// How many streams are here.
    pub(crate) streams: usize,
    /// Which token it takes.
    pub(crate) token: [u8; 32],
    /// Whether whoever asks is an operator.
    pub(crate) is_operator: bool,
    /// After how many bytes of a stream it is gone.
    pub(crate) breaks_after: Option<usize>,
    /// How much it has of a stream that is resumed; nothing if it keeps none.
    pub(crate) kept: Option<usize>,
    /// Whether it gives half of a stream and then nothing.
    pub(crate) stalls: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            news: vec![News::Delivered],
            streams: 2,
            token: TOKEN,
            is_operator: true,
            breaks_after: None,
            kept: None,
            stalls: false,
        }
    }
}

/// What was asked for, and what was sent.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) requests: Vec<Request>,
    pub(crate) content: Vec<u8>,
    pub(crate) taken: usize,
}

/// A router on a port of its own. Its threads end with the test.
pub(crate) struct Router {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
}

impl Router {
    pub(crate) fn new(manner: Manner) -> Self {
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let ours = Arc::clone(&heard);
        let serve = move |client| {
            let (manner, heard) = (manner.clone(), Arc::clone(&ours));
            Connection { client, manner, heard }.serve()
        };
        Self { address: listen(serve), heard }
    }

    /// What it heard so far.
    pub(crate) fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap()
    }
}

struct Connection {
    client: Client,
    manner: Manner,
    heard: Arc<Mutex<Heard>>,
}

impl Connection {
    fn serve(mut self) -> Gone {
        loop {
            if let Err(gone) = self.serve_one() {
                return gone;
            }
        }
    }

    fn serve_one(&mut self) -> Result<(), Gone> {
        let frame = self.client.hear()?;
        let request = Request::decode(&frame).unwrap();
        self.heard.lock().unwrap().requests.push(request.clone());
        let is_known = frame.auth.as_ref().is_none_or(|auth| *auth.as_bytes() == self.manner.token);
        match request {
            _ if !is_known => self.client.say(Reply::Error(ClientError::InvalidAuth)),
            Request::StreamCreate(new) => self.take(new.to.to_vec(), 0),
            Request::StreamResume(resumed) => match self.manner.kept {
                Some(kept) => self.take(resumed.streams.iter().map(|stream| stream.to).collect(), kept),
                None => self.client.say(refused(RefusalReason::NotFound)),
            },
            Request::StreamReceive(receive) => {
                let limit = receive.limit.map_or(usize::MAX, |limit| limit.get().try_into().unwrap());
                let from = receive.resume.map_or(0, |resume| resume.offset.0.try_into().unwrap());
                self.give(limit, from, receive.wait)
            }
            Request::AddressCreate(new) => self.create(new.name),
            other => {
                let reply = self.answer(other);
                self.client.say(reply)
            }
        }
    }

    fn create(&mut self, name: Option<AddressName>) -> Result<(), Gone> {
        assert!(name.is_none_or(|name| !name.as_str().is_empty()));
        let token = AuthToken::from_bytes(self.manner.token);
        self.client.say(Reply::AddressCreated { address: OURS, token })
    }

    /// Takes a stream, and tells what becomes of it.
    fn take(&mut self, to: Vec<Recipient>, offset: usize) -> Result<(), Gone> {
        let stream = |to: &Recipient| OpenedStream { to: *to, stream: STREAM };
        let streams: List<_, 1024> = to.iter().map(stream).collect();
        self.client.say(Reply::Opened(Opened { streams, offset: ByteCount(offset.try_into().unwrap()) }))?;
        self.heard.lock().unwrap().content.truncate(offset);
        loop {
            match self.client.hear_request()? {
                Request::Content(piece) => {
                    let mut heard = self.heard.lock().unwrap();
                    heard.content.extend_from_slice(piece.as_bytes());
                    if self.manner.breaks_after.is_some_and(|limit| heard.content.len() >= limit) {
                        return Err(Gone);
                    }
                }
                Request::End(_) => break,
                cancel @ Request::Cancel(_) => {
                    self.heard.lock().unwrap().requests.push(cancel);
                    return self.client.say(Reply::Ok);
                }
                other => panic!("{other:?} within content"),
            }
        }
        for recipient in &to {
            self.tell(recipient, News::Accepted)?;
        }
        for recipient in &to {
            let news = match recipient {
                Recipient::Namespace(_) => vec![News::Published],
                Recipient::Address(_) => self.manner.news.clone(),
            };
            news.into_iter().try_for_each(|news| self.tell(recipient, news))?;
        }
        Ok(())
    }

    fn tell(&mut self, to: &Recipient, news: News) -> Result<(), Gone> {
        self.client.say(Reply::News(StreamNews { stream: OpenedStream { to: *to, stream: STREAM }, news }))
    }

    /// Gives streams, each once it is said that the one before was taken.
    fn give(&mut self, limit: usize, mut offset: usize, wait: bool) -> Result<(), Gone> {
        let here = self.manner.streams.saturating_sub(self.heard.lock().unwrap().taken);
        for _ in 0..here.min(limit) {
            let content = &b"hello\n"[offset..];
            let data = AuxiliaryData::new([(c"name", c"hello.txt")]).unwrap();
            let letterhead = Letterhead {
                from: THEIRS,
                to: Recipient::Address(OURS),
                stream_size: ByteCount(6),
                auxiliary_data: data,
            };
            let (created, at) = (WallTime::from_micros(5_000_000), ByteCount(offset.try_into().unwrap()));
            self.client.say(Reply::Arrived(Box::new(Arrived {
                letterhead,
                stream: STREAM,
                created,
                offset: at,
            })))?;
            offset = 0;
            let given = if self.manner.stalls { &content[..3] } else { content };
            self.client.write(&FromRouter::Content(Content::new(given.to_vec()).unwrap()).to_frame(None))?;
            if !self.manner.stalls {
                self.client.write(&FromRouter::End.to_frame(None))?;
            }
            match self.client.hear_request()? {
                Request::Taken(_) => {
                    self.heard.lock().unwrap().taken += 1;
                    self.client.say(Reply::Taken)?;
                }
                Request::Cancel(_) => return self.client.say(Reply::Ok),
                other => panic!("{other:?} instead of whether it was taken"),
            }
        }
        if here < limit && !wait {
            return self.client.say(Reply::NoStream);
        }
        Ok(())
    }

    fn answer(&self, request: Request) -> Reply {
        match request {
            Request::ContactAdd(_) | Request::ContactList(_) | Request::ContactQuery(_)
                if !self.manner.is_operator =>
            {
                refused(RefusalReason::OperatorOnly)
            }
            Request::RouterQuery(_) => Reply::Error(ClientError::NotSupported),
            Request::Status(_) => Reply::Status(RouterFigures {
                known_peers: 1,
                local_addresses: 2,
                active_auths: 3,
                collector_workers: 4,
            }),
            Request::AddressList(_) => Reply::Addresses([OURS, OTHERS].into_iter().collect()),
            Request::AddressQuery(_) => {
                let entry = |address| LocalAddress { address, up: address == OURS, damage: None };
                Reply::AddressPage(page([OURS, OTHERS].map(entry)))
            }
            Request::ContactList(_) | Request::ContactQuery(_) => Reply::ContactPage(page([contact()])),
            Request::LinkList(_) | Request::LinkQuery(_) => Reply::LinkPage(page([link()])),
            Request::PeerList(_) => {
                let time = DateTime::from(WallTime::from_micros(5_000_000));
                let peer = KnownPeer { address: THEIRS, first: time, last: time, active: true };
                Reply::PeerList([peer].into_iter().collect())
            }
            Request::PeerQuery(_) => Reply::PeerPage(page([])),
            Request::RouteList(_) | Request::RouteQuery(_) => Reply::RoutePage(page([route()])),
            Request::FilterAdd(_) => Reply::FilterAdded(3),
            Request::FilterList(_) => Reply::FilterPage(page([filter()])),
            Request::StreamQuery(_) => Reply::StreamPage(page([stream()])),
            Request::StreamStatus(key) => {
                let stream = OpenedStream { to: key.to, stream: key.stream };
                Reply::News(StreamNews { stream, news: News::Stored })
            }
            Request::SubscriptionList(_) => {
                Reply::Subscriptions([SubscriptionId::from_bytes([5; 32])].into_iter().collect())
            }
            Request::NamespaceList(_) => {
                Reply::NamespacePage(page([LocalNamespace { namespace: SPACE, up: true }]))
            }
            Request::Anycast(_) => {
                let after = Duration::from_millis(12);
                Reply::Anycast([AnycastReply { address: THEIRS, after }].into_iter().collect())
            }
            _ => Reply::Ok,
        }
    }
}

fn page<T, const N: usize>(entries: [T; N]) -> Page<T> {
    Page { entries: entries.into_iter().collect(), next: List::default() }
}

fn refused(reason: RefusalReason) -> Reply {
    Reply::Refused(Refusal { reason, detail: Text::of("as the test has it") })
}

fn contact() -> Contact {
    Contact { address: THEIRS, name: Some(Text::of("ann")), configured: false, trust: Some(5) }
}

fn link() -> LinkEntry {
    LinkEntry {
        link: 1,
        netmod: Text::of("inet"),
        neighbour: RouterId::from_bytes([0x55; 32]),
        local: Text::of("192.0.2.2:40000"),
        remote: Text::of("192.0.2.1:5860"),
        interface: None,
        dialed: true,
        state: LinkState::Live,
        up: Duration::from_secs(61),
        mtu: Mtu(1300),
        round_trip: Some(Duration::from_micros(1500)),
        loaded_round_trip: None,
        clock_offset_us: None,
        capacity: Capacity::AtLeast(Bandwidth::from_bytes_per_second(100_000)),
        loss_per_million: Some(1234),
        sent: None,
        received: None,
        queued: ByteCount(0),
        dropped_frames: 0,
        cost: None,
    }
}

fn route() -> RouteEntry {
    RouteEntry {
        address: THEIRS,
        overlay: "fd00::1".parse().unwrap(),
        local: false,
        live: true,
        next_hop: Some(NextHop { link: 1, neighbour: RouterId::from_bytes([0x55; 32]) }),
        hops: Some(2),
        ping: Some(Duration::from_micros(1500)),
        mtu: Some(Mtu(1300)),
        bandwidth: Bandwidth::UNKNOWN,
        reason: Text::of("the only route"),
    }
}

fn filter() -> FilterEntry {
    let rule = FilterRule {
        from: Senders::Anybody,
        at_least: Some(ByteCount(100_000_000)),
        action: FilterAction::Deny,
    };
    FilterEntry { filter: 2, rule }
}

fn stream() -> StreamEntry {
    let mut id = [0; 32];
    id.as_chunks_mut::<2>().0.fill([0x3F, 0xA1]);
    StreamEntry {
        stream: StreamKey { from: OURS, to: Recipient::Address(THEIRS), stream: StreamId::from_bytes(id) },
        stage: Stage::Sending,
        size: Some(ByteCount(20_000)),
        progress: Progress { arrived: ByteCount(5), in_all: Some(ByteCount(10)) },
        end: WallTime::from_micros(1_700_000_000_000_000),
    }
}
