// SPDX-License-Identifier: AGPL-3.0-or-later
//! One stream on its way in, once its manifest is open: which blocks are there, which have to be pulled, and when all of
//! it is there (source: manual, pull routing; wire page, streams).
//!
//! It opens the nodes of the tree and the last leaf, and passes over the other leaves that the journal has: their contents are
//! read when an application asks for them. It asks for what is missing within a window, and again after a while.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use ratman_eris::{BlockSize, DecodeError, Decoded, Decoder, ReadCapability, Reference};
use ratman_types::{ByteCount, Timestamp};

/// What may be asked for and not be there yet, in bytes (source: wire page).
const WINDOW: usize = 1024 * 1024;
/// The manifest comes last, and may overtake what was sent just before it.
const GRACE: Duration = Duration::from_millis(100);
/// What was asked for and does not come is asked for again after this time, and after twice as much each time until
/// something comes.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
/// The longest time between two requests, that of the sender's manifests (source: wire page).
const AGAIN_LONGEST: Duration = Duration::from_secs(600);

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This block is to be read from the journal and given to [`Receiving::handle_read`].
    Read(Reference),
    /// Blocks are missing: [`Receiving::pull`] says which.
    Await,
    /// All of it is there.
    Complete,
}

/// Why a stream is refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// Its tree is none, or is not opened by the manifest.
    #[error("the stream cannot be decoded: {0}")]
    Tree(#[from] DecodeError),
    /// Its contents are shorter than the manifest says; longer ones are not read to the end.
    #[error("the manifest says {} bytes, and there are {}", said.0, found.0)]
    Size {
        /// What the manifest says.
        said: ByteCount,
        /// What there is.
        found: ByteCount,
    },
}

/// One stream that is not complete yet.
#[derive(Debug)]
pub struct Receiving {
    size: ByteCount,
    decoder: Decoder,
    /// How many blocks may be asked for at once.
    window: usize,
    /// What was asked for, and when; at most as many as the window has.
    asked: BTreeMap<Reference, Timestamp>,
    /// When asking begins.
    from: Timestamp,
    pause: Duration,
}

impl Receiving {
    /// A stream of `size` bytes, of which the manifest came now.
    ///
    /// # Errors
    /// [`Unreadable::Tree`] where no tree like this has so few bytes.
    pub fn new(capability: &ReadCapability, size: ByteCount, now: Timestamp) -> Result<Self, Unreadable> {
        Ok(Self {
            size,
            decoder: Decoder::whole(capability, size)?,
            window: window_of(capability.block_size()),
            asked: BTreeMap::new(),
            from: now + GRACE,
            pause: AGAIN_FIRST,
        })
    }

    /// Goes on as far as what `has` says is there; to be called again after [`Receiving::handle_read`], and whenever
    /// a block was stored.
    ///
    /// # Errors
    /// [`Unreadable::Size`].
    pub fn advance(&mut self, has: impl Fn(&Reference) -> bool) -> Result<Step, Unreadable> {
        while let Some(next) = self.decoder.next_wanted() {
            if !has(&next) {
                return Ok(Step::Await);
            }
            if !self.decoder.skip_leaf() {
                return Ok(Step::Read(next));
            }
        }
        let (said, found) = (self.size, self.decoder.content_len().unwrap_or(self.size));
        if said == found { Ok(Step::Complete) } else { Err(Unreadable::Size { said, found }) }
    }

    /// Takes a block that was read for [`Step::Read`]. False if it is another one: what lies in the journal is damaged, and is to
    /// be removed there and pulled again.
    ///
    /// # Errors
    /// [`Unreadable::Tree`].
    pub fn handle_read(&mut self, block: &[u8]) -> Result<bool, Unreadable> {
        match self.decoder.handle_block(block)? {
            Decoded::Content(_) | Decoded::Node => Ok(true),
            Decoded::Early | Decoded::NotWanted => Ok(false),
        }
    }

    /// A block of this stream was stored.
    pub fn arrived(&mut self, reference: &Reference) {
        if self.asked.remove(reference).is_some() {
            self.pause = AGAIN_FIRST;
        }
    }

    /// What to ask the sender for now, at most `most` blocks; empty where nothing is missing, or enough is asked for. Half
    /// of the window has to be free first, so that requests are few.
    pub fn pull(&mut self, most: usize, has: impl Fn(&Reference) -> bool, now: Timestamp) -> Vec<Reference> {
        if now < self.from {
            return Vec::new();
        }
        let is_late = |asked: &Timestamp| now.since(*asked) >= self.pause;
        let before = self.asked.len();
        self.asked.retain(|_, asked| !is_late(asked));
        if self.asked.len() < before {
            self.pause = (self.pause * 2).min(AGAIN_LONGEST);
        }
        let room = self.window.saturating_sub(self.asked.len());
        if room * 2 < self.window {
            return Vec::new();
        }
        let mut wanted = Vec::new();
        let mut seen = BTreeSet::new();
        for next in self.decoder.wanted().map(|wanted| wanted.reference) {
            if wanted.len() == room.min(most) {
                break;
            }
            if !has(&next) && !self.asked.contains_key(&next) && seen.insert(next) {
                wanted.push(next);
            }
        }
        self.asked.extend(wanted.iter().map(|reference| (*reference, now)));
        wanted
    }

    /// When to ask again at the latest, if blocks are missing.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.decoder.is_finished() {
            return None;
        }
        let late = self.asked.values().min().map(|asked| *asked + self.pause);
        Some(late.unwrap_or(self.from).max(self.from))
    }
}

/// At least one, however large blocks are.
fn window_of(block_size: BlockSize) -> usize {
    (WINDOW / block_size.bytes()).max(1)
}

#[cfg(test)]
mod tests;
