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
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

mod connection;
mod failure;
mod figures;
mod receiving;
mod sending;
mod session;

use crate::control::Request;
use crate::desk::Desk;
use crate::message_plane::Clients;
use connection::Connection;
use session::Session;

/// Programs that are connected at once: each costs a task and two buffers of 8 KiB, and while content goes through it some pieces
/// of 64 KiB. One more waits in the listener's queue until another leaves.
pub const MAX_CLIENTS: usize = 512;

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
}

/// The listening socket of the API.
#[derive(Debug)]
pub struct ClientApi {
    listener: TcpListener,
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
        Ok(Self { listener })
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
        let places = Arc::new(Semaphore::new(MAX_CLIENTS));
        // Clients end with the server.
        let mut clients = JoinSet::new();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let accepted = loop {
                tokio::select! {
                    accepted = self.listener.accept() => break accepted,
                    Some(_) = clients.join_next() => {}
                }
            };
            match accepted {
                Ok((stream, client)) => {
                    let doors = doors.clone();
                    clients.spawn(async move {
                        let _place = place;
                        // Replies are small, and waited for.
                        let _ = stream.set_nodelay(true);
                        let (read, write) = stream.into_split();
                        let left = Session::new(Connection::new(read, write), doors).run().await;
                        debug!(%client, %left, "client left");
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept clients");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
