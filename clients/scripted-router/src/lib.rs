// SPDX-License-Identifier: AGPL-3.0-or-later
//! The router's end of connections to clients, for tests of programs: a test says what its router answers, by the codec of the
//! protocol. Nothing that ships uses it.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails where something else comes than it says"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use ratman_wire::api::{
    Arrived, ByteCount, Content, FromRouter, Letterhead, Microframe, MicroframeDecoder, Opened, PayloadLimit,
    Reply, Request, StreamId, WallTime,
};

/// The client left, or is to be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// The router's end of one connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    decoder: MicroframeDecoder,
    come: Vec<u8>,
}

/// Listens on a port of its own and serves each client in a thread of its own, until the test ends.
///
/// # Panics
/// There is no port.
pub fn listen(serve: impl Fn(Client) -> Gone + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (serve, client) = (Arc::clone(&serve), Client::new(stream));
            thread::spawn(move || serve(client));
        }
    });
    address
}

impl Client {
    fn new(stream: TcpStream) -> Self {
        let decoder = MicroframeDecoder::new(PayloadLimit::REQUEST);
        Self { stream, decoder, come: Vec::new() }
    }

    /// The next frame.
    ///
    /// # Errors
    /// The client left.
    ///
    /// # Panics
    /// Bytes came that are no frame.
    pub fn hear(&mut self) -> Result<Microframe, Gone> {
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

    /// The next request.
    ///
    /// # Errors
    /// The client left.
    ///
    /// # Panics
    /// Something came that is no request.
    pub fn hear_request(&mut self) -> Result<Request, Gone> {
        self.hear().map(|frame| Request::decode(&frame).unwrap())
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// The client left.
    pub fn write(&mut self, frame: &Microframe) -> Result<(), Gone> {
        self.stream.write_all(&frame.encode()).map_err(|_| Gone)
    }

    /// Answers.
    ///
    /// # Errors
    /// The client left.
    pub fn say(&mut self, reply: Reply) -> Result<(), Gone> {
        self.write(&reply.to_frame(None))
    }

    /// Opens streams to send and takes all of their content.
    ///
    /// # Errors
    /// The client left.
    ///
    /// # Panics
    /// Something else came.
    pub fn take_content(&mut self, opened: Opened) -> Result<Vec<u8>, Gone> {
        self.say(Reply::Opened(opened))?;
        let mut content = Vec::new();
        loop {
            match self.hear_request()? {
                Request::Content(piece) => content.extend_from_slice(piece.as_bytes()),
                Request::End(_) => return Ok(content),
                other => panic!("{other:?} within content"),
            }
        }
    }

    /// Gives a stream whole, made 5 µs after the beginning of 1970, and waits until the client has taken it; to be answered with
    /// [`Reply::Taken`].
    ///
    /// # Errors
    /// The client left.
    ///
    /// # Panics
    /// Something else came, or the content fits no frame.
    pub fn give(&mut self, letterhead: Letterhead, stream: StreamId, content: Vec<u8>) -> Result<(), Gone> {
        let (created, offset) = (WallTime::from_micros(5), ByteCount(0));
        self.say(Reply::Arrived(Box::new(Arrived { letterhead, stream, created, offset })))?;
        self.write(&FromRouter::Content(Content::new(content).unwrap()).to_frame(None))?;
        self.write(&FromRouter::End.to_frame(None))?;
        match self.hear_request()? {
            Request::Taken(_) => Ok(()),
            other => panic!("{other:?} instead of whether it was taken"),
        }
    }
}
