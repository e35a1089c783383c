// SPDX-License-Identifier: AGPL-3.0-or-later
//! How long a stream is wanted.

use core::time::Duration;

use ratman_types::{Recipient, WallTime};

use crate::DecodeError;

/// For how long after it was created a stream is delivered, stored and remembered: whole seconds, at most 30 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lifetime(u32);

impl Lifetime {
    /// The longest: 30 days (source: wire page, streams).
    pub const MAX: Self = Self(30 * 86_400);
    /// The longest of what is flooded to a namespace: one day (source: wire page, freshness).
    pub const MAX_FLOODED: Self = Self(86_400);

    /// How long a stream to an address is wanted where nobody says it: a week.
    pub const USUAL: Self = Self(7 * 86_400);

    /// How long a stream is wanted where nobody says it: [`Lifetime::USUAL`], to a namespace [`Lifetime::MAX_FLOODED`].
    pub const fn usual_to(recipient: &Recipient) -> Self {
        match recipient {
            Recipient::Address(_) => Self::USUAL,
            Recipient::Namespace(_) => Self::MAX_FLOODED,
        }
    }

    /// From seconds; nothing above [`Lifetime::MAX`].
    pub const fn from_secs(seconds: u32) -> Option<Self> {
        if seconds <= Self::MAX.0 { Some(Self(seconds)) } else { None }
    }

    /// In seconds.
    pub const fn as_secs(self) -> u32 {
        self.0
    }

    /// When something created at this time has passed.
    pub fn end(self, created: WallTime) -> WallTime {
        created + Duration::from_secs(self.0.into())
    }

    pub(super) fn decode(seconds: u32) -> Result<Self, DecodeError> {
        Self::from_secs(seconds).ok_or(DecodeError::Value("lifetime"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_days_are_the_longest() {
        assert_eq!(Lifetime::from_secs(2_592_000), Some(Lifetime::MAX));
        assert_eq!(Lifetime::from_secs(2_592_001), None);
        assert_eq!(Lifetime::decode(u32::MAX), Err(DecodeError::Value("lifetime")));
        assert_eq!(Lifetime::from_secs(0).unwrap().as_secs(), 0);
        let end = Lifetime::MAX_FLOODED.end(WallTime::from_micros(5));
        assert_eq!(end, WallTime::from_micros(86_400_000_005));
        assert_eq!(Lifetime::MAX.end(WallTime::from_micros(u64::MAX)), WallTime::from_micros(u64::MAX));
    }
}
