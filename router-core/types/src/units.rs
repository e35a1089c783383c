// SPDX-License-Identifier: AGPL-3.0-or-later
//! Quantities with their unit in the type.

use core::fmt;
use core::time::Duration;

/// The largest carrier frame that fits a link or a way, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mtu(pub u32);

impl fmt::Display for Mtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} B", self.0)
    }
}

/// Bandwidth in bytes per second; zero means "not measured" (source: wire page, announcement).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bandwidth(u32);

impl Bandwidth {
    /// The value of a link that nobody measured.
    pub const UNKNOWN: Self = Self(0);

    /// From bytes per second; zero is [`Bandwidth::UNKNOWN`].
    pub const fn from_bytes_per_second(value: u32) -> Self {
        Self(value)
    }

    /// Bytes per second, zero when not measured.
    pub const fn as_bytes_per_second(self) -> u32 {
        self.0
    }

    /// Whether somebody measured it.
    pub const fn is_known(self) -> bool {
        self.0 != 0
    }

    /// The narrower of two links in a row; an unknown one does not narrow.
    pub fn narrowest(self, other: Self) -> Self {
        match (self.is_known(), other.is_known()) {
            (true, true) => self.min(other),
            (true, false) => self,
            (false, _) => other,
        }
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_known() {
            return f.write_str("unknown");
        }
        let kilobit = u64::from(self.0) / 125;
        if kilobit >= 10_000 { write!(f, "{} Mbit/s", kilobit / 1000) } else { write!(f, "{kilobit} kbit/s") }
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteCount(pub u64);

impl ByteCount {
    /// The rate of this many bytes within a time, in bytes per second; none within no time.
    pub fn per_second(self, time: Duration) -> Option<u64> {
        let rate = (u128::from(self.0) * 1_000_000).checked_div(time.as_micros())?;
        Some(u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes @ 0..=9_999 => write!(f, "{bytes} B"),
            bytes @ 10_000..=9_999_999 => write!(f, "{} kB", bytes / 1000),
            bytes => write!(f, "{} MB", bytes / 1_000_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_link_does_not_narrow() {
        let known = Bandwidth::from_bytes_per_second(9);
        assert_eq!(known.narrowest(Bandwidth::UNKNOWN), known);
        assert_eq!(Bandwidth::UNKNOWN.narrowest(known), known);
        assert_eq!(known.narrowest(Bandwidth::from_bytes_per_second(8)).as_bytes_per_second(), 8);
        assert!(!Bandwidth::UNKNOWN.narrowest(Bandwidth::UNKNOWN).is_known());
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(Bandwidth::from_bytes_per_second(6_250_000).to_string(), "50 Mbit/s");
        assert_eq!(Bandwidth::from_bytes_per_second(1_000).to_string(), "8 kbit/s");
        assert_eq!(ByteCount(12_345).to_string(), "12 kB");
    }

    #[test]
    fn rates_are_of_any_size_and_take_time() {
        assert_eq!(ByteCount(3).per_second(Duration::from_millis(2)), Some(1500));
        assert_eq!(ByteCount(u64::MAX).per_second(Duration::from_micros(1)), Some(u64::MAX));
        assert_eq!(ByteCount(1).per_second(Duration::from_nanos(999)), None);
    }
}
