// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the operator makes a link dearer by.

use core::fmt;
use core::time::Duration;

/// An addition to the ping of every route over a link, from none (the default) to ten seconds.
///
/// It counts where this router chooses and is told to nobody: what is flooded is measured, and others check it
/// (decisions/cost-stays-at-home.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkCost(Duration);

/// A cost above ten seconds: such a link is better left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a link's cost is at most {} s", LinkCost::MAX.0.as_secs())]
pub struct CostTooHigh;

impl LinkCost {
    /// The default.
    pub const NONE: Self = Self(Duration::ZERO);
    /// Longer than any way that still answers.
    pub const MAX: Self = Self(Duration::from_secs(10));

    /// A cost of so much ping.
    ///
    /// # Errors
    /// [`CostTooHigh`] above [`LinkCost::MAX`].
    pub fn new(ping: Duration) -> Result<Self, CostTooHigh> {
        if ping <= Self::MAX.0 { Ok(Self(ping)) } else { Err(CostTooHigh) }
    }

    /// The addition to the ping.
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    /// Whether there is one.
    pub const fn is_none(self) -> bool {
        self.0.is_zero()
    }
}

impl fmt::Display for LinkCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_end_at_ten_seconds() {
        assert_eq!(LinkCost::new(Duration::from_secs(10)), Ok(LinkCost::MAX));
        assert_eq!(LinkCost::new(Duration::from_nanos(10_000_000_001)), Err(CostTooHigh));
        assert_eq!(CostTooHigh.to_string(), "a link's cost is at most 10 s");
        assert!(LinkCost::default().is_none() && LinkCost::NONE.is_none());
        assert_eq!(LinkCost::new(Duration::from_micros(2_500)).unwrap().to_string(), "2.5ms");
    }
}
