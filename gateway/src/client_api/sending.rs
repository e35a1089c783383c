// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams that a client sends as deployed ones do: the content comes over a second connection, once for all recipients.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use ratman_types::Recipient;
use ratman_wire::api::{ClientError, Letterhead, Microframe, Reply};
use ratman_wire::stream::Lifetime;
use router_core::stream::Routing;
use router_core::streams::SendError;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::failure::Failure;
use super::session::{Session, missing};
use crate::message_plane::{Ending, News, Outgoing, Sending, Told};

/// A client has so long to connect to the socket for the content.
const TO_CONNECT: Duration = Duration::from_secs(30);

/// For how long a stream is wanted of which its client does not say that: as long as the command line takes it to be.
const WANTED_FOR: Lifetime = Lifetime::from_secs(7 * 86_400).expect("a week is below 30 days");

/// The most of the content that is read at a time; with as many recipients as may be, 64 MiB.
const PIECE: usize = 64 * 1024;

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Session<R, W> {
    /// Sends content to all who are named; answered when it is durable here for each of them.
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
        self.authorise(from, frame).await?;
        let mut sendings = Vec::with_capacity(letterheads.len());
        for letterhead in letterheads {
            let lifetime = match letterhead.to {
                Recipient::Address(_) => WANTED_FOR,
                Recipient::Namespace(_) => Lifetime::MAX_FLOODED,
            };
            let outgoing =
                Outgoing { recipient: letterhead.to, size: None, lifetime, routing: Routing::Push };
            sendings.push(self.doors.streams.send_as(from, outgoing).await??);
        }
        let content = self.content_socket(frame).await?;
        self.take_content(content, &sendings).await?;
        for sending in &sendings {
            sending.finish().await??;
        }
        for sending in &mut sendings {
            accepted(sending).await?;
        }
        Ok(Reply::Ok)
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
    async fn take_content(&mut self, mut content: TcpStream, sendings: &[Sending]) -> Result<(), Failure> {
        let mut before: Vec<oneshot::Receiver<Result<(), SendError>>> = Vec::new();
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            tokio::select! {
                read = content.read_buf(&mut piece) => drop(read.map_err(broken)?),
                left = self.connection.left() => return Err(left.into()),
            }
            for taken in before.drain(..) {
                taken.await.map_err(|_| Failure::internal("the journal did not take the content"))??;
            }
            if piece.is_empty() {
                return Ok(());
            }
            before.extend(sendings.iter().map(|sending| sending.write(piece.clone())));
        }
    }
}

/// The connection for the content fails; the client hears it on the other one.
fn broken(error: io::Error) -> Failure {
    Failure::internal(&format!("the connection for the content: {error}"))
}

/// Waits until a stream is durable here.
async fn accepted(sending: &mut Sending) -> Result<(), Failure> {
    match sending.told(false).await {
        Some(Told::News(News::Failed)) => Err(Failure::internal("the journal did not take the stream")),
        Some(
            Told::News(News::Accepted | News::Shared(_) | News::Stored | News::Ended(_)) | Told::Progress(_),
        ) => Ok(()),
        None => Err(Ending.into()),
    }
}
