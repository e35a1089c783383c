// SPDX-License-Identifier: AGPL-3.0-or-later
//! What was known of addresses is kept for the next start.

use std::time::Duration;

use ratman_types::{Now, Timestamp};
use tracing::warn;

use super::{Driver, Parts};

/// What was lost since is kept at the latest after this time.
const KEEP_EVERY: Duration = Duration::from_secs(60);

/// What the file holds.
#[derive(Debug)]
pub(super) struct Kept {
    next: Timestamp,
    losses: u64,
    is_in_trouble: bool,
}

impl Kept {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { next: now + KEEP_EVERY, losses: 0, is_in_trouble: false }
    }

    /// When it is to be looked whether there is something new.
    pub(super) fn deadline(&self) -> Timestamp {
        self.next
    }
}

impl Driver {
    /// Keeps what was lost since the last time, if that is long ago.
    pub(super) fn keep_what_was_lost(&mut self, now: Now) {
        if now.at < self.kept.next {
            return;
        }
        self.kept.next = now.at + KEEP_EVERY;
        if self.kept.losses != self.parts.router.losses() {
            self.keep_known();
        }
    }

    /// Keeps what is known of all addresses. Where that cannot be, it is said once, and neighbours know the rest.
    pub(super) fn keep_known(&mut self) {
        let Parts { router, state, .. } = &mut self.parts;
        match state.keep_known(router.known_nearness()) {
            Ok(()) => (self.kept.losses, self.kept.is_in_trouble) = (router.losses(), false),
            Err(error) => {
                if !core::mem::replace(&mut self.kept.is_in_trouble, true) {
                    warn!(%error, "who knew addresses that are away cannot be kept for the next start");
                }
            }
        }
    }
}
