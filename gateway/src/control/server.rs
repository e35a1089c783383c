// SPDX-License-Identifier: AGPL-3.0-or-later
//! The daemon's side of the control socket.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::allowed::Allowed;
use super::conversation::Conversation;
use super::{Answer, DeskRequest, MAX_REQUEST, Query, ReplyLine, Request, RequestLine, encode};
use crate::addresses::Asker;
use crate::desk::Desk;
use crate::local_socket::{LocalSocket, SocketError};
use crate::message_plane::Clients;
use crate::secret::{WipedBytes, WipedReader};

/// People and scripts that ask at once; each costs a task and a buffer.
pub(super) const MAX_CLIENTS: usize = 16;

/// Streams that clients send or wait for at once, apart from those who ask; each costs a task and some pieces of content.
pub(super) const MAX_STREAMS: usize = 64;

/// Who may connect: the user and the group that its file belongs to.
const MODE: u32 = 0o660;

/// A client that says nothing, or does not read its reply, gives its place to another.
pub(super) const IDLE: Duration = Duration::from_secs(10);

/// What a client hears of a daemon without a desk.
pub(super) const NO_DESK: &str = "this daemon has no streams, and keeps no addresses and contacts";

/// After an error that is not the client's, such as no free descriptor, accepting again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound control socket; its file goes when this is dropped.
#[derive(Debug)]
pub struct Server {
    socket: LocalSocket,
    allowed: Allowed,
    refused: Arc<AtomicU64>,
}

impl Server {
    /// Binds `path` with mode 0660, making its directory where it is missing.
    ///
    /// A socket left there by a daemon that is gone is replaced; one on which somebody answers is an error.
    /// Must be called within a tokio runtime.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let socket = LocalSocket::bind(path, MODE, "control.socket")?;
        let allowed = Allowed::of_group(socket.gid());
        Ok(Self { socket, allowed, refused: Arc::default() })
    }

    /// Whom it serves.
    pub fn allowed(&self) -> Allowed {
        self.allowed
    }

    /// How many clients were turned away since the start, for want of a place or of permission.
    pub fn refused(&self) -> Arc<AtomicU64> {
        self.refused.clone()
    }

    /// Answers clients until the future is dropped; each request is sent through `requests`, what is said about streams
    /// through `streams`, and about addresses and contacts the desk is asked.
    pub async fn serve(self, requests: mpsc::Sender<Request>, streams: Option<Clients>, desk: Option<Desk>) {
        let places = Arc::new(Semaphore::new(MAX_CLIENTS));
        let stream_places = Arc::new(Semaphore::new(MAX_STREAMS));
        // Clients end with the server.
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok(stream) => {
                        if let Some((place, asker)) = self.admit(&stream, &places) {
                            let doors = Doors {
                                asker,
                                requests: requests.clone(),
                                streams: streams.clone(),
                                desk: desk.clone(),
                                stream_places: stream_places.clone(),
                            };
                            clients.spawn(converse(stream, doors, place));
                        }
                    }
                    Err(error) => {
                        warn!(%error, "cannot accept on the control socket");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = clients.join_next() => {}
            }
        }
    }

    /// A place for a client that may ask, if there is one.
    fn admit(&self, stream: &UnixStream, places: &Arc<Semaphore>) -> Option<(OwnedSemaphorePermit, Asker)> {
        let who = stream.peer_cred();
        let asker = who.as_ref().ok().and_then(|who| self.allowed.admit(who.uid(), who.gid()));
        if asker.is_none() {
            warn!(?who, "refused a client of the control socket");
            self.refuse(
                stream,
                "permission denied: expected root, the daemon's user or the socket's group".into(),
            );
            return None;
        }
        let place = places.clone().try_acquire_owned().ok();
        if place.is_none() {
            debug!(limit = MAX_CLIENTS, "too many clients on the control socket");
            self.refuse(stream, format!("expected at most {MAX_CLIENTS} clients at once, try again"));
        }
        place.zip(asker)
    }

    /// Tells a client that gets no answer why; it is not waited for.
    fn refuse(&self, stream: &UnixStream, message: String) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        // A fresh socket has room for a line; a client that is gone already needs none.
        let _gone = stream.try_write(&encode(&ReplyLine::Error(message)));
    }
}

/// Where what a client wants goes.
struct Doors {
    asker: Asker,
    requests: mpsc::Sender<Request>,
    streams: Option<Clients>,
    desk: Option<Desk>,
    stream_places: Arc<Semaphore>,
}

/// Serves one client to its end; `place` is held until then, or until another is taken for a stream.
async fn converse(stream: UnixStream, doors: Doors, place: OwnedSemaphorePermit) {
    let (read, write) = stream.into_split();
    let mut client = Client { reader: WipedReader::new(read), write, place };
    if let Err(error) = client.serve(&doors).await {
        debug!(%error, "control client left");
    }
}

/// A connected client.
struct Client {
    reader: WipedReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    place: OwnedSemaphorePermit,
}

impl Client {
    async fn serve(&mut self, doors: &Doors) -> io::Result<()> {
        let mut line = WipedBytes::default();
        loop {
            line.clear();
            match timeout(IDLE, read_line(&mut self.reader, &mut line)).await?? {
                Line::End => return Ok(()),
                Line::TooLong => {
                    let too_long = format!("expected a line of at most {MAX_REQUEST} bytes");
                    return self.reply(&ReplyLine::Error(too_long)).await;
                }
                Line::Whole => self.handle(&line, doors).await?,
            }
        }
    }

    async fn handle(&mut self, line: &[u8], doors: &Doors) -> io::Result<()> {
        let stream = match RequestLine::parse(line) {
            Ok(RequestLine::Get(query)) => {
                let answer = ask(query, &doors.requests).await;
                let reply = answer.map_or_else(|why| ReplyLine::Error(why.to_owned()), ReplyLine::Answer);
                return self.reply(&reply).await;
            }
            Ok(RequestLine::Stream(stream)) => stream,
            Ok(RequestLine::Address(request)) => return self.ask(DeskRequest::Address(request), doors).await,
            Ok(RequestLine::Contact(request)) => return self.ask(DeskRequest::Contact(request), doors).await,
            Ok(RequestLine::Trust(request)) => return self.ask(DeskRequest::Trust(request), doors).await,
            Err(message) => return self.reply(&ReplyLine::Error(message)).await,
        };
        let Some(streams) = &doors.streams else {
            return self.reply(&ReplyLine::Error("this daemon has no streams".to_owned())).await;
        };
        // Who asks for the status must not wait for who has all day.
        match doors.stream_places.clone().try_acquire_owned() {
            Ok(place) => self.place = place,
            Err(_) => {
                let full = format!("expected at most {MAX_STREAMS} streams at once, try again");
                return self.reply(&ReplyLine::Error(full)).await;
            }
        }
        let planes = (streams, doors.desk.as_ref());
        Conversation::new(&mut self.reader, &mut self.write, planes).hold(stream).await
    }

    async fn ask(&mut self, request: DeskRequest, doors: &Doors) -> io::Result<()> {
        let reply = match &doors.desk {
            Some(desk) => match request.serve(desk, doors.asker).await {
                Ok(answer) => ReplyLine::Desk(answer),
                Err(error) => ReplyLine::Error(error.to_string()),
            },
            None => ReplyLine::Error(NO_DESK.to_owned()),
        };
        self.reply(&reply).await
    }

    async fn reply(&mut self, reply: &ReplyLine) -> io::Result<()> {
        timeout(IDLE, self.write.write_all(&encode(reply))).await?
    }
}

pub(super) enum Line {
    Whole,
    End,
    TooLong,
}

pub(super) async fn read_line(
    reader: &mut (impl AsyncBufRead + Unpin),
    line: &mut WipedBytes,
) -> io::Result<Line> {
    loop {
        let there = reader.fill_buf().await?;
        if there.is_empty() {
            // A last line without line feed is half a request.
            return Ok(Line::End);
        }
        let there = &there[..there.len().min(MAX_REQUEST - line.len())];
        let end = there.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(there.len(), |end| end + 1);
        line.extend(&there[..taken]);
        reader.consume(taken);
        match end {
            Some(_) => return Ok(Line::Whole),
            None if line.len() >= MAX_REQUEST => return Ok(Line::TooLong),
            None => {}
        }
    }
}

/// Asks the control loop; or says why it does not answer.
pub(crate) async fn ask(query: Query, requests: &mpsc::Sender<Request>) -> Result<Answer, &'static str> {
    let (reply, answered) = oneshot::channel();
    let asked = async {
        requests.send(Request { query, reply }).await.ok()?;
        answered.await.ok()
    };
    match timeout(IDLE, asked).await {
        Ok(answer) => answer.ok_or("the daemon is ending"),
        Err(_) => Err("the daemon is too busy to answer"),
    }
}
