// SPDX-License-Identifier: AGPL-3.0-or-later
//! `[clients]`: where programs of this host reach the router.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::ClientsConfig;
use super::error::ConfigError;
use super::layer::Value;
use super::section::{Form, Section};
use super::value::{FLAG, LISTEN, SOCKET_PATH, text};

/// Tokens cross it as they are, so that it stays within the host.
const LOOPBACK: Form<SocketAddr> = Form {
    expected: "an address of the loopback interface and a port, such as \"127.0.0.1:5852\" or \"[::1]:5852\"",
    parse: |value: &Value| (LISTEN.parse)(value).filter(|address| address.ip().is_loopback()),
};

/// Nothing where it is empty.
const SOCKET: Form<Option<PathBuf>> = Form {
    expected: "an absolute path of at most 107 bytes, or \"\" for none",
    parse: |value: &Value| match text(value)? {
        "" => Some(None),
        _ => (SOCKET_PATH.parse)(value).map(Some),
    },
};

pub(super) fn parse(clients: &mut Section<'_>) -> Result<ClientsConfig, ConfigError> {
    Ok(ClientsConfig {
        enable: clients.get("enable", &FLAG)?,
        listen: clients.get("listen", &LOOPBACK)?,
        socket: clients.get("socket", &SOCKET)?,
    })
}
