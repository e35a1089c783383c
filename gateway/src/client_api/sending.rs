// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams that a client sends as deployed ones do: the content comes over a second connection, once for all recipients.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use ratman_types::Recipient;
use ratman_wire::api::{ClientError, Letterhead, Microframe, Reply};
use ratman_wire::stream::Lifetime;
use router_core::stream::{Ended, Routing};
use router_core::streams::SendError;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::connection::IDLE;
use super::failure::Failure;
use super::sending_places::{MAX_SENDINGS_OF_ONE, SendingPlace};
use super::session::{Session, missing};
use crate::control::StreamLine;
use crate::message_plane::{Ending, News, Outgoing, Sending, Told};

/// A client has so long to connect to the socket for the content.
const TO_CONNECT: Duration = Duration::from_secs(30);

/// The most of the content that is read at a time.
const PIECE: usize = 64 * 1024;

/// One of those whom the content is for.
struct Target {
    sending: Sending,
    /// Why it does not get it, where that is so.
    failed: Option<String>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Session<R, W> {
    /// Sends content to all who are named; answered when it is durable here for each of them. Where nothing can be sent to one of them at
    /// all, nobody gets anything, and the client is told before it gives the content. One who turns out not to get it later keeps nobody
    /// else from it, and the client is told in the end (decisions/sending-to-many.md).
    pub(super) async fn send(
        &mut self,
        letterheads: Vec<Letterhead>,
        frame: &Microframe,
    ) -> Result<Reply, Failure> {
        let from = letterheads.first().ok_or_else(|| missing("a letterhead"))?.from;
        if letterheads.iter().any(|letterhead| letterhead.from != from) {
            // One token is that of one address.
            return Err(ClientError::InvalidAuth.into());
        }
        self.authorise(&from, frame)?;
        let _places = self.places(letterheads.len()).await?;
        let mut targets = Vec::with_capacity(letterheads.len());
        for letterhead in letterheads {
            let lifetime = Lifetime::usual_to(&letterhead.to);
            let Letterhead { to: recipient, auxiliary_data, .. } = letterhead;
            let routing = Routing::Push;
            let outgoing = Outgoing { recipient, size: None, lifetime, routing, auxiliary_data };
            let sending = self.doors.streams.send_as(from, outgoing).await??;
            targets.push(Target { sending, failed: None });
        }
        let content = self.content_socket(frame).await?;
        self.take_content(content, &mut targets).await?;
        for target in &mut targets {
            target.finish().await;
        }
        for target in &mut targets {
            target.accepted().await;
        }
        verdict(&targets)
    }

    /// Places for so many streams that are sent at once.
    pub(super) async fn places(&mut self, number: usize) -> Result<SendingPlace, Failure> {
        let most = MAX_SENDINGS_OF_ONE;
        let Some(places) = u32::try_from(number).ok().filter(|_| number <= most) else {
            let most = format!("expected at most {most} recipients, got {number}");
            return Err(ClientError::invalid_input(&most).into());
        };
        let user = self.who.asker.uid;
        tokio::select! {
            places = self.doors.sendings.take(user, places) => {
                places.ok_or_else(|| Failure::internal("too many streams are being sent, try again"))
            }
            left = self.connection.left() => Err(left.into()),
        }
    }

    /// The connection over which the content comes: the client is told where, and has to come.
    async fn content_socket(&mut self, frame: &Microframe) -> Result<TcpStream, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(broken)?;
        let address = listener.local_addr().map_err(broken)?;
        self.connection.reply(&Reply::SendSocket(address), frame.auth.as_ref()).await?;
        tokio::select! {
            accepted = timeout(TO_CONNECT, listener.accept()) => match accepted {
                Ok(accepted) => Ok(accepted.map_err(broken)?.0),
                Err(_) => Err(Failure::internal("nobody connected to the socket for the content")),
            },
            left = self.connection.left() => Err(left.into()),
        }
    }

    /// Hands the content over, to all at the same pace: while the message plane has one piece, the next is read.
    async fn take_content(&mut self, mut content: TcpStream, targets: &mut [Target]) -> Result<(), Failure> {
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            tokio::select! {
                // A client that is killed closes both connections: what it sent until then is no whole content.
                biased;
                left = self.connection.left() => return Err(left.into()),
                read = timeout(IDLE, content.read_buf(&mut piece)) => match read {
                    Ok(read) => drop(read.map_err(broken)?),
                    // Others wait for its place.
                    Err(_) => return Err(Failure::internal("no content came for too long")),
                },
            }
            if piece.is_empty() {
                return match self.connection.has_left().await {
                    Some(left) => Err(left.into()),
                    None => Ok(()),
                };
            }
            let writing: Vec<_> = targets.iter().map(|target| target.write(&piece)).collect();
            for (target, taken) in targets.iter_mut().zip(writing) {
                if let Some(taken) = taken {
                    target.has_taken(taken.await);
                }
            }
            if targets.iter().all(|target| target.failed.is_some()) {
                return Ok(());
            }
        }
    }
}

impl Target {
    fn write(&self, piece: &[u8]) -> Option<oneshot::Receiver<Result<(), SendError>>> {
        self.failed.is_none().then(|| self.sending.write(piece.to_vec()))
    }

    fn has_taken(&mut self, taken: Result<Result<(), SendError>, oneshot::error::RecvError>) {
        match taken {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.failed = Some(error.to_string()),
            Err(_) => self.has_ended(),
        }
    }

    /// The message plane let go of the stream, and may say why.
    fn has_ended(&mut self) {
        let why = self.sending.news_at_once().map(|news| StreamLine::from(news).to_string());
        self.failed = Some(why.unwrap_or_else(|| Ending.to_string()));
    }

    async fn finish(&mut self) {
        if self.failed.is_some() {
            return;
        }
        match self.sending.finish().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.failed = Some(error.to_string()),
            Err(Ending) => self.has_ended(),
        }
    }

    /// Waits until the stream is durable here.
    async fn accepted(&mut self) {
        if self.failed.is_some() {
            return;
        }
        match self.sending.told(false).await {
            Some(Told::News(
                News::Accepted | News::Stored | News::Ended(Ended::Delivered | Ended::Published),
            )) => {}
            Some(Told::News(news)) => self.failed = Some(StreamLine::from(news).to_string()),
            Some(Told::Progress(_)) | None => self.failed = Some(Ending.to_string()),
        }
    }
}

/// What the client is told in the end.
fn verdict(targets: &[Target]) -> Result<Reply, Failure> {
    let failed: Vec<_> =
        targets.iter().filter_map(|target| Some((target, target.failed.as_ref()?))).collect();
    let Some((first, why)) = failed.first() else { return Ok(Reply::Ok) };
    let to = match &first.sending.key().recipient {
        Recipient::Address(address) => address.to_string(),
        Recipient::Namespace(namespace) => namespace.to_string(),
    };
    Err(Failure::internal(&format!(
        "{} of {} recipients do not get it; {to}: {why}",
        failed.len(),
        targets.len()
    )))
}

/// The connection for the content fails; the client hears it on the other one.
fn broken(error: io::Error) -> Failure {
    Failure::internal(&format!("the connection for the content: {error}"))
}
