// SPDX-License-Identifier: AGPL-3.0-or-later
//! Where a router listens for clients.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What stands before the path of a unix socket in a text.
const UNIX: &str = "unix:";

/// The port of the client API (source: deployed routers, section 8).
const PORT: u16 = 5852;

/// Where routers listen for the clients of their host unless told otherwise: 127.0.0.1:5852.
pub fn default_api_bind() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))
}

/// Where a router listens for clients. As a text `127.0.0.1:5852`, or `unix:` and a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ApiBind {
    /// A TCP port. Who is on it is not known to the router: it is not for what only operators may do. What crosses it is not
    /// encrypted, so keep to the loopback interface.
    Tcp(SocketAddr),
    /// A unix socket, on which the router knows who asks.
    Unix(PathBuf),
}

/// [`default_api_bind`].
impl Default for ApiBind {
    fn default() -> Self {
        Self::Tcp(default_api_bind())
    }
}

impl From<SocketAddr> for ApiBind {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<PathBuf> for ApiBind {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}

impl From<&Path> for ApiBind {
    fn from(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }
}

impl fmt::Display for ApiBind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// Why a text is no [`ApiBind`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address with a port such as 127.0.0.1:5852, or unix: and a path, got {0:?}")]
pub struct ParseApiBindError(String);

impl FromStr for ApiBind {
    type Err = ParseApiBindError;

    fn from_str(text: &str) -> Result<Self, ParseApiBindError> {
        let wrong = || ParseApiBindError(text.chars().take(256).collect());
        match text.strip_prefix(UNIX) {
            Some("") => Err(wrong()),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back() {
        for text in ["127.0.0.1:5852", "[::1]:9", "unix:/run/irdest/clients", "unix:relative"] {
            assert_eq!(text.parse::<ApiBind>().unwrap().to_string(), text);
        }
        assert_eq!(ApiBind::default().to_string(), "127.0.0.1:5852");
        for wrong in ["", "localhost:5852", "127.0.0.1", "unix:", "/run/irdest"] {
            assert!(wrong.parse::<ApiBind>().is_err(), "{wrong}");
        }
    }
}
