// SPDX-License-Identifier: AGPL-3.0-or-later
//! When a link is measured by trains: never while it is used, and never with more than their share of it.

use std::time::Duration;

use ratman_types::{Bandwidth, Capacity, Timestamp};

use crate::config::TrainConfig;

/// What an idle link may carry, both ways together, in bytes per second: echoes, and the announcements of dozens of
/// addresses. A call of the thriftiest voice codec is more.
const IDLE: u64 = 8 * 1024;
/// How long a link is watched before it counts as idle.
pub(crate) const WATCHED: Duration = Duration::from_secs(1);
/// What a link is taken for that said nothing, in bytes per second: 1 Mbit/s.
const UNKNOWN: u64 = 125_000;
/// How many times longer the wait is where trains found nothing: others may be in the way, or UDP shut out.
const PATIENCE: u32 = 10;

/// How long a link is left alone after so many bytes of trains, by what is known of it.
pub(crate) fn rest(config: &TrainConfig, bytes: u64, known: Option<Capacity>) -> Duration {
    let rate = match known {
        Some(Capacity::Measured(rate) | Capacity::AtLeast(rate)) => bytes_per_second(rate),
        None => UNKNOWN,
    };
    let share = rate.saturating_mul(config.share.0.into()) / 100;
    let paid = Duration::from_micros(bytes.saturating_mul(1_000_000) / share.max(1));
    paid.max(config.every)
}

/// The same after trains that found nothing.
pub(crate) fn long_rest(config: &TrainConfig, bytes: u64, known: Option<Capacity>) -> Duration {
    rest(config, bytes, known).max(config.every * PATIENCE)
}

fn bytes_per_second(rate: Bandwidth) -> u64 {
    rate.as_bytes_per_second().into()
}

/// Whether a link carried next to nothing between two looks at its total of bytes; within a second, as much as in one.
pub(crate) fn is_idle((since, before): (Timestamp, u64), (now, bytes): (Timestamp, u64)) -> bool {
    let millis = u64::try_from(now.since(since).max(WATCHED).as_millis()).unwrap_or(u64::MAX);
    bytes.saturating_sub(before).saturating_mul(1000) <= IDLE.saturating_mul(millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Percent;

    #[test]
    fn trains_keep_to_their_share() {
        let config = TrainConfig { every: Duration::from_secs(60), share: Percent(1) };
        let rate = |mbit: u32| Some(Capacity::Measured(Bandwidth::from_bytes_per_second(mbit * 125_000)));
        let train = 3 * 64 * 1514;
        assert_eq!(rest(&config, train, rate(200)), Duration::from_secs(60));
        assert_eq!(rest(&config, train, rate(1)), Duration::from_micros(232_550_400));
        assert_eq!(rest(&config, 0, rate(1)), Duration::from_secs(60));
        assert_eq!(rest(&config, train, None), rest(&config, train, rate(1)));
        assert_eq!(long_rest(&config, train, None), Duration::from_secs(600));
        let generous = TrainConfig { share: Percent(100), ..config };
        assert_eq!(rest(&generous, train, rate(1)), Duration::from_secs(60));
        let none = Some(Capacity::AtLeast(Bandwidth::UNKNOWN));
        assert!(rest(&config, train, none) > Duration::from_secs(1000), "nothing is divided by zero");
    }

    #[test]
    fn a_link_that_is_used_is_not_idle() {
        let at = |seconds: u64| Timestamp::from_micros(seconds * 1_000_000);
        assert!(is_idle((at(0), 5), (at(2), 16_389)));
        assert!(!is_idle((at(0), 5), (at(2), 16_390)));
        assert!(is_idle((at(0), 5), (at(0), 8197)));
        assert!(!is_idle((at(0), 5), (at(0), 8198)));
    }
}
