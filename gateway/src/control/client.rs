// SPDX-License-Identifier: AGPL-3.0-or-later
//! The asking side of the control socket: `irdest-gateway status` and those that get one answer to one question, and tests.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Answer, ControlError, DeskAnswer, DeskRequest, Query, ReplyLine, RequestLine, encode};
use crate::links::Links;
use crate::secret::WipedBytes;
use crate::status::Status;

/// What fails where no daemon runs.
pub(super) const REACH: &str = "reach a running irdest-gateway";

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

/// Asks the daemon at `path` for something about addresses, contacts or trust, as [`status`].
///
/// # Errors
/// As [`status`]; what the daemon refuses is [`ControlError::Refused`].
pub fn desk(path: &Path, request: DeskRequest) -> Result<DeskAnswer, ControlError> {
    let expected = "an answer of the desk";
    match reply(path, &RequestLine::from(request), expected)? {
        ReplyLine::Desk(answer) => Ok(answer),
        ReplyLine::Answer(_) => Err(other_than(path, expected)),
        ReplyLine::Error(message) => Err(ControlError::Refused { path: path.to_owned(), message }),
    }
}

fn ask(path: &Path, query: Query, expected: &'static str) -> Result<Answer, ControlError> {
    match reply(path, &RequestLine::Get(query), expected)? {
        ReplyLine::Answer(answer) => Ok(answer),
        ReplyLine::Desk(_) => Err(other_than(path, expected)),
        ReplyLine::Error(message) => Err(ControlError::Refused { path: path.to_owned(), message }),
    }
}

fn reply(path: &Path, request: &RequestLine, expected: &'static str) -> Result<ReplyLine, ControlError> {
    let stream = UnixStream::connect(path).map_err(ControlError::io(path, REACH))?;
    let line = exchange(stream, request).map_err(ControlError::io(path, "ask the daemon"))?;
    let wrong = |got: String| ControlError::Reply { path: path.to_owned(), expected, got };
    if line.is_empty() {
        return Err(wrong("nothing".to_owned()));
    }
    serde_json::from_slice(&line).map_err(|error| wrong(error.to_string()))
}

/// What comes up to the end of a line, or of all: the daemon says no more than one.
fn read_line(mut from: impl Read) -> io::Result<WipedBytes> {
    let mut line = WipedBytes::default();
    let mut piece = Zeroizing::new([0; 4096]);
    loop {
        match from.read(&mut *piece) {
            Ok(0) => return Ok(line),
            Ok(read) => line.extend(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if line.last() == Some(&b'\n') {
            return Ok(line);
        }
    }
}

/// Lines may hold auth tokens.
fn exchange(mut stream: UnixStream, request: &RequestLine) -> io::Result<WipedBytes> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // A daemon that refuses has answered and closed already: its words are worth more than the broken pipe.
    let sent = stream.write_all(&encode(request));
    let line = read_line(stream.take(MAX_REPLY))?;
    if line.is_empty() { sent.map(|()| line) } else { Ok(line) }
}
