// SPDX-License-Identifier: AGPL-3.0-or-later
//! When a gateway is under load: more initiations than it wants to do arithmetic for.

use core::time::Duration;

use ratman_types::Timestamp;

/// How many initiations in one second are answered without a cookie, and how many of strangers with a good one.
/// Each costs four curve multiplications, about 0.2 ms: 200 are 4 % of a core, and far above what the remotes of one
/// gateway need (1024 sessions rekey 9 times a second).
pub(super) const INITIATIONS_PER_SECOND: u32 = 200;

const PERIOD: Duration = Duration::from_secs(1);

/// Counts initiations in periods of one second.
#[derive(Debug, Default)]
pub(super) struct Load {
    period: Timestamp,
    all: u32,
    /// Those of strangers that carried a good cookie.
    proven: u32,
    /// Whether the period before this one was over the limit: cookies are asked for one second longer, so that a
    /// steady flood does not get its first 200 through every second.
    was_over: bool,
}

impl Load {
    /// Counts one initiation and says whether it needs a cookie.
    pub(super) fn count(&mut self, now: Timestamp) -> bool {
        let age = now.since(self.period);
        if age >= PERIOD {
            let was_over = age < 2 * PERIOD && self.is_over();
            *self = Self { period: now, all: 0, proven: 0, was_over };
        }
        self.all = self.all.saturating_add(1);
        self.was_over || self.is_over()
    }

    /// Counts a stranger's initiation with a good cookie and says whether it is one too many: whoever owns
    /// addresses can get cookies too, only not faster than one per round trip.
    pub(super) fn count_proven(&mut self) -> bool {
        self.proven = self.proven.saturating_add(1);
        self.proven > INITIATIONS_PER_SECOND
    }

    fn is_over(&self) -> bool {
        self.all > INITIATIONS_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(10_000_000 + millis * 1000)
    }

    #[test]
    fn load_begins_above_the_limit_and_ends_a_quiet_second_later() {
        let mut load = Load::default();
        for _ in 0..INITIATIONS_PER_SECOND {
            assert!(!load.count(at(0)));
        }
        assert!(load.count(at(999)));
        assert!(load.count(at(1500)), "the period before was over the limit");
        assert!(!load.count(at(2600)));
        for _ in 0..INITIATIONS_PER_SECOND {
            load.count(at(2700));
        }
        assert!(!load.count(at(60_000)), "long ago");
    }

    #[test]
    fn good_cookies_are_limited_too() {
        let mut load = Load::default();
        for _ in 0..INITIATIONS_PER_SECOND {
            load.count(at(0));
            assert!(!load.count_proven());
        }
        assert!(load.count_proven());
        load.count(at(1000));
        assert!(!load.count_proven());
    }
}
