// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams that are sent: content goes out, and news of it come back, on one connection.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ratman_wire::api::{
    AuthToken, Content, FromRouter, MAX_CONTENT, News, Nothing, Opened, OpenedStream, Recipient, Reply,
    Request, StreamKey,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::connection::answer;
use crate::connection::{Connection, settled};
use crate::ipc::STREAM;
use crate::news_box::NewsBox;
use crate::resume_token::ResumeToken;
use crate::timeouts::within;
use crate::{Error, Outgoing, RatmanIpc, Result};

/// A router may not have noticed yet that the connection broke over which a stream came until now, so it is asked again, after so long.
const NOTICING: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(150), Duration::from_millis(400)];

/// A stream to one or many recipients, while its content is written and until the last news of it.
///
/// Write the content, with [`copy_from`](Self::copy_from) or as to any [`AsyncWrite`]; then [`finish`](Self::finish), and hear with
/// [`next_news`](Self::next_news) what becomes of it. Writing waits while the router has no room; news that come meanwhile are kept.
///
/// **Dropping** it before [`finish`](Self::finish) leaves what was written with the router for some time, to go on with
/// [`RatmanIpc::resume`]; afterwards it changes nothing: the router sends the stream, and [`RatmanIpc::stream_follow`] hears of it.
#[derive(Debug)]
pub struct Sending {
    ipc: RatmanIpc,
    auth: AuthToken,
    /// None once nothing is awaited on it any more.
    connection: Option<Connection>,
    token: ResumeToken,
    news: NewsBox,
    offset: u64,
    written: u64,
    /// Whether the content was said to be complete.
    is_ended: bool,
    /// What ended all of it, where nobody was told yet.
    failure: Option<Error>,
}

impl RatmanIpc {
    /// Begins to send a stream, from an address that is up. The router may take its time if it sends many.
    ///
    /// # Errors
    /// [`Error::Input`] for recipients that cannot be, [`Error::InvalidAuth`], [`Error::Refused`] where the router has no room, and
    /// those of every request.
    pub async fn send(&self, auth: &AuthToken, outgoing: Outgoing) -> Result<Sending> {
        let new = outgoing.into_new_stream()?;
        let (from, to) = (new.from, new.to.clone());
        let (connection, opened) = self.open_sending(&Request::StreamCreate(new), auth).await?;
        if !opened.streams.iter().map(|stream| stream.to).eq(to.iter().copied()) || opened.offset.0 != 0 {
            return Err(Error::Protocol("other streams were opened than were asked for".to_owned()));
        }
        let token = ResumeToken::new(from, opened.streams.to_vec());
        Ok(self.sending(auth, connection, token, 0))
    }

    /// Goes on with a stream whose connection broke, or whose program ended, before all content was with the router; whoever writes has
    /// to begin at [`Sending::offset`]. An irdest-gateway keeps what it has for 10 minutes and while it runs, of streams to few
    /// recipients.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the router keeps it no more; else as [`RatmanIpc::send`].
    pub async fn resume(&self, auth: &AuthToken, token: &ResumeToken, progress: bool) -> Result<Sending> {
        let request = Request::StreamResume(token.to_request(progress));
        let mut pauses = NOTICING.into_iter();
        let (connection, opened) = loop {
            match (self.open_sending(&request, auth).await, pauses.next()) {
                (Err(Error::NotFound(_)), Some(pause)) => tokio::time::sleep(pause).await,
                (result, _) => break result?,
            }
        };
        if *opened.streams != *token.streams() {
            return Err(Error::Protocol("other streams were opened than were asked for".to_owned()));
        }
        Ok(self.sending(auth, connection, token.clone(), opened.offset.0))
    }

    async fn open_sending(&self, request: &Request, auth: &AuthToken) -> Result<(Connection, Opened)> {
        let mut connection = self.open(request, auth).await?;
        let answer = connection.reply(request.mode());
        let reply = within(Some(self.reply_timeout()), "the answer of the router", answer).await?;
        answer!(settled(reply, request.mode())?, Reply::Opened(opened) => (connection, opened))
    }

    fn sending(&self, auth: &AuthToken, connection: Connection, token: ResumeToken, offset: u64) -> Sending {
        Sending {
            ipc: self.clone(),
            auth: auth.clone(),
            connection: Some(connection),
            news: NewsBox::new(token.streams()),
            token,
            offset,
            written: 0,
            is_ended: false,
            failure: None,
        }
    }
}

impl Sending {
    /// From which byte of the content on it is to be written: 0, unless it was resumed.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes were written since.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// What to keep to go on later; see [`RatmanIpc::resume`].
    pub const fn resume_token(&self) -> &ResumeToken {
        &self.token
    }

    /// Writes all that comes from a reader, which stands at [`offset`](Self::offset) plus [`written`](Self::written), and says how much
    /// it was. The content is not complete before [`finish`](Self::finish).
    ///
    /// Cancellation: what was read and not written is lost, so a reader cannot be gone on with; a new one can, at
    /// [`offset`](Self::offset) plus [`written`](Self::written).
    ///
    /// # Errors
    /// Those of the reader as [`Error::Io`], and those of the stream.
    pub async fn copy_from(&mut self, reader: &mut (impl AsyncRead + Unpin + ?Sized)) -> Result<u64> {
        let mut piece = zeroize::Zeroizing::new(vec![0; MAX_CONTENT]);
        let before = self.written;
        loop {
            let length = reader.read(&mut piece).await?;
            if length == 0 {
                return Ok(self.written - before);
            }
            self.write_all(&piece[..length]).await?;
        }
    }

    /// Says that the content is complete. Whether the router agrees, the news tell. Doing it twice does no more.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Error::Lost`], and [`Error::Ended`] where every recipient's stream is over already.
    pub async fn finish(&mut self) -> Result<()> {
        poll_fn(|cx| self.poll_finish(cx)).await
    }

    /// Waits for the next that is known of a stream; nothing after each recipient's [last](News::is_last). News may come before the
    /// content is complete.
    ///
    /// Cancel safe: no news are lost.
    ///
    /// # Errors
    /// What ended all of it: [`Error::Refused`] for content that the router does not take, [`Error::Lost`].
    pub async fn next_news(&mut self) -> Result<Option<(Recipient, News)>> {
        poll_fn(|cx| self.poll_news(cx)).await
    }

    /// Waits until the router answers for the stream to each recipient: it is [`Accepted`](News::Accepted), or over. Says what became of
    /// those that are over by then and have not got it; other news are passed over.
    ///
    /// Cancel safe, but what was passed over is not told again.
    ///
    /// # Errors
    /// As [`Sending::next_news`].
    pub async fn accepted(&mut self) -> Result<Vec<(Recipient, News)>> {
        let mut waiting: std::collections::BTreeSet<_> =
            self.token.streams().iter().map(|stream| stream.to).collect();
        let mut failed = Vec::new();
        while !waiting.is_empty() {
            let Some((to, news)) = self.next_news().await? else { break };
            match news {
                News::Progress(_) => {}
                News::Accepted | News::Stored | News::Delivered | News::Published => {
                    waiting.remove(&to);
                }
                News::Refused | News::Denied | News::Expired | News::Failed | News::Cancelled => {
                    if waiting.remove(&to) {
                        failed.push((to, news));
                    }
                }
            }
        }
        Ok(failed)
    }

    /// Waits until the router answers for it, and says under which names.
    pub(crate) async fn confirm(&mut self) -> Result<Vec<OpenedStream>> {
        let failed = self.accepted().await?;
        let streams = self.token.streams();
        let Some((to, news)) = failed.first() else { return Ok(streams.to_vec()) };
        let (failed, all) = (failed.len(), streams.len());
        Err(Error::Router(format!("{failed} of {all} recipients do not get it; {to}: {news:?}")))
    }

    /// Gives the stream up: who does not have all of it yet never will.
    ///
    /// Cancellation: the router may have been told or not.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn cancel(mut self) -> Result<()> {
        if let Some(mut connection) = self.connection.take() {
            connection.queue(&Request::Cancel(Nothing).to_frame(None));
            let stopping = poll_fn(|cx| connection.poll_stopped(cx));
            within(Some(self.ipc.reply_timeout()), "the answer of the router", stopping).await?;
            self.ipc.put_back(connection);
        }
        if !self.is_ended {
            return Ok(());
        }
        for stream in self.news.open() {
            let key = StreamKey { from: self.token.from(), to: stream.to, stream: stream.stream };
            match self.ipc.stream_destroy(&self.auth, key).await {
                // It came to its end meanwhile.
                Ok(()) | Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes what has come; ready when nothing more comes.
    fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.news.is_complete() {
            let Some(connection) = &mut self.connection else { return Poll::Ready(()) };
            let error = match ready!(connection.poll_from_router(cx, STREAM)) {
                Ok(FromRouter::Reply(Reply::News(news))) => {
                    if self.news.put(news) {
                        continue;
                    }
                    Error::Protocol("news of a stream that is not this one".to_owned())
                }
                Ok(FromRouter::Reply(other)) => Error::unexpected(&other),
                Ok(FromRouter::Stream(_) | FromRouter::Content(_) | FromRouter::End) => {
                    Error::Protocol("content came where news were to come".to_owned())
                }
                Err(error) => error,
            };
            self.fail(error);
        }
        Poll::Ready(())
    }

    /// The connection is of no use any more; what came before is told first.
    fn fail(&mut self, error: Error) {
        self.connection = None;
        self.failure = Some(error);
    }

    /// Says what is to be said.
    fn poll_say(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(())) };
        let Err(error) = ready!(connection.poll_flush(cx)) else { return Poll::Ready(Ok(())) };
        // Why the router closed the connection is told by what it said before.
        let _ = self.poll_hear(cx);
        if self.connection.is_some() {
            self.fail(error);
        }
        Poll::Ready(Err(self.failure.take().unwrap_or(Error::Ended)))
    }

    fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<(Recipient, News)>>> {
        // News come only if the router has heard all.
        if let Poll::Ready(Err(error)) = self.poll_say(cx) {
            self.failure = Some(error);
        }
        let heard = self.poll_hear(cx);
        if let Some(news) = self.news.take() {
            return Poll::Ready(Ok(Some(news)));
        }
        ready!(heard);
        if !self.news.is_complete() {
            return Poll::Ready(Err(self.failure.take().unwrap_or(Error::Ended)));
        }
        // A router that ended the streams before it read the end of the content has something to say against that.
        let is_quiet = self.is_ended && self.news.is_of_whole_content();
        if let Some(connection) = self.connection.take().filter(|_| is_quiet) {
            self.ipc.put_back(connection);
        }
        Poll::Ready(Ok(None))
    }

    /// Makes room for something to be said.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.poll_hear(cx).is_ready() {
            // Where all are over, whoever writes hears why with the news.
            return Poll::Ready(Err(self.failure.take().unwrap_or(Error::Ended)));
        }
        self.poll_say(cx)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if !self.is_ended {
            ready!(self.poll_ready(cx))?;
            let end = Request::End(Nothing).to_frame(None);
            self.connection.as_mut().ok_or(Error::Ended)?.queue(&end);
            self.is_ended = true;
        }
        self.poll_say(cx)
    }
}

/// Writes content, piece by piece; [`poll_shutdown`](AsyncWrite::poll_shutdown) is [`finish`](Sending::finish). Errors are
/// [`Error`]s within.
impl AsyncWrite for Sending {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let sending = self.get_mut();
        if sending.is_ended {
            return Poll::Ready(Err(Error::Ended.into()));
        }
        let piece = &buf[..buf.len().min(MAX_CONTENT)];
        let Some(content) = Content::new(piece.to_vec()) else { return Poll::Ready(Ok(0)) };
        ready!(sending.poll_ready(cx))?;
        let connection = sending.connection.as_mut().ok_or(Error::Ended)?;
        connection.queue(&content.into_frame());
        sending.written += u64::try_from(piece.len()).expect("invariant: a length fits");
        // What the system does not take at once goes first the next time, whatever that is.
        match sending.poll_say(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(piece.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_say(cx).map_err(io::Error::from)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_finish(cx).map_err(io::Error::from)
    }
}
