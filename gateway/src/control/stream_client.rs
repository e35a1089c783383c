// SPDX-License-Identifier: AGPL-3.0-or-later
//! The asking side of a conversation about a stream: `irdest-gateway stream`, and tests.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde::Serialize;

use super::client::REACH;
use super::stream_line::{Arrived, BROKEN_OFF, Line, MAX_PIECE, StreamLine, StreamRequest};
use super::{ControlError, RequestLine, encode};

/// What fails where the daemon goes.
const HEAR: &str = "hear the daemon";

/// The longest line of the daemon's in a conversation, that of a list, with room to spare.
const MAX_LINE: u64 = 1 << 20;

/// Why a stream was not sent, or not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The daemon cannot be reached, or does not do it.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// What is to be sent cannot be read.
    #[error("cannot read the content: {0}")]
    Source(io::Error),
    /// What was received cannot be written.
    #[error("cannot write the content: {0}")]
    Sink(io::Error),
}

/// Sends `content` as each of the `requests` says, read once, through the daemon at `path`. `tell` hears each line of what becomes
/// of each, by its place, until it says that it has heard enough of it, or the stream has come to its end.
///
/// Says of each stream, in their order, whether it was sent; what was accepted is, also where the daemon could not tell what became of
/// it.
///
/// # Errors
/// As [`StreamError`] says: then nothing was sent to anybody.
pub fn send(
    path: &Path,
    requests: Vec<StreamRequest>,
    content: &mut dyn Read,
    tell: &mut dyn FnMut(usize, &StreamLine) -> bool,
) -> Result<Vec<Result<(), ControlError>>, StreamError> {
    let mut daemons: Vec<_> =
        requests.into_iter().map(|request| Daemon::ask(path, request)).collect::<Result<_, _>>()?;
    for (place, daemon) in daemons.iter_mut().enumerate() {
        if !tell(place, &daemon.hear("an opened stream")?) {
            return Ok(Vec::new());
        }
    }
    give(&mut daemons, content)?;
    let each = daemons.iter_mut().enumerate();
    Ok(each.map(|(place, daemon)| daemon.follow(&mut |line| tell(place, line))).collect())
}

/// Announces shared content as each of the `requests` says, through the daemon at `path`; what `tell` hears, and what is said, is as with
/// [`send`].
///
/// # Errors
/// The daemon cannot be reached; what was announced until then is.
pub fn announce(
    path: &Path,
    requests: Vec<StreamRequest>,
    tell: &mut dyn FnMut(usize, &StreamLine) -> bool,
) -> Result<Vec<Result<(), ControlError>>, ControlError> {
    let mut daemons: Vec<_> =
        requests.into_iter().map(|request| Daemon::ask(path, request)).collect::<Result<_, _>>()?;
    let each = daemons.iter_mut().enumerate();
    Ok(each.map(|(place, daemon)| daemon.follow(&mut |line| tell(place, line))).collect())
}

/// Shares content no more, as a [`StreamRequest::Down`] says.
///
/// # Errors
/// The daemon cannot be reached, or does not do it.
pub fn take_down(path: &Path, request: StreamRequest) -> Result<StreamLine, ControlError> {
    ask_once(path, request, "that content is down", |line| *line == StreamLine::Down)
}

/// Takes back the key of a namespace, as a [`StreamRequest::Unsubscribe`] says.
///
/// # Errors
/// The daemon cannot be reached.
pub fn unsubscribe(path: &Path, request: StreamRequest) -> Result<StreamLine, ControlError> {
    ask_once(path, request, "that a key was taken back", |line| {
        matches!(line, StreamLine::Unsubscribed { .. })
    })
}

fn ask_once(
    path: &Path,
    request: StreamRequest,
    expected: &'static str,
    is_it: impl FnOnce(&StreamLine) -> bool,
) -> Result<StreamLine, ControlError> {
    let mut daemon = Daemon::ask(path, request)?;
    let line = daemon.hear(expected)?;
    if is_it(&line) { Ok(line) } else { Err(daemon.wrong(expected, line.to_string())) }
}

/// Gives all of `content` to every daemon that listens.
fn give(daemons: &mut [Daemon<'_>], content: &mut dyn Read) -> Result<(), StreamError> {
    let mut listening: Vec<&mut Daemon<'_>> = daemons.iter_mut().collect();
    let mut piece = vec![0; MAX_PIECE + 4];
    while !listening.is_empty() {
        let read = match content.read(&mut piece[4..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.map_err(StreamError::Source)?,
        };
        let length = u32::try_from(read).expect("invariant: no more than a piece");
        piece[..4].copy_from_slice(&length.to_be_bytes());
        let mut still = Vec::with_capacity(listening.len());
        for daemon in listening {
            if daemon.write(&piece[..4 + read])? && read > 0 {
                still.push(daemon);
            }
        }
        listening = still;
    }
    Ok(())
}

/// Takes a stream as `request` says, from the daemon at `path`: `open` says where it is to be written, and `keep` makes it durable,
/// after which the daemon forgets it. Nothing where there is none.
///
/// # Errors
/// As [`StreamError`] says; the stream stays with the daemon then.
pub fn receive<W: Write>(
    path: &Path,
    request: StreamRequest,
    open: impl FnOnce(&Arrived) -> io::Result<W>,
    keep: impl FnOnce(W) -> io::Result<()>,
) -> Result<Option<Arrived>, StreamError> {
    let mut daemon = Daemon::ask(path, request)?;
    let line = daemon.hear("a stream")?;
    if line == StreamLine::None {
        return Ok(None);
    }
    let StreamLine::Arrived(arrived) = line else {
        return Err(daemon.wrong("a stream", line.to_string()).into());
    };
    let mut sink = open(&arrived).map_err(StreamError::Sink)?;
    daemon.take(&mut sink)?;
    keep(sink).map_err(StreamError::Sink)?;
    daemon.say(&Line::Stream(StreamLine::Taken))?;
    let line = daemon.hear("that it was taken")?;
    if line == StreamLine::Taken {
        return Ok(Some(arrived));
    }
    Err(daemon.wrong("that it was taken", line.to_string()).into())
}

/// What streams the daemon at `path` has that are not over: a [`StreamLine::Streams`].
///
/// # Errors
/// The daemon cannot be reached, or does not say.
pub fn list(path: &Path) -> Result<StreamLine, ControlError> {
    let is_list = |line: &StreamLine| matches!(line, StreamLine::Streams { .. });
    ask_once(path, StreamRequest::List, "a list of streams", is_list)
}

/// The daemon at the other end of a conversation.
struct Daemon<'a> {
    path: &'a Path,
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl<'a> Daemon<'a> {
    fn ask(path: &'a Path, request: StreamRequest) -> Result<Self, ControlError> {
        let writer = UnixStream::connect(path).map_err(ControlError::io(path, REACH))?;
        let reader = BufReader::new(writer.try_clone().map_err(ControlError::io(path, REACH))?);
        let mut daemon = Self { path, reader, writer };
        daemon.say(&RequestLine::Stream(request))?;
        Ok(daemon)
    }

    fn say(&mut self, line: &impl Serialize) -> Result<(), ControlError> {
        self.write(&encode(line)).map(drop)
    }

    /// Whether the daemon still listens. One that has closed said why before: its words are worth more than the broken pipe.
    fn write(&mut self, bytes: &[u8]) -> Result<bool, ControlError> {
        match self.writer.write_all(bytes) {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                Ok(false)
            }
            Err(error) => Err(ControlError::io(self.path, "ask the daemon")(error)),
        }
    }

    fn hear(&mut self, expected: &'static str) -> Result<StreamLine, ControlError> {
        let mut line = Vec::new();
        let read = (&mut self.reader).take(MAX_LINE).read_until(b'\n', &mut line);
        match read {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => {
                return Err(ControlError::io(self.path, HEAR)(error));
            }
            Ok(_) | Err(_) if line.is_empty() => return Err(self.wrong(expected, "nothing".to_owned())),
            Ok(_) | Err(_) => {}
        }
        match serde_json::from_slice(&line) {
            Ok(Line::Stream(line)) => Ok(line),
            Ok(Line::Error(message)) => Err(ControlError::Refused { path: self.path.to_owned(), message }),
            Err(error) => Err(self.wrong(expected, error.to_string())),
        }
    }

    /// Hears what becomes of a stream whose content was given.
    fn follow(&mut self, tell: &mut dyn FnMut(&StreamLine) -> bool) -> Result<(), ControlError> {
        loop {
            let line = self.hear("what became of a stream")?;
            if !tell(&line) || line.is_last() {
                return Ok(());
            }
        }
    }

    /// Takes all of the content from the daemon.
    fn take(&mut self, sink: &mut dyn Write) -> Result<(), StreamError> {
        let mut piece = Vec::new();
        loop {
            let mut length = [0; 4];
            self.read(&mut length)?;
            let length = match u32::from_be_bytes(length) {
                0 => return Ok(()),
                BROKEN_OFF => {
                    let line = self.hear("why a stream breaks off")?;
                    return Err(self.wrong("why a stream breaks off", line.to_string()).into());
                }
                length => usize::try_from(length).unwrap_or(usize::MAX),
            };
            if length > MAX_PIECE {
                return Err(self.wrong("a piece of content", format!("{length} bytes")).into());
            }
            piece.resize(length, 0);
            self.read(&mut piece)?;
            sink.write_all(&piece).map_err(StreamError::Sink)?;
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), ControlError> {
        self.reader.read_exact(bytes).map_err(ControlError::io(self.path, HEAR))
    }

    fn wrong(&self, expected: &'static str, got: String) -> ControlError {
        ControlError::Reply { path: self.path.to_owned(), expected, got }
    }
}
