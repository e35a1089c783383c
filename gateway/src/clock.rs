// SPDX-License-Identifier: AGPL-3.0-or-later
//! The one place where the daemon reads the time; everything behind it gets [`Now`] as an argument.

use nix::time::{ClockId, clock_gettime};
use ratman_types::{Now, Timestamp, WallTime};

/// The clocks of the operating system: `CLOCK_BOOTTIME`, which counts suspend and never jumps, for durations, and
/// `CLOCK_REALTIME` for what is told to others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// Both clocks, read one right after the other; a wall clock before 1970 reads as 1970.
    pub fn now(self) -> Now {
        Now {
            at: Timestamp::from_micros(micros(ClockId::CLOCK_BOOTTIME)),
            wall: WallTime::from_micros(micros(ClockId::CLOCK_REALTIME)),
        }
    }
}

fn micros(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).expect("Linux has had both clocks since 2.6.39");
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec()).unwrap_or(0);
    seconds.saturating_mul(1_000_000).saturating_add(nanos / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_and_agrees_with_the_standard_library() {
        let first = Clock.now();
        let wall = std::time::UNIX_EPOCH.elapsed().unwrap();
        let second = Clock.now();
        assert!(first.at <= second.at);
        let wall = u64::try_from(wall.as_micros()).unwrap();
        assert!(first.wall.as_micros() <= wall && wall <= second.wall.as_micros());
    }
}
