// SPDX-License-Identifier: AGPL-3.0-or-later
//! A router with a mesh behind it of somebody who answers all that is sent to them, and of some who send.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use irdest_scripted_router::{Client, Gone, listen};
use ratman_wire::api::{
    Address, AuthToken, AuxiliaryData, Bandwidth, ByteCount, ClientError, Contact, Letterhead, List, News,
    Opened, OpenedStream, Page, Recipient, Reply, Request, RouteEntry, StreamId, StreamNews, Text,
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
pub(crate) struct Router {
    pub(crate) address: SocketAddr,
    mesh: Mesh,
}

/// What is behind it.
#[derive(Clone)]
struct Mesh {
    heard: Arc<(Mutex<Heard>, Condvar)>,
    answer: Answer,
    news: News,
}

struct Connection {
    mesh: Mesh,
    client: Client,
}

impl Router {
    pub(crate) fn new(answer: Answer, news: News) -> Self {
        let mesh = Mesh { heard: Arc::default(), answer, news };
        let ours = mesh.clone();
        let address = listen(move |client| Connection { mesh: ours.clone(), client }.serve());
        Self { address, mesh }
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.mesh.heard()
    }

    /// Has something come from the mesh.
    pub(crate) fn bring(&self, stream: Stream) {
        self.heard().coming.push_back(stream);
        self.mesh.heard.1.notify_all();
    }

    /// Waits until something is so.
    pub(crate) fn wait_until(&self, is_so: impl Fn(&Heard) -> bool) {
        let limit = std::time::Duration::from_secs(20);
        let waiting = self.mesh.heard.1.wait_timeout_while(self.heard(), limit, |heard| !is_so(heard));
        assert!(!waiting.unwrap().1.timed_out(), "it does not happen");
    }
}

impl Mesh {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.0.lock().unwrap()
    }
}

impl Connection {
    fn serve(mut self) -> Gone {
        loop {
            if let Err(gone) = self.answer() {
                return gone;
            }
        }
    }

    fn answer(&mut self) -> Result<(), Gone> {
        let request = self.client.hear_request()?;
        self.mesh.heard().requests.push(request.clone());
        self.mesh.heard.1.notify_all();
        let reply = match request {
            Request::StreamCreate(new) => return self.take(new.to[0], new.auxiliary_data),
            Request::StreamReceive(_) => return self.give(),
            Request::AddressCreate(_) => {
                Reply::AddressCreated { address: OURS, token: AuthToken::from_bytes([7; 32]) }
            }
            Request::RouterQuery(_) => Reply::Error(ClientError::NotSupported),
            Request::RouteQuery(_) => Reply::RoutePage(page([route()])),
            Request::ContactQuery(_) => Reply::ContactPage(page([contact()])),
            Request::FilterList(_) => Reply::FilterPage(page([])),
            Request::FilterAdd(_) => Reply::FilterAdded(1),
            _ => Reply::Ok,
        };
        self.client.say(reply)
    }

    /// Takes a stream for the mesh, which answers.
    fn take(&mut self, to: Recipient, data: AuxiliaryData) -> Result<(), Gone> {
        let stream = OpenedStream { to, stream: StreamId::from_bytes([0x3F; 32]) };
        let streams = [stream.clone()].into_iter().collect();
        let content = self.client.take_content(Opened { streams, offset: ByteCount(0) })?;
        let Recipient::Address(with) = to else { panic!("to a namespace") };
        {
            let mut heard = self.mesh.heard();
            heard.sent.push(Stream { with, content: content.clone(), data });
            let number = heard.sent.len().try_into().unwrap();
            let answers = (self.mesh.answer)(number, content);
            let answers =
                answers.into_iter().map(|content| Stream { with, content, data: AuxiliaryData::default() });
            heard.coming.extend(answers);
        }
        self.mesh.heard.1.notify_all();
        self.client.say(Reply::News(StreamNews { stream: stream.clone(), news: News::Accepted }))?;
        let news = self.mesh.news.clone();
        self.client.say(Reply::News(StreamNews { stream, news }))
    }

    /// Gives what comes, each once it is said that the one before was taken.
    fn give(&mut self) -> Result<(), Gone> {
        loop {
            let coming = self.mesh.heard.1.wait_while(self.mesh.heard(), |heard| heard.coming.is_empty());
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
            self.client.give(letterhead, id, stream.content)?;
            self.mesh.heard().taken += 1;
            self.client.say(Reply::Taken)?;
            self.mesh.heard.1.notify_all();
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
