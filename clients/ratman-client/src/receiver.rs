// SPDX-License-Identifier: AGPL-3.0-or-later
//! What receives streams, one after the other, on a connection that may be lost and found again.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ratman_wire::api::{
    Address, Arrived, AuthToken, ByteCount, Content, FromRouter, Nothing, Receive, Recipient, Reply, Request,
    ResumedReceive, StreamKey, Text,
};
use tokio::io::ReadBuf;

use crate::connection::Connection;
use crate::ipc::STREAM;
use crate::{Error, RatmanIpc, ReceiveOptions, Reconnect, Result};

/// A router that is being looked for, in the middle of a stream.
type Search = Pin<Box<dyn Future<Output = Result<(Connection, Arrived)>> + Send + Sync>>;

/// What receives streams.
pub(crate) struct Receiver {
    ipc: RatmanIpc,
    auth: AuthToken,
    address: Address,
    options: ReceiveOptions,
    /// How many more are to come; without a limit nothing.
    left: Option<u32>,
    line: Line,
    current: Option<Current>,
    /// The stream that was said to be taken last, where the answer did not come.
    doubtful: Option<StreamKey>,
}

/// The way to the router.
enum Line {
    /// There is none yet.
    None,
    /// It was lost, or given up in the middle of a stream, and is to be looked for.
    Lost,
    Open(Connection),
    Searching(Search),
    /// Nothing more comes.
    Over,
}

/// The stream that is here.
struct Current {
    arrived: Arrived,
    /// How far its content was given.
    position: u64,
    /// How much comes that was given already.
    skip: u64,
    piece: Option<(Content, usize)>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Content,
    /// All of the content was given.
    Whole,
    /// The router was told that it is taken.
    Told,
}

impl Receiver {
    pub(crate) fn new(ipc: RatmanIpc, auth: AuthToken, address: Address, options: ReceiveOptions) -> Self {
        let left = options.how_many();
        Self { ipc, auth, address, options, left, line: Line::None, current: None, doubtful: None }
    }

    /// What is here.
    pub(crate) fn arrived(&self) -> Option<&Arrived> {
        self.current.as_ref().map(|current| &current.arrived)
    }

    /// How far the content of what is here was given.
    pub(crate) fn position(&self) -> Option<u64> {
        self.current.as_ref().map(|current| current.position)
    }

    /// Waits until the next stream is here; false when there will be none. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<bool> {
        if self.current.as_ref().is_some_and(|current| current.stage == Stage::Told) {
            // Somebody did not wait for the answer.
            self.taken().await?;
        }
        if self.current.take().is_some() {
            // It was not taken: it stays with the router, and so does whatever of it is on its way.
            self.line = self.again();
        }
        loop {
            if self.left == Some(0) {
                self.hang_up();
            }
            match &mut self.line {
                Line::Over => return Ok(false),
                Line::None => {
                    let resume = self.options.take_resume();
                    let request = self.options.request(self.address, self.left, resume.clone());
                    let connection = self.ipc.open(&Request::StreamReceive(request), &self.auth).await;
                    match connection {
                        Ok(connection) => self.line = Line::Open(connection),
                        Err(error) => {
                            self.options.put_back_resume(resume);
                            return Err(error);
                        }
                    }
                }
                Line::Lost | Line::Searching(_) => {
                    let searcher = self.searcher(None);
                    self.line = Line::Open(Box::pin(searcher.find(Searcher::ask)).await?);
                }
                Line::Open(connection) => {
                    let come = poll_fn(|cx| connection.poll_from_router(cx, STREAM)).await;
                    if self.has_come(come).await? {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Whether it is a stream that the user has not taken before.
    async fn has_come(&mut self, come: Result<FromRouter>) -> Result<bool> {
        let arrived = match come {
            Ok(FromRouter::Reply(Reply::Arrived(arrived))) => *arrived,
            Ok(FromRouter::Reply(Reply::NoStream)) => {
                self.hang_up();
                return Ok(false);
            }
            Ok(FromRouter::Reply(other)) => return Err(self.fail(Error::unexpected(&other))),
            Ok(FromRouter::Stream(_) | FromRouter::Content(_) | FromRouter::End) => {
                return Err(self.fail(Error::Protocol("content that belongs to no stream".to_owned())));
            }
            Err(error) => return self.lose(error).map(|()| false),
        };
        let (size, offset) = (arrived.letterhead.stream_size.0, arrived.offset.0);
        if offset > size {
            return Err(self.fail(Error::Protocol("content that begins after its end".to_owned())));
        }
        let key = key(&arrived);
        self.current =
            Some(Current { arrived, position: offset, skip: 0, piece: None, stage: Stage::Content });
        if self.doubtful.take_if(|doubtful| *doubtful == key).is_none() {
            return Ok(true);
        }
        // The user has it; the router did not hear so.
        let mut room = vec![0; 8 * 1024];
        loop {
            let mut buf = ReadBuf::new(&mut room);
            poll_fn(|cx| self.poll_content(cx, &mut buf)).await?;
            if buf.filled().is_empty() {
                break;
            }
        }
        self.left = self.left.map(|left| left + 1);
        self.taken().await?;
        Ok(false)
    }

    /// Gives content; none at its end. Cancel safe.
    pub(crate) fn poll_content(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        loop {
            let Some(current) = &mut self.current else { return Poll::Ready(Err(Error::Ended)) };
            if current.stage != Stage::Content || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if current.give(buf) {
                return Poll::Ready(Ok(()));
            }
            let come = match &mut self.line {
                Line::Open(connection) => ready!(connection.poll_from_router(cx, STREAM)),
                Line::Searching(search) => {
                    let found = ready!(search.as_mut().poll(cx));
                    let result = found.and_then(|(connection, arrived)| {
                        current.go_on_with(&arrived)?;
                        Ok(connection)
                    });
                    match result {
                        Ok(connection) => {
                            self.line = Line::Open(connection);
                            continue;
                        }
                        Err(error) => return Poll::Ready(Err(self.fail(error))),
                    }
                }
                Line::None | Line::Lost | Line::Over => return Poll::Ready(Err(Error::Ended)),
            };
            match come {
                Ok(FromRouter::Content(content)) => {
                    if let Err(error) = current.take(content) {
                        return Poll::Ready(Err(self.fail(error)));
                    }
                }
                Ok(FromRouter::End) if current.missing() == 0 => current.stage = Stage::Whole,
                Ok(FromRouter::End) => {
                    return Poll::Ready(
                        Err(self.fail(Error::Protocol("content ended too early".to_owned()))),
                    );
                }
                Ok(FromRouter::Reply(other)) => {
                    return Poll::Ready(Err(self.fail(Error::unexpected(&other))));
                }
                Ok(FromRouter::Stream(_)) => {
                    let error = Error::Protocol("a stream within a stream".to_owned());
                    return Poll::Ready(Err(self.fail(error)));
                }
                Err(error) => {
                    self.lose(error)?;
                    self.search();
                }
            }
        }
    }

    /// Says that the user has all of it, and waits until the router has heard so. Ready with an error where content is missing.
    pub(crate) fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(current) = &mut self.current else { return Poll::Ready(Ok(())) };
        let Line::Open(connection) = &mut self.line else { return Poll::Ready(Err(Error::Ended)) };
        match current.stage {
            Stage::Content => return Poll::Ready(Err(Error::Unread(current.missing()))),
            Stage::Whole => {
                connection.queue(&Request::Taken(Nothing).to_frame(None));
                current.stage = Stage::Told;
            }
            Stage::Told => {}
        }
        let come = match ready!(connection.poll_flush(cx)) {
            Ok(()) => ready!(connection.poll_from_router(cx, STREAM)),
            Err(error) => Err(error),
        };
        let error = match come {
            Ok(FromRouter::Reply(Reply::Taken)) => {
                self.has_one_more();
                return Poll::Ready(Ok(()));
            }
            Ok(FromRouter::Reply(other)) => Error::unexpected(&other),
            Ok(FromRouter::Stream(_) | FromRouter::Content(_) | FromRouter::End) => {
                Error::Protocol("content that belongs to no stream".to_owned())
            }
            Err(error) => {
                let key = key(&current.arrived);
                self.lose(error)?;
                // If it comes again, the user does not see it.
                self.doubtful = Some(key);
                self.has_one_more();
                return Poll::Ready(Ok(()));
            }
        };
        Poll::Ready(Err(self.fail(error)))
    }

    /// The same, within the time that a router has to answer.
    pub(crate) async fn taken(&mut self) -> Result<()> {
        let limit = self.ipc.reply_timeout();
        let telling = poll_fn(|cx| self.poll_taken(cx));
        crate::timeouts::within(Some(limit), "the answer of the router", telling).await
    }

    fn has_one_more(&mut self) {
        self.current = None;
        self.left = self.left.map(|left| left.saturating_sub(1));
    }

    /// Nothing more is awaited.
    fn hang_up(&mut self) {
        if let Line::Open(connection) = std::mem::replace(&mut self.line, Line::Over) {
            self.ipc.put_back(connection);
        }
    }

    /// The connection is of no use any more; the next stream comes over another one.
    fn fail(&mut self, error: Error) -> Error {
        self.line = self.again();
        error
    }

    /// How a connection is got that is not the first.
    const fn again(&self) -> Line {
        if self.options.how_to_reconnect().is_some() { Line::Lost } else { Line::None }
    }

    /// The same, but a router that is to be found again is no failure.
    fn lose(&mut self, error: Error) -> Result<()> {
        if error.is_unreachable() && self.options.how_to_reconnect().is_some() {
            self.line = Line::Lost;
            return Ok(());
        }
        Err(self.fail(error))
    }

    /// Looks for the router to go on with what is here.
    fn search(&mut self) {
        let resume = self.current.as_ref().map(|current| ResumedReceive {
            stream: key(&current.arrived),
            offset: ByteCount(current.position),
        });
        let searcher = self.searcher(resume);
        self.line = Line::Searching(Box::pin(async move { searcher.find(Searcher::ask_and_wait).await }));
    }

    fn searcher(&self, resume: Option<ResumedReceive>) -> Searcher {
        let reconnect = self.options.how_to_reconnect().unwrap_or_default();
        let request = self.options.request(self.address, self.left, resume);
        let (ipc, auth, to) = (self.ipc.clone(), self.auth.clone(), self.options.recipient());
        Searcher { ipc, auth, to, reconnect, request }
    }
}

/// What it takes to find a router again.
struct Searcher {
    ipc: RatmanIpc,
    auth: AuthToken,
    to: Option<Recipient>,
    reconnect: Reconnect,
    request: Receive,
}

impl Searcher {
    async fn find<'a, T, F>(&'a self, ask: impl Fn(&'a Self) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.reconnect.until(|| ask(self)).await
    }

    /// A connection on which streams come. After a restart the router does not know that the address is up.
    async fn ask(&self) -> Result<Connection> {
        self.ipc.is_up_again(&self.auth, self.request.address, self.to).await?;
        self.ipc.open(&Request::StreamReceive(self.request.clone()), &self.auth).await
    }

    /// The same, with the first that came on it.
    async fn ask_and_wait(&self) -> Result<(Connection, Arrived)> {
        let mut connection = self.ask().await?;
        match poll_fn(|cx| connection.poll_from_router(cx, STREAM)).await? {
            FromRouter::Reply(Reply::Arrived(arrived)) => Ok((connection, *arrived)),
            FromRouter::Reply(other) => Err(Error::unexpected(&other)),
            FromRouter::Stream(_) | FromRouter::Content(_) | FromRouter::End => {
                Err(Error::Protocol("content that belongs to no stream".to_owned()))
            }
        }
    }
}

impl RatmanIpc {
    /// Brings an address up, and the namespace that is waited for, on a router that was restarted.
    pub(crate) async fn is_up_again(
        &self,
        auth: &AuthToken,
        address: Address,
        recipient: Option<Recipient>,
    ) -> Result<()> {
        self.order(Request::AddressUp(address), Some(auth)).await?;
        match recipient {
            Some(Recipient::Namespace(namespace)) => self.space_up(auth, address, namespace).await,
            Some(Recipient::Address(_)) | None => Ok(()),
        }
    }
}

impl Current {
    /// How much of the content has not been given.
    const fn missing(&self) -> u64 {
        self.arrived.letterhead.stream_size.0.saturating_sub(self.position)
    }

    /// Gives what is here; whether something was.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let Some((content, used)) = &mut self.piece else { return false };
        let rest = &content.as_bytes()[*used..];
        let length = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..length]);
        *used += length;
        self.position += u64::try_from(length).expect("invariant: a length fits");
        if *used == content.as_bytes().len() {
            self.piece = None;
        }
        true
    }

    /// Takes the next piece.
    fn take(&mut self, content: Content) -> Result<()> {
        let bytes = content.as_bytes().len();
        let length = u64::try_from(bytes).expect("invariant: a length fits");
        if length > self.missing().saturating_add(self.skip) {
            return Err(Error::Protocol("content that is longer than was said".to_owned()));
        }
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes);
        self.skip = self.skip.saturating_sub(length);
        if skipped < bytes {
            self.piece = Some((content, skipped));
        }
        Ok(())
    }

    /// Takes what came after the connection was lost as the rest of it.
    fn go_on_with(&mut self, arrived: &Arrived) -> Result<()> {
        let is_same = key(arrived) == key(&self.arrived) && arrived.letterhead == self.arrived.letterhead;
        if !is_same {
            // Its time passed, or another program took it.
            return Err(Error::NotFound(Text::of("the stream whose content was being read")));
        }
        let Some(skip) = self.position.checked_sub(arrived.offset.0) else {
            return Err(Error::Protocol("content from a later byte on than was asked for".to_owned()));
        };
        self.skip = skip;
        Ok(())
    }
}

/// The name of a stream that came.
pub(crate) fn key(arrived: &Arrived) -> StreamKey {
    StreamKey { from: arrived.letterhead.from, to: arrived.letterhead.to, stream: arrived.stream }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { address, left, .. } = self;
        write!(f, "Receiver({address:?}, left: {left:?}, {:?})", self.arrived().map(|arrived| arrived.stream))
    }
}
