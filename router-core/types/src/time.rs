// SPDX-License-Identifier: AGPL-3.0-or-later
//! Two clocks, apart by type. Durations and deadlines use the boot-time clock, which counts suspend and never
//! jumps ([`Timestamp`]); what is told to others is wall time ([`WallTime`]).

use core::ops::{Add, Sub};
use core::time::Duration;

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A reading of the boot-time clock (`CLOCK_BOOTTIME`), in microseconds; differences are what counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From microseconds of the boot-time clock.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds of the boot-time clock.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time since `earlier`, zero if that lies in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }
}

/// Microseconds since the Unix epoch, as every *time* of the wire page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(u64);

impl WallTime {
    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How far `self` is ahead of `other`, in microseconds; negative if behind, saturating.
    pub fn ahead_of(self, other: Self) -> i64 {
        let difference = i128::from(self.0) - i128::from(other.0);
        i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
    }

    /// This time moved by `micros`, saturating at both ends.
    pub const fn shifted(self, micros: i64) -> Self {
        Self(self.0.saturating_add_signed(micros))
    }
}

impl Add<Duration> for WallTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }
}

/// One reading of both clocks, taken together by the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The boot-time clock.
    pub at: Timestamp,
    /// The raw wall clock, uncorrected.
    pub wall: WallTime,
}

impl Add<Duration> for Now {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self { at: self.at + duration, wall: self.wall + duration }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_micros(u64::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(Timestamp::default() - Duration::MAX, Timestamp::default());
        assert_eq!(Timestamp::default().since(end), Duration::ZERO);
        assert_eq!(WallTime::from_micros(u64::MAX).ahead_of(WallTime::default()), i64::MAX);
        assert_eq!(WallTime::from_micros(1).ahead_of(WallTime::from_micros(3)), -2);
        assert_eq!(WallTime::from_micros(5).shifted(i64::MIN), WallTime::default());
    }
}
