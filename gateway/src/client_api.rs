// SPDX-License-Identifier: AGPL-3.0-or-later
//! The client API: programs of this host that are no operators make addresses, and send and receive streams with them, over TCP on the
//! loopback interface. What deployed 0.6 programs say is answered as they expect it (source: wire page, client API); bytes and what
//! must be true of them are [`ratman_wire::api`]'s.
//!
//! Whoever reaches the port may make an address; everything done with one needs its token, and that it is up.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::IpFreebind};
use ratman_wire::api::{ClientError, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, info, warn};

mod connection;
mod failure;
mod figures;
mod receiving;
mod sending;
mod session;
mod streams;

use crate::control::Request;
use crate::desk::Desk;
use crate::message_plane::Clients;
use connection::{Connection, Left};
use figures::Figures;
use session::Session;
use streams::ParkingLot;

/// Programs that are connected at once: each costs a task and a buffer of some KiB, and while content goes through it some pieces
/// of 64 KiB. One more is told so.
pub const MAX_CLIENTS: usize = 512;

/// Streams that all of them send at once: each costs a MiB of blocks that wait for its way at most. One more waits for its turn.
pub(crate) const MAX_SENDINGS: usize = 64;

/// Clients that are told at once that there is no place,
const MAX_REFUSALS: usize = 64;

/// and how long each of them may take to hear it.
const TO_BE_REFUSED: Duration = Duration::from_secs(1);

/// After an error that is not the client's, such as no free descriptor, accepting again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;

/// What clients reach through the API.
#[derive(Clone, Debug)]
pub struct Doors {
    /// The message plane.
    pub streams: Clients,
    /// The addresses of clients.
    pub desk: Desk,
    /// The control loop.
    pub requests: mpsc::Sender<Request>,
    /// Places for streams that are sent.
    sendings: Arc<Semaphore>,
    /// Streams whose clients were cut off.
    parked: ParkingLot,
    /// What the control loop said last.
    figures: Figures,
}

impl Doors {
    /// Of these.
    pub fn new(streams: Clients, desk: Desk, requests: mpsc::Sender<Request>) -> Self {
        let sendings = Arc::new(Semaphore::new(MAX_SENDINGS));
        let (parked, figures) = (ParkingLot::default(), Figures::default());
        Self { streams, desk, requests, sendings, parked, figures }
    }
}

/// The listening socket of the API.
#[derive(Debug)]
pub struct ClientApi {
    listener: TcpListener,
    most: usize,
}

impl ClientApi {
    /// Listens. The address need not be there yet: the loopback interface of a network namespace may come up later.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Another program listens there, or the system refuses.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        setsockopt(&socket, IpFreebind, &true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        info!(%address, "clients may connect");
        Ok(Self { listener, most: MAX_CLIENTS })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves clients until the future is dropped.
    pub async fn serve(self, doors: Doors) {
        let places = Arc::new(Semaphore::new(self.most));
        let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
        // Clients end with the server.
        let mut clients = JoinSet::new();
        loop {
            let accepted = loop {
                tokio::select! {
                    accepted = self.listener.accept() => break accepted,
                    Some(_) = clients.join_next() => {}
                }
            };
            let (stream, client) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "cannot accept clients");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                let doors = doors.clone();
                clients.spawn(async move {
                    let _place = place;
                    let left = serve(stream, doors).await;
                    debug!(%client, %left, "client left");
                });
            } else if let Ok(place) = Arc::clone(&refusals).try_acquire_owned() {
                // Beyond, they are cut off.
                clients.spawn(async move {
                    let _place = place;
                    refuse(stream).await;
                });
            }
        }
    }
}

async fn serve(stream: TcpStream, doors: Doors) -> Left {
    // Replies are small, and waited for.
    let _ = stream.set_nodelay(true);
    let (read, write) = stream.into_split();
    Session::new(Connection::new(read, write), doors).run().await
}

/// Tells a client that finds no place why. What it says meanwhile is read: the reply would be lost with it otherwise.
async fn refuse(mut stream: TcpStream) {
    debug!(limit = MAX_CLIENTS, "too many clients");
    let full = ClientError::internal("too many clients at once, try again");
    let told = async {
        stream.write_all(&Reply::Error(full).to_frame(None).encode()).await?;
        stream.shutdown().await?;
        while stream.read(&mut [0; 1024]).await? > 0 {}
        io::Result::Ok(())
    };
    // Who does not take it need not have it.
    let _ = timeout(TO_BE_REFUSED, told).await;
}

#[cfg(test)]
mod tests;
