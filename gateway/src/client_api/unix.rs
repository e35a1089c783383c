// SPDX-License-Identifier: AGPL-3.0-or-later
//! The unix socket of the client API. Whoever may connect over TCP may connect here; what is more is that the kernel says who they
//! are (decisions/client-socket.md).

use std::io;
use std::path::Path;

use tokio::net::UnixStream;
use tracing::info;

use super::who::Who;
use crate::control::Allowed;
use crate::local_socket::{LocalSocket, SocketError};

/// Everybody may connect.
const MODE: u32 = 0o666;

/// The bound socket; its file goes when this is dropped.
#[derive(Debug)]
pub(super) struct ClientSocket {
    socket: LocalSocket,
    allowed: Allowed,
}

impl ClientSocket {
    /// Binds `path`; `allowed` operate. Must be called within a tokio runtime.
    pub(super) fn bind(path: &Path, allowed: Allowed) -> Result<Self, SocketError> {
        let socket = LocalSocket::bind(path, MODE, "clients.socket")?;
        info!(path = %path.display(), "clients may connect");
        Ok(Self { socket, allowed })
    }

    /// The next who connects, and who they are. Cancel safe.
    pub(super) async fn accept(&self) -> io::Result<(UnixStream, Who)> {
        let stream = self.socket.accept().await?;
        let who = stream.peer_cred()?;
        Ok((stream, Who::of_user(self.allowed, who.uid(), who.gid())))
    }
}
