// SPDX-License-Identifier: AGPL-3.0-or-later
//! One connection to a router: what it says as it comes, what is said to it as it takes it. All state is here, so whatever waits
//! for one can be given up at any time and nothing of the connection is lost.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ratman_wire::api::{
    ApiMode, AuthToken, ClientError, FromRouter, Microframe, MicroframeDecoder, PayloadLimit, Reply, Request,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use zeroize::{Zeroize, Zeroizing};

use crate::socket::Socket;
use crate::{Error, Result};

/// What is read at once: a piece of content with its header.
const INPUT: usize = 72 * 1024;

/// A connection.
pub(crate) struct Connection {
    socket: Socket,
    decoder: MicroframeDecoder,
    input: Zeroizing<Vec<u8>>,
    /// What of `input` was read and not used.
    unused: std::ops::Range<usize>,
    output: Zeroizing<Vec<u8>>,
    /// How much of `output` was written.
    written: usize,
}

impl Connection {
    /// On a socket from which nothing was read.
    pub(crate) fn new(socket: Socket) -> Self {
        Self {
            socket,
            decoder: MicroframeDecoder::new(PayloadLimit::REPLY),
            input: Zeroizing::new(vec![0; INPUT]),
            unused: 0..0,
            output: Zeroizing::default(),
            written: 0,
        }
    }

    /// The next microframe; nothing where the router closed the connection between two.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Microframe>>> {
        loop {
            let mut rest = &self.input[self.unused.clone()];
            let frame = self.decoder.decode(&mut rest);
            self.unused.start = self.unused.end - rest.len();
            if let Some(frame) = frame? {
                return Poll::Ready(Ok(Some(frame)));
            }
            if !ready!(self.poll_fill(cx))? {
                let whole = self.decoder.is_between_frames();
                return Poll::Ready(if whole { Ok(None) } else { Err(Error::Lost(None)) });
            }
        }
    }

    /// Reads what comes; whether there was something before the end. Only called when `unused` is empty.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool>> {
        let mut buffer = ReadBuf::new(&mut self.input);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer)).map_err(Error::broken)?;
        self.unused = 0..buffer.filled().len();
        Poll::Ready(Ok(!self.unused.is_empty()))
    }

    /// The next microframe as what comes after a request with this mode. What ends what was asked for is an error.
    pub(crate) fn poll_from_router(&mut self, cx: &mut Context<'_>, to: ApiMode) -> Poll<Result<FromRouter>> {
        let frame = ready!(self.poll_frame(cx))?.ok_or(Error::Lost(None))?;
        Poll::Ready(match FromRouter::decode(&frame, to)? {
            FromRouter::Reply(reply) => settled(reply, to).map(FromRouter::Reply),
            other @ (FromRouter::Stream(_) | FromRouter::Content(_) | FromRouter::End) => Ok(other),
        })
    }

    /// The same, once what is to be said was said.
    pub(crate) fn poll_answer(&mut self, cx: &mut Context<'_>, to: ApiMode) -> Poll<Result<FromRouter>> {
        ready!(self.poll_flush(cx))?;
        self.poll_from_router(cx, to)
    }

    /// Says what is to be said, and passes over what comes until the router has done it.
    pub(crate) fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            // A router that has no room to say something hears nothing before it was read.
            let said = self.poll_flush(cx)?;
            let frame = ready!(self.poll_frame(cx))?.ok_or(Error::Lost(None))?;
            if said.is_ready() && matches!(Reply::decode(&frame, ApiMode::CONTENT), Ok(Reply::Ok)) {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// The next reply, whatever it says.
    pub(crate) async fn reply(&mut self, to: ApiMode) -> Result<Reply> {
        let frame = poll_fn(|cx| self.poll_frame(cx)).await?.ok_or(Error::Lost(None))?;
        Ok(Reply::decode(&frame, to)?)
    }

    /// Bytes that are in no microframe, as many as there is room for and at most `limit`; none at the end of the connection.
    pub(crate) fn poll_bare(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        limit: usize,
    ) -> Poll<Result<usize>> {
        if self.unused.is_empty() && !ready!(self.poll_fill(cx))? {
            return Poll::Ready(Ok(0));
        }
        let length = self.unused.len().min(buf.remaining()).min(limit);
        buf.put_slice(&self.input[self.unused.start..][..length]);
        self.unused.start += length;
        Poll::Ready(Ok(length))
    }

    /// Puts a microframe behind what is to be said.
    pub(crate) fn queue(&mut self, frame: &Microframe) {
        let bytes = frame.encode();
        if self.output.is_empty() {
            self.output = bytes;
        } else {
            // What a vector held before it grew would stay behind.
            let mut joined = Zeroizing::new(Vec::with_capacity(self.output.len() + bytes.len()));
            joined.extend_from_slice(&self.output);
            joined.extend_from_slice(&bytes);
            self.output = joined;
        }
    }

    /// Says what is to be said.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while self.has_unsaid() {
            let rest = &self.output[self.written..];
            let written = ready!(Pin::new(&mut self.socket).poll_write(cx, rest)).map_err(Error::broken)?;
            if written == 0 {
                return Poll::Ready(Err(Error::broken(io::ErrorKind::WriteZero.into())));
            }
            self.written += written;
        }
        self.output.zeroize();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Whether something is to be said that the system did not take.
    pub(crate) fn has_unsaid(&self) -> bool {
        self.written < self.output.len()
    }

    /// Says a request.
    pub(crate) async fn say(&mut self, request: &Request, auth: Option<&AuthToken>) -> Result<()> {
        self.queue(&request.to_frame(auth));
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Whether nothing has come since the last reply, and both ends are open.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        // What has come is noticed when the runtime looks for it.
        tokio::task::yield_now().await;
        let mut cx = Context::from_waker(std::task::Waker::noop());
        self.unused.is_empty() && !self.has_unsaid() && self.poll_fill(&mut cx).is_pending()
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({:?}, {} bytes to be said)", self.socket, self.output.len() - self.written)
    }
}

/// A reply that is none of the objections.
pub(crate) fn settled(reply: Reply, to: ApiMode) -> Result<Reply> {
    if let Reply::Error(error) = reply {
        return Err(if error.is_unsupported_mode(to) { Error::NotSupported } else { error.into() });
    }
    if let Reply::Refused(refusal) = reply {
        return Err(refusal.into());
    }
    if let Reply::IncompatibleVersion(versions) = &reply {
        let error: ClientError = versions.to_error();
        return Err(error.into());
    }
    // The router ends a connection on which nothing was said for long.
    if matches!(reply, Reply::Timeout) { Err(Error::Lost(None)) } else { Ok(reply) }
}

/// Takes what was asked for out of a reply; another one breaks the protocol.
macro_rules! answer {
    ($reply:expr, $pattern:pat => $value:expr) => {{
        let reply = $reply;
        if let $pattern = reply { Ok($value) } else { Err($crate::Error::unexpected(&reply)) }
    }};
}

pub(crate) use answer;
