// SPDX-License-Identifier: AGPL-3.0-or-later
//! How long a route is, as routes are compared.

use core::fmt;
use core::time::Duration;

use crate::LinkCost;

/// A ping with the cost that the operator added to it; compared by the sum of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ping {
    /// What was measured ([`RoutePing`](crate::route_ping::RoutePing)).
    pub measured: Duration,
    /// What the first link costs.
    pub cost: LinkCost,
}

impl Ping {
    /// What is compared.
    pub const fn total(self) -> Duration {
        self.measured.saturating_add(self.cost.as_duration())
    }

    /// Whether it is as good as `lowest`: at most 1.10 times as long (source: manual, live route scoring).
    pub(crate) const fn is_within_a_tenth_of(self, lowest: Self) -> bool {
        self.total().as_nanos() * 10 <= lowest.total().as_nanos() * 11
    }

    /// Whether it is at most 80 % of the other (source: wire page, choice of routes).
    pub(crate) const fn is_a_fifth_below(self, other: Self) -> bool {
        self.total().as_nanos() * 10 <= other.total().as_nanos() * 8
    }
}

impl From<Duration> for Ping {
    fn from(measured: Duration) -> Self {
        Self { measured, cost: LinkCost::NONE }
    }
}

/// As people read it: milliseconds with two digits behind the point, and the cost where there is one.
impl fmt::Display for Ping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        milliseconds(f, self.measured)?;
        if self.cost.is_none() {
            return Ok(());
        }
        f.write_str(" + cost ")?;
        milliseconds(f, self.cost.as_duration())
    }
}

fn milliseconds(f: &mut fmt::Formatter<'_>, duration: Duration) -> fmt::Result {
    let hundredths = duration.as_micros() / 10;
    write!(f, "{}.{:02} ms", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_windows_are_exact_and_do_not_overflow() {
        let ping = |micros| Ping::from(Duration::from_micros(micros));
        assert!(ping(1_100).is_within_a_tenth_of(ping(1_000)));
        assert!(!ping(1_101).is_within_a_tenth_of(ping(1_000)));
        assert!(ping(800).is_a_fifth_below(ping(1_000)));
        assert!(!ping(801).is_a_fifth_below(ping(1_000)));
        let longest = Ping { measured: Duration::MAX, cost: LinkCost::MAX };
        assert!(longest.is_within_a_tenth_of(longest) && !longest.is_a_fifth_below(longest));
    }

    #[test]
    fn a_cost_counts_and_is_shown() {
        let cost = LinkCost::new(Duration::from_millis(5)).unwrap();
        let dear = Ping { measured: Duration::from_micros(4_128), cost };
        assert_eq!(dear.total(), Duration::from_micros(9_128));
        assert_eq!(dear.to_string(), "4.12 ms + cost 5.00 ms");
        assert_eq!(Ping::from(dear.measured).to_string(), "4.12 ms");
    }
}
