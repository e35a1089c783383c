// SPDX-License-Identifier: AGPL-3.0-or-later
//! The state directory: locked to one process, with the few small values that must survive a restart.
//!
//! Times are kept so that a restart never reuses one: a ceiling of each local address's origin times, and the
//! times of session initiations per remote (source: wire page, announcement and gateway sessions). Where they cannot be stored,
//! that is said once and tried again, less and less often, until it works (decisions/state-file.md).

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use ratman_types::{Address, Timestamp, WallTime};
use ratman_wire::sync_scope::KnownAddress;
use tracing::{debug, warn};

mod atomic;
mod known;
mod times;
mod trouble;

use atomic::exchange;
pub(crate) use atomic::{hand_over, replace};
pub use times::SessionTimes;
use times::{ParseTimesError, Times};
use trouble::Trouble;

/// The name of the file of times.
pub(crate) const TIMES_FILE: &str = "times.toml";
const LOCK_FILE: &str = "lock";

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Another process holds the lock.
    #[error("{dir}: state_dir is in use by process {holder}; stop it, or give this one its own state_dir")]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// Its process id as found in the lock file, or "unknown".
        holder: String,
    },
    /// A file or the directory itself cannot be read or written.
    #[error("{path}: cannot {action}: {error}")]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system answered.
        error: io::Error,
    },
}

/// The locked state directory of a running daemon; the lock ends with this value.
#[derive(Debug)]
pub struct State {
    dir: PathBuf,
    times: Times,
    /// Whether `times` is not what the file holds.
    unsaved: bool,
    trouble: Trouble,
    _lock: Flock<File>,
}

impl State {
    /// Opens `dir`, made with mode 0700 if it is not there, and locks it before anything in it is read.
    ///
    /// A damaged file of times is moved aside with a WARN: origin times then start from the clock, and initiations
    /// replayed from before are refused by their age only.
    pub fn open(dir: &Path) -> Result<Self, StateError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(io_error(dir, "make the directory"))?;
        let lock = lock(dir)?;
        let times = load_times(dir)?;
        Ok(Self { dir: dir.to_owned(), times, unsaved: false, trouble: Trouble::default(), _lock: lock })
    }

    /// The directory, for the files that others keep in it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The last origin time that `address` may have used before this start; new ones must be above it.
    pub fn last_origin(&self, address: &Address) -> Option<WallTime> {
        self.times.origin(address)
    }

    /// Stores a ceiling that the origin times of `address` stay below for now; the router moves it every few seconds. Says
    /// whether it is stored: if not, no time above the last one that was may be used, and asking again is the way to try again.
    ///
    /// Blocks for the sync.
    #[must_use = "what is not stored must not be announced"]
    pub fn raise_origin(&mut self, address: Address, ceiling: WallTime, at: Timestamp) -> bool {
        if self.times.origin(&address).is_none_or(|stored| ceiling > stored) {
            self.times.set_origin(address, ceiling);
            self.unsaved = true;
        }
        self.save_unless_waiting(at)
    }

    /// Stores the origin time really used last, at a clean end, so that the next start need not skip the reserve; or that there
    /// is none any more, by the epoch.
    pub fn settle_origin(&mut self, address: Address, last: WallTime, at: Timestamp) {
        self.times.set_origin(address, last);
        self.unsaved = true;
        self.save(at);
    }

    /// Why times cannot be stored at the moment, for the operator.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.words()
    }

    /// The stored times of session initiations to and from `remote`.
    pub fn session_times(&self, remote: &Address) -> SessionTimes {
        self.times.session(remote)
    }

    /// How lately and how near addresses were known before this start; nothing where that cannot be read, which is said.
    pub fn known(&self) -> Vec<KnownAddress> {
        known::read(&self.dir).unwrap_or_else(|error| {
            warn!(dir = %self.dir.display(), %error, "who knew addresses that are away is not read");
            Vec::new()
        })
    }

    /// Keeps it for the next start. Blocks for the sync.
    ///
    /// # Errors
    /// The file cannot be written; the one before stays.
    pub fn keep_known(&self, known: impl Iterator<Item = KnownAddress>) -> io::Result<()> {
        known::write(&self.dir, known)
    }

    /// How many addresses and remotes were forgotten since the start because a table of times was full.
    pub fn forgotten(&self) -> u64 {
        self.times.forgotten()
    }

    /// Stores the times inside our last initiation to `remote` and its last to us, the epoch standing for none; to be
    /// called before ours is sent or its one is answered. Blocks for the sync where one of them is new. Where it cannot be
    /// stored, it counts until a restart, after which the remote's last initiation could be played to us once more.
    pub fn session_used(&mut self, remote: Address, sent: WallTime, received: WallTime, at: Timestamp) {
        let used = |time: WallTime| Some(time).filter(|time| *time > WallTime::default());
        let times = SessionTimes { sent: used(sent), received: used(received) };
        if times != self.times.session(&remote) {
            self.times.update_session(remote, |stored| *stored = times);
            self.unsaved = true;
            self.save_unless_waiting(at);
        }
    }

    /// Whether everything is stored.
    fn save_unless_waiting(&mut self, at: Timestamp) -> bool {
        if self.unsaved && self.trouble.may_try(at) {
            self.save(at);
        }
        !self.unsaved
    }

    fn save(&mut self, at: Timestamp) {
        match exchange(&self.dir, TIMES_FILE, self.times.to_text().as_bytes()) {
            Ok(()) => {
                self.unsaved = false;
                self.trouble.is_over();
            }
            Err(error) => self.trouble.is_here(&io_error(&self.dir.join(TIMES_FILE), "write")(error), at),
        }
    }
}

/// The latest origin time that is stored in `dir`, without a lock: for who only looks. Nothing where none is, or where the file
/// is damaged.
///
/// # Errors
/// The file is there and cannot be read.
pub fn latest_origin(dir: &Path) -> io::Result<Option<WallTime>> {
    match std::fs::read_to_string(dir.join(TIMES_FILE)) {
        Ok(text) => Ok(Times::parse(&text).ok().and_then(|times| times.latest_origin())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn io_error(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |error| StateError::Io { path, action, error }
}

fn lock(dir: &Path) -> Result<Flock<File>, StateError> {
    let path = dir.join(LOCK_FILE);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(io_error(&path, "open"))?;
    hand_over(&file, dir).map_err(io_error(&path, "give it to the owner of the directory"))?;
    let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => lock,
        Err((file, nix::errno::Errno::EWOULDBLOCK)) => {
            return Err(StateError::InUse { dir: dir.to_owned(), holder: holder(file) });
        }
        Err((_, errno)) => return Err(io_error(&path, "lock")(errno.into())),
    };
    // For the message to a second process only: a full disk is no reason not to start.
    if let Err(error) = lock.set_len(0).and_then(|()| write!(*lock, "{}", std::process::id())) {
        debug!(file = %path.display(), %error, "the process id was not written");
    }
    Ok(lock)
}

fn holder(file: File) -> String {
    let mut text = String::new();
    // A process id has at most 7 digits; the holder may be between taking the lock and writing its id.
    match file.take(16).read_to_string(&mut text) {
        Ok(_) if text.parse::<u32>().is_ok() => text,
        Ok(_) | Err(_) => "unknown".to_owned(),
    }
}

fn load_times(dir: &Path) -> Result<Times, StateError> {
    let path = dir.join(TIMES_FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Times::default()),
        Err(error) => return Err(io_error(&path, "read")(error)),
    };
    let parsed = String::from_utf8(bytes)
        .map_err(|error| ParseTimesError(error.to_string()))
        .and_then(|text| Times::parse(&text));
    parsed.or_else(|error| {
        let aside = dir.join(format!("{TIMES_FILE}.damaged"));
        warn!(file = %path.display(), moved_to = %aside.display(), %error, "stored times are damaged, starting without");
        std::fs::rename(&path, &aside).map_err(io_error(&path, "move aside"))?;
        Ok(Times::default())
    })
}

#[cfg(test)]
mod tests;
