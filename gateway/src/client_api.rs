// SPDX-License-Identifier: AGPL-3.0-or-later
//! The client API: programs of this host make addresses, and send and receive streams with them, over TCP on the loopback interface or
//! a unix socket. What deployed 0.6 programs say is answered as they expect it (source: wire page, client API); bytes and what must be
//! true of them are [`ratman_wire::api`]'s.
//!
//! Whoever reaches either may make an address; everything done with one needs its token, and that it is up. What steers the router is
//! for operators, on the unix socket.

use std::fmt;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::IpFreebind};
use ratman_wire::api::{ClientError, Reply};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, info, warn};

mod anycast;
mod connection;
mod failure;
mod figures;
mod filters;
mod namespaces;
mod operator;
mod places;
mod queries;
mod receiving;
mod sending;
mod sending_places;
mod session;
mod stop;
mod streams;
mod subscriptions;
mod unix;
mod who;

use crate::control::{Allowed, Request};
use crate::desk::Desk;
use crate::local_socket::SocketError;
use crate::message_plane::Clients;
use connection::{Connection, Left};
use figures::Figures;
use places::{Limits, NoPlace, Places};
pub use places::{MAX_CLIENTS, MAX_PER_USER, OPERATORS_OWN};
use sending_places::SendingPlaces;
use session::Session;
use streams::ParkingLot;
use subscriptions::Subscribers;
use unix::ClientSocket;
use who::Who;

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
    sendings: SendingPlaces,
    /// Streams whose clients were cut off.
    parked: ParkingLot,
    /// Subscriptions that have a socket.
    subscribers: Subscribers,
    /// What the control loop said last.
    figures: Figures,
}

impl Doors {
    /// Of these.
    pub fn new(streams: Clients, desk: Desk, requests: mpsc::Sender<Request>) -> Self {
        let sendings = SendingPlaces::new();
        let (parked, subscribers) = (ParkingLot::default(), Subscribers::default());
        let figures = Figures::default();
        Self { streams, desk, requests, sendings, parked, subscribers, figures }
    }
}

/// The listening sockets of the API.
#[derive(Debug)]
pub struct ClientApi {
    tcp: Option<TcpListener>,
    socket: Option<ClientSocket>,
    places: Places,
}

/// Who connected.
enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream, Who),
}

impl Default for ClientApi {
    fn default() -> Self {
        Self { tcp: None, socket: None, places: Places::new(Limits::default()) }
    }
}

impl ClientApi {
    /// Listens for TCP connections. The address need not be there yet: the loopback interface of a network namespace may come up
    /// later.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Another program listens there, or the system refuses.
    pub fn listen(&mut self, address: SocketAddr) -> io::Result<()> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        setsockopt(&socket, IpFreebind, &true)?;
        socket.bind(address)?;
        self.tcp = Some(socket.listen(BACKLOG)?);
        info!(%address, "clients may connect");
        Ok(())
    }

    /// Opens a unix socket, which everybody may connect to; its file goes when this is dropped. Those who are `allowed` to ask on the
    /// control socket may ask for what needs the operator.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Every variant of [`SocketError`].
    pub fn open_socket(&mut self, path: &Path, allowed: Allowed) -> Result<(), SocketError> {
        self.socket = Some(ClientSocket::bind(path, allowed)?);
        Ok(())
    }

    /// Where it listens for TCP connections, if it does.
    pub fn address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().and_then(|tcp| tcp.local_addr().ok())
    }

    /// Whether anybody can connect.
    pub fn is_open(&self) -> bool {
        self.tcp.is_some() || self.socket.is_some()
    }

    /// Serves clients until the future is dropped.
    pub async fn serve(self, doors: Doors) {
        let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
        // Clients end with the server.
        let mut clients = JoinSet::new();
        loop {
            let accepted = loop {
                tokio::select! {
                    accepted = self.accept() => break accepted,
                    Some(_) = clients.join_next() => {}
                }
            };
            let accepted = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "cannot accept clients");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let client = accepted.to_string();
            let why = match self.places.take(accepted.who()) {
                Ok(place) => {
                    let doors = doors.clone();
                    clients.spawn(async move {
                        let _place = place;
                        let left = accepted.serve(doors).await;
                        debug!(client, %left, "client left");
                    });
                    continue;
                }
                Err(why) => why,
            };
            debug!(client, %why, "a client finds no place");
            // Beyond, they are cut off.
            if let Ok(place) = Arc::clone(&refusals).try_acquire_owned() {
                clients.spawn(async move {
                    let _place = place;
                    accepted.refuse(why).await;
                });
            }
        }
    }

    async fn accept(&self) -> io::Result<Accepted> {
        let tcp = async {
            match &self.tcp {
                Some(tcp) => tcp.accept().await.map(|(stream, client)| Accepted::Tcp(stream, client)),
                None => pending().await,
            }
        };
        let unix = async {
            match &self.socket {
                Some(socket) => socket.accept().await.map(|(stream, who)| Accepted::Unix(stream, who)),
                None => pending().await,
            }
        };
        tokio::select! {
            accepted = tcp => accepted,
            accepted = unix => accepted,
        }
    }
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(_, client) => client.fmt(f),
            Self::Unix(_, who) => who.fmt(f),
        }
    }
}

impl Accepted {
    const fn who(&self) -> Who {
        match self {
            Self::Tcp(..) => Who::UNKNOWN,
            Self::Unix(_, who) => *who,
        }
    }

    async fn serve(self, doors: Doors) -> Left {
        let who = self.who();
        match self {
            Self::Tcp(stream, _) => {
                // Replies are small, and waited for.
                let _ = stream.set_nodelay(true);
                let (read, write) = stream.into_split();
                Session::new(Connection::new(read, write), doors, who).run().await
            }
            Self::Unix(stream, _) => {
                let (read, write) = stream.into_split();
                Session::new(Connection::new(read, write), doors, who).run().await
            }
        }
    }

    async fn refuse(self, why: NoPlace) {
        match self {
            Self::Tcp(stream, _) => refuse(stream, why).await,
            Self::Unix(stream, _) => refuse(stream, why).await,
        }
    }
}

/// Tells a client that finds no place why. What it says meanwhile is read: the reply would be lost with it otherwise.
async fn refuse(mut stream: impl AsyncRead + AsyncWrite + Unpin, why: NoPlace) {
    let told = async {
        let full = Reply::Error(ClientError::internal(&why.to_string()));
        stream.write_all(&full.to_frame(None).encode()).await?;
        stream.shutdown().await?;
        while stream.read(&mut [0; 1024]).await? > 0 {}
        io::Result::Ok(())
    };
    // Who does not take it need not have it.
    let _ = timeout(TO_BE_REFUSED, told).await;
}

#[cfg(test)]
mod tests;
