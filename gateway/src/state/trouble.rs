// SPDX-License-Identifier: AGPL-3.0-or-later
//! A disk that takes nothing: said once, tried again less and less often, and over when it takes something.

use std::time::Duration;

use ratman_types::Timestamp;
use tracing::{debug, error, info};

use super::StateError;

/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause: a disk with room again is used soon after, and a broken one is not asked all the time.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Whether the state can be stored, and when to try again if not.
#[derive(Debug, Default)]
pub(super) struct Trouble(Option<Failing>);

#[derive(Debug)]
struct Failing {
    words: String,
    again: Timestamp,
    pause: Duration,
}

impl Trouble {
    /// What the operator should know, while it is so.
    pub(super) fn words(&self) -> Option<&str> {
        self.0.as_ref().map(|failing| failing.words.as_str())
    }

    /// Whether it is time to write, again or at all.
    pub(super) fn may_try(&self, at: Timestamp) -> bool {
        self.0.as_ref().is_none_or(|failing| failing.again <= at)
    }

    /// Writing failed.
    pub(super) fn is_here(&mut self, error: &StateError, at: Timestamp) {
        let words = format!("{error}; announcements are withheld once what is stored is used up");
        let told = self.0.as_ref().is_some_and(|failing| failing.words == words);
        if told {
            debug!(%error, "times still cannot be stored");
        } else {
            error!(%error, "times cannot be stored: announcements are withheld once what is stored is used up");
        }
        let pause = self.0.as_ref().map_or(FIRST_PAUSE, |failing| (failing.pause * 2).min(LONGEST_PAUSE));
        self.0 = Some(Failing { words, again: at + pause, pause });
    }

    /// Writing succeeded.
    pub(super) fn is_over(&mut self) {
        if self.0.take().is_some() {
            info!("times are stored again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> StateError {
        let error = std::io::Error::from(std::io::ErrorKind::StorageFull);
        StateError::Io { path: "/state/times.toml".into(), action: "write", error }
    }

    #[test]
    fn it_is_tried_less_and_less_often_until_it_works() {
        let mut trouble = Trouble::default();
        let mut at = Timestamp::from_micros(1_000_000);
        assert!(trouble.may_try(at));
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            trouble.is_here(&failure(), at);
            assert!(
                trouble.words().is_some_and(|words| words.starts_with("/state/times.toml: cannot write: "))
            );
            let again = at + Duration::from_secs(pause);
            assert!(!trouble.may_try(at + Duration::from_secs(pause - 1)) && trouble.may_try(again));
            at = again;
        }
        trouble.is_over();
        assert!(trouble.may_try(at) && trouble.words().is_none());
        trouble.is_here(&failure(), at);
        assert!(trouble.may_try(at + FIRST_PAUSE), "it begins anew");
    }
}
