// SPDX-License-Identifier: AGPL-3.0-or-later
//! The asking side of the control socket: `irdest-gateway status` and `links`, and tests.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{Answer, ControlError, Query, ReplyLine, RequestLine};
use crate::links::Links;
use crate::status::Status;

/// The daemon gives its loop 10 s for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// A status with every table full is some megabytes.
const MAX_REPLY: u64 = 256 << 20;

/// Asks the daemon at `path` for its status; blocks for at most 15 s between bytes.
///
/// # Errors
/// Every variant of [`ControlError`] about a client.
pub fn status(path: &Path) -> Result<Status, ControlError> {
    let expected = "a status";
    match ask(path, Query::Status, expected)? {
        Answer::Status(status) => Ok(*status),
        Answer::Links(_) => Err(other_than(path, expected)),
    }
}

/// Asks the daemon at `path` for its links, as [`status`].
///
/// # Errors
/// As [`status`].
pub fn links(path: &Path) -> Result<Links, ControlError> {
    let expected = "links";
    match ask(path, Query::Links, expected)? {
        Answer::Links(links) => Ok(links),
        Answer::Status(_) => Err(other_than(path, expected)),
    }
}

fn other_than(path: &Path, expected: &'static str) -> ControlError {
    ControlError::Reply { path: path.to_owned(), expected, got: "an answer to something else".to_owned() }
}

fn ask(path: &Path, query: Query, expected: &'static str) -> Result<Answer, ControlError> {
    let failed = |action| {
        let path = path.to_owned();
        move |error| ControlError::Io { path, action, error }
    };
    let stream = UnixStream::connect(path).map_err(failed("reach a running irdest-gateway"))?;
    let line = exchange(stream, query).map_err(failed("ask the daemon"))?;
    let wrong = |got: String| ControlError::Reply { path: path.to_owned(), expected, got };
    if line.is_empty() {
        return Err(wrong("nothing".to_owned()));
    }
    match serde_json::from_slice(&line).map_err(|error| wrong(error.to_string()))? {
        ReplyLine::Answer(answer) => Ok(answer),
        ReplyLine::Error(message) => Err(ControlError::Refused { path: path.to_owned(), message }),
    }
}

fn exchange(mut stream: UnixStream, query: Query) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = serde_json::to_vec(&RequestLine::Get(query))?;
    request.push(b'\n');
    // A daemon that refuses has answered and closed already: its words are worth more than the broken pipe.
    let sent = stream.write_all(&request);
    let mut line = Vec::new();
    BufReader::new(stream.take(MAX_REPLY)).read_until(b'\n', &mut line)?;
    if line.is_empty() { sent.map(|()| line) } else { Ok(line) }
}
