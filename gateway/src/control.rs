// SPDX-License-Identifier: AGPL-3.0-or-later
//! The control socket: who may, asks a running daemon one line of JSON at a time and gets one line back.
//!
//! `{"get":"status"}` is answered by `{"status":{…}}`, `{"get":"links"}` by `{"links":{…}}`, anything else by `{"error":"…"}`. The server owns no state: each
//! request goes to the control loop, which answers when it gets to it. `{"stream":{…}}` begins a [conversation](StreamRequest)
//! about one stream, with the message plane. `{"address":…}`, `{"contact":…}` and `{"trust":…}` go to the desk, which answers by
//! `{"desk":…}`.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

pub(crate) mod allowed;
mod client;
mod conversation;
mod desk_line;
mod server;
mod stream_client;
mod stream_line;
mod urn;

pub use allowed::Allowed;
pub use client::{desk, links, status};
pub use desk_line::{
    AddressLine, AddressRequest, ContactLine, ContactRequest, DeskAnswer, DeskRequest, Doomed, Owned,
    TrustRequest,
};
pub use server::Server;
pub(crate) use server::ask;
pub use stream_client::{StreamError, announce, list, receive, send, take_down, unsubscribe};
pub use stream_line::{Arrived, ListedLine, MAX_PIECE, StreamLine, StreamRequest};
pub use urn::Urn;

use crate::links::Links;
use crate::secret::WipedBytes;
use crate::status::Status;

/// The longest request in bytes, its line feed included; requests known today are a hundredth of it.
pub const MAX_REQUEST: usize = 64 * 1024;

/// Requests that wait for the control loop: one per client, since a client gets its answer before it is read again.
pub const QUEUE: usize = server::MAX_CLIENTS;

/// Why nothing comes of asking on the control socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The system refuses.
    #[error("{path}: cannot {action}: {error}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system answered.
        error: io::Error,
    },
    /// The daemon answered with an error.
    #[error("{path}: the daemon answered: {message}")]
    Refused {
        /// The socket.
        path: PathBuf,
        /// The error as the daemon put it.
        message: String,
    },
    /// What came back is not a reply.
    #[error("{path}: expected one line of JSON with {expected}, got {got}")]
    Reply {
        /// The socket.
        path: PathBuf,
        /// What was asked for.
        expected: &'static str,
        /// What is wrong with it.
        got: String,
    },
}

impl ControlError {
    /// What the system refuses of a socket, for `map_err`.
    fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { path: path.to_owned(), action, error }
    }
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Query {
    /// The [`Status`] of the daemon.
    Status,
    /// Its [`Links`].
    Links,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// To [`Query::Status`].
    Status(Box<Status>),
    /// To [`Query::Links`].
    Links(Links),
}

/// A question on its way to the control loop; dropped unanswered, the client reads that the daemon is ending.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub query: Query,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Answer>,
}

/// The channel from the socket to the control loop.
pub fn requests() -> (mpsc::Sender<Request>, mpsc::Receiver<Request>) {
    mpsc::channel(QUEUE)
}

/// A line from the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RequestLine {
    /// A question to the control loop.
    Get(Query),
    /// The beginning of a conversation with the message plane.
    Stream(StreamRequest),
    /// Something about addresses of clients.
    Address(AddressRequest),
    /// Something about contacts.
    Contact(ContactRequest),
    /// Something about trust.
    Trust(TrustRequest),
}

impl RequestLine {
    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| {
            format!(
                "expected {{\"get\":\"status\"}}, {{\"get\":\"links\"}}, {{\"stream\":{{\"send\" or \"receive\":…}}}}, or something about \"address\", \"contact\" or \"trust\": {error}"
            )
        })
    }
}

/// A line to the client.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReplyLine {
    Error(String),
    Desk(DeskAnswer),
    #[serde(untagged)]
    Answer(Answer),
}

/// A line as it goes over the socket; it may hold an auth token or the key of a namespace.
fn encode(line: &impl Serialize) -> WipedBytes {
    let mut bytes = WipedBytes::default();
    serde_json::to_writer(&mut bytes, line).expect("invariant: a line has text keys only");
    bytes.extend(b"\n");
    bytes
}

#[cfg(test)]
mod tests;
