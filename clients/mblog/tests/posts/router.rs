// SPDX-License-Identifier: AGPL-3.0-or-later
//! A router that has streams for a namespace, and keeps what is sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use irdest_scripted_router::{Client, Gone, listen};
use ratman_wire::api::{
    Address, AuxiliaryData, ByteCount, ClientError, Letterhead, News, Opened, OpenedStream, Recipient, Reply,
    Request, StreamId, StreamNews,
};

/// What was asked for, what was sent, and what waits.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) requests: Vec<Request>,
    pub(crate) sent: Vec<(Recipient, Vec<u8>)>,
    pub(crate) taken: Vec<u8>,
    /// The number and content of each.
    pub(crate) waiting: Vec<(u8, Vec<u8>)>,
}

/// A router on a port of its own. Its threads end with the test.
pub(crate) struct Router {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
}

struct Connection {
    client: Client,
    heard: Arc<Mutex<Heard>>,
}

impl Router {
    pub(crate) fn new() -> Self {
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let ours = Arc::clone(&heard);
        let address = listen(move |client| Connection { client, heard: Arc::clone(&ours) }.serve());
        Self { address, heard }
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap()
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
        self.heard.lock().unwrap().requests.push(request.clone());
        match request {
            Request::StreamCreate(new) => self.take(new.to[0]),
            Request::StreamReceive(receive) => self.give(receive.to.unwrap(), receive.wait),
            Request::RouterQuery(_) => self.client.say(Reply::Error(ClientError::NotSupported)),
            _ => self.client.say(Reply::Ok),
        }
    }

    fn take(&mut self, to: Recipient) -> Result<(), Gone> {
        let number = 0x3F + u8::try_from(self.heard.lock().unwrap().sent.len()).unwrap();
        let stream = OpenedStream { to, stream: StreamId::from_bytes([number; 32]) };
        let streams = [stream.clone()].into_iter().collect();
        let content = self.client.take_content(Opened { streams, offset: ByteCount(0) })?;
        self.heard.lock().unwrap().sent.push((to, content));
        self.client.say(Reply::News(StreamNews { stream: stream.clone(), news: News::Accepted }))?;
        self.client.say(Reply::News(StreamNews { stream, news: News::Published }))
    }

    fn give(&mut self, to: Recipient, wait: bool) -> Result<(), Gone> {
        let waiting = std::mem::take(&mut self.heard.lock().unwrap().waiting);
        for (number, content) in waiting {
            let letterhead = Letterhead {
                from: Address::from_bytes([0x22; 32]),
                to,
                stream_size: ByteCount(content.len().try_into().unwrap()),
                auxiliary_data: AuxiliaryData::default(),
            };
            let stream = StreamId::from_bytes([number; 32]);
            self.client.give(letterhead, stream, content)?;
            self.heard.lock().unwrap().taken.push(number);
            self.client.say(Reply::Taken)?;
        }
        if wait {
            // Nothing comes any more.
            return self.client.hear().map(drop).and(Err(Gone));
        }
        self.client.say(Reply::NoStream)
    }
}
