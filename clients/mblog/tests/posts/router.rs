// SPDX-License-Identifier: AGPL-3.0-or-later
//! A router that has streams for a namespace, and keeps what is sent.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use ratman_wire::api::{
    Address, Arrived, AuxiliaryData, ByteCount, ClientError, Content, FromRouter, Letterhead, Microframe,
    MicroframeDecoder, News, Opened, OpenedStream, PayloadLimit, Recipient, Reply, Request, StreamId,
    StreamNews, WallTime,
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

struct Client {
    stream: TcpStream,
    decoder: MicroframeDecoder,
    come: Vec<u8>,
    heard: Arc<Mutex<Heard>>,
}

/// The client left.
struct Gone;

impl Router {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let ours = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let decoder = MicroframeDecoder::new(PayloadLimit::REQUEST);
                let client = Client { stream, decoder, come: Vec::new(), heard: Arc::clone(&ours) };
                thread::spawn(move || client.serve());
            }
        });
        Self { address, heard }
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap()
    }
}

impl Client {
    fn serve(mut self) {
        while let Ok(frame) = self.hear() {
            let request = Request::decode(&frame).unwrap();
            self.heard.lock().unwrap().requests.push(request.clone());
            let done = match request {
                Request::StreamCreate(new) => self.take(new.to[0]),
                Request::StreamReceive(receive) => self.give(receive.to.unwrap(), receive.wait),
                Request::RouterQuery(_) => self.say(Reply::Error(ClientError::NotSupported)),
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

    fn take(&mut self, to: Recipient) -> Result<(), Gone> {
        let number = 0x3F + u8::try_from(self.heard.lock().unwrap().sent.len()).unwrap();
        let stream = OpenedStream { to, stream: StreamId::from_bytes([number; 32]) };
        let streams = [stream.clone()].into_iter().collect();
        self.say(Reply::Opened(Opened { streams, offset: ByteCount(0) }))?;
        let mut content = Vec::new();
        loop {
            match Request::decode(&self.hear()?).unwrap() {
                Request::Content(piece) => content.extend_from_slice(piece.as_bytes()),
                Request::End(_) => break,
                other => panic!("{other:?} within content"),
            }
        }
        self.heard.lock().unwrap().sent.push((to, content));
        self.say(Reply::News(StreamNews { stream: stream.clone(), news: News::Accepted }))?;
        self.say(Reply::News(StreamNews { stream, news: News::Published }))
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
            let (created, offset) = (WallTime::from_micros(5), ByteCount(0));
            self.say(Reply::Arrived(Box::new(Arrived { letterhead, stream, created, offset })))?;
            self.write(&FromRouter::Content(Content::new(content).unwrap()).to_frame(None))?;
            self.write(&FromRouter::End.to_frame(None))?;
            match Request::decode(&self.hear()?).unwrap() {
                Request::Taken(_) => self.heard.lock().unwrap().taken.push(number),
                other => panic!("{other:?} instead of whether it was taken"),
            }
            self.say(Reply::Taken)?;
        }
        if wait {
            // Nothing comes any more.
            return self.hear().map(drop).and(Err(Gone));
        }
        self.say(Reply::NoStream)
    }
}
