// SPDX-License-Identifier: AGPL-3.0-or-later
//! What receives streams, one after the other, on a connection that may be lost and found again.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ratman_wire::api::{
    Address, Arrived, AuthToken, ByteCount, FromRouter, Nothing, Reply, Request, ResumedReceive, StreamKey,
};
use tokio::io::ReadBuf;

mod current;
mod searcher;

use crate::connection::Connection;
use crate::ipc::STREAM;
use crate::timeouts::within;
use crate::{Error, RatmanIpc, ReceiveOptions, Result};
pub(crate) use current::key;
use current::{Current, Stage};
use searcher::Searcher;

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
    /// How many more the router brings before it is asked again: fewer, where one comes again that was counted.
    promised: Option<u32>,
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
    /// The router was told to stop what is on its way, and has not said that it did.
    Stopping(Connection),
    Searching(Search),
    /// Nothing more comes.
    Over,
}

impl Receiver {
    pub(crate) fn new(ipc: RatmanIpc, auth: AuthToken, address: Address, options: ReceiveOptions) -> Self {
        let left = options.how_many();
        Self {
            ipc,
            auth,
            address,
            options,
            left,
            promised: left,
            line: Line::None,
            current: None,
            doubtful: None,
        }
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
            // It was not taken: it stays with the router, and comes again.
            let line = std::mem::replace(&mut self.line, Line::None);
            self.line = if let Line::Open(mut connection) = line {
                connection.queue(&Request::Cancel(Nothing).to_frame(None));
                Line::Stopping(connection)
            } else {
                self.again()
            };
        }
        loop {
            if self.left == Some(0) {
                self.hang_up();
            }
            if self.promised == Some(0) {
                self.ask_anew();
            }
            match &mut self.line {
                Line::Over => return Ok(false),
                Line::Stopping(connection) => {
                    let stopping = poll_fn(|cx| connection.poll_stopped(cx));
                    let limit = Some(self.ipc.reply_timeout());
                    match within(limit, "the answer of the router", stopping).await {
                        Ok(()) => self.ask_anew(),
                        Err(error) => self.lose(error)?,
                    }
                }
                Line::None => {
                    let resume = self.options.resumed().cloned();
                    let request = self.options.request(self.address, self.left, resume);
                    let connection = self.ipc.open(&Request::StreamReceive(request), &self.auth).await?;
                    self.options.has_resumed();
                    self.promised = self.left;
                    self.line = Line::Open(connection);
                }
                Line::Lost | Line::Searching(_) => {
                    let searcher = self.searcher(None);
                    self.line = Line::Open(Box::pin(searcher.find(Searcher::ask)).await?);
                    self.promised = self.left;
                }
                Line::Open(connection) => {
                    let come = poll_fn(|cx| connection.poll_answer(cx, STREAM)).await;
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
        self.current = Some(Current::new(arrived));
        if self.doubtful.as_ref() != Some(&key) {
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
                Line::None | Line::Lost | Line::Stopping(_) | Line::Over => {
                    return Poll::Ready(Err(Error::Ended));
                }
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
        let come = ready!(connection.poll_answer(cx, STREAM));
        let error = match come {
            Ok(FromRouter::Reply(Reply::Taken)) => {
                let key = key(&current.arrived);
                self.promised = self.promised.map(|promised| promised.saturating_sub(1));
                self.has_one_more(&key);
                self.doubtful.take_if(|doubtful| *doubtful == key);
                return Poll::Ready(Ok(()));
            }
            Ok(FromRouter::Reply(other)) => Error::unexpected(&other),
            Ok(FromRouter::Stream(_) | FromRouter::Content(_) | FromRouter::End) => {
                Error::Protocol("content that belongs to no stream".to_owned())
            }
            Err(error) => {
                let key = key(&current.arrived);
                self.lose(error)?;
                self.has_one_more(&key);
                // If it comes again, the user does not see it.
                self.doubtful = Some(key);
                return Poll::Ready(Ok(()));
            }
        };
        Poll::Ready(Err(self.fail(error)))
    }

    /// The same, within the time that a router has to answer.
    pub(crate) async fn taken(&mut self) -> Result<()> {
        let limit = self.ipc.reply_timeout();
        let telling = poll_fn(|cx| self.poll_taken(cx));
        within(Some(limit), "the answer of the router", telling).await
    }

    /// The user has this one; it counts once, however often it came.
    fn has_one_more(&mut self, key: &StreamKey) {
        self.current = None;
        if self.doubtful.as_ref() != Some(key) {
            self.left = self.left.map(|left| left.saturating_sub(1));
        }
    }

    /// Nothing more is awaited.
    fn hang_up(&mut self) {
        if let Line::Open(connection) = std::mem::replace(&mut self.line, Line::Over) {
            self.ipc.put_back(connection);
        }
    }

    /// The connection is about nothing any more, and is to be about streams again.
    fn ask_anew(&mut self) {
        let request = Request::StreamReceive(self.options.request(self.address, self.left, None));
        let line = std::mem::replace(&mut self.line, Line::None);
        self.line = if let Line::Stopping(mut connection) | Line::Open(mut connection) = line {
            connection.queue(&request.to_frame(Some(&self.auth)));
            Line::Open(connection)
        } else {
            line
        };
        self.promised = self.left;
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
        self.promised = self.left;
        self.line = Line::Searching(Box::pin(async move { searcher.find(Searcher::ask_and_wait).await }));
    }

    fn searcher(&self, resume: Option<ResumedReceive>) -> Searcher {
        let reconnect = self.options.how_to_reconnect().unwrap_or_default();
        let request = self.options.request(self.address, self.left, resume);
        let (ipc, auth, to) = (self.ipc.clone(), self.auth.clone(), self.options.recipient());
        Searcher { ipc, auth, to, reconnect, request }
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { address, left, .. } = self;
        write!(f, "Receiver({address:?}, left: {left:?}, {:?})", self.arrived().map(|arrived| arrived.stream))
    }
}
