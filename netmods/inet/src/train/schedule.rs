// SPDX-License-Identifier: AGPL-3.0-or-later
//! When a link is measured by trains: while nothing else crosses it, and never with more than their share of it.

use std::time::Duration;

use ratman_types::{Bandwidth, ByteCount, Capacity, Timestamp};

use crate::config::TrainConfig;
use crate::link::Carried;
use crate::path;

/// What an idle link may carry, both ways together, in bytes per second: echoes, and the announcements of dozens of
/// addresses. A call of the thriftiest voice codec is more.
const IDLE: u64 = 8 * 1024;
/// How long a train may be on its way over a link in use, where others wait for it.
const BESIDE_USE: Duration = Duration::from_millis(100);
/// How long a link is watched before it counts as idle.
pub(crate) const WATCHED: Duration = Duration::from_secs(1);
/// What a link is taken for that said nothing, in bytes per second: 1 Mbit/s.
const UNKNOWN: u64 = 125_000;
/// After trains that found nothing the wait is this part of the time between two measurements, since others may just have been in
/// the way, then twice as long each time,
const AGAIN: u32 = 6;
/// up to so many times that time: UDP may be shut out, or others be in the way for good.
const PATIENCE: u32 = 10;

/// How many times more often a link is measured beside one to the same neighbour that is in use: a figure of a minute ago
/// would keep traffic on the worse one for that long.
const BESIDE: u32 = 3;

/// What the wait until the next measurement depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    /// Bytes of the trains of this one.
    pub(crate) bytes: u64,
    /// What is known of the link.
    pub(crate) known: Option<Capacity>,
    /// Whether another link to the same neighbour is in use.
    pub(crate) rival: bool,
}

/// The time between two measurements where their bytes are no reason to wait.
fn every(config: &TrainConfig, spent: Spent) -> Duration {
    if spent.rival { config.every / BESIDE } else { config.every }
}

/// How long a link is left alone after a measurement.
pub(crate) fn rest(config: &TrainConfig, spent: Spent) -> Duration {
    paid(config, spent).max(every(config, spent))
}

/// The same after so many measurements in a row that found nothing.
pub(crate) fn rest_after_nothing(config: &TrainConfig, spent: Spent, in_a_row: u32) -> Duration {
    let (every, doubled) = (every(config, spent), 2_u32.saturating_pow(in_a_row.saturating_sub(1)));
    paid(config, spent).max((every / AGAIN).saturating_mul(doubled).min(every.saturating_mul(PATIENCE)))
}

/// The time for which the bytes of trains are their share of what the link carries.
fn paid(config: &TrainConfig, Spent { bytes, known, .. }: Spent) -> Duration {
    let rate = match known {
        Some(Capacity::Measured(rate) | Capacity::AtLeast(rate)) => bytes_per_second(rate),
        None => UNKNOWN,
    };
    let share = rate.saturating_mul(config.share.0.into()) / 100;
    Duration::from_micros(bytes.saturating_mul(1_000_000) / share.max(1))
}

fn bytes_per_second(rate: Bandwidth) -> u64 {
    rate.as_bytes_per_second().into()
}

/// When a link was looked at, and what it had carried.
pub(crate) type Look = (Timestamp, Carried);

/// Whether a link carried next to nothing between two looks; within a second, as much as in one.
pub(crate) fn is_idle((since, before): Look, (now, carried): Look) -> bool {
    let millis = u64::try_from(now.since(since).max(WATCHED).as_millis()).unwrap_or(u64::MAX);
    let sum = |carried: &Carried| carried.sent.saturating_add(carried.received);
    let bytes = sum(&carried).saturating_sub(sum(&before));
    !before.waits && !carried.waits && bytes.saturating_mul(1000) <= IDLE.saturating_mul(millis)
}

/// What left between two looks, in bytes per second.
pub(crate) fn used((since, before): Look, (now, carried): Look) -> u64 {
    let sent = ByteCount(carried.sent.saturating_sub(before.sent));
    sent.per_second(now.since(since)).unwrap_or(0)
}

/// The bytes of the longest train that a link bears of which so much is [used].
pub(crate) fn beside_use(used: u64) -> u64 {
    path::carried(used, BESIDE_USE)
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
        let after = |bytes, known| Spent { bytes, known, rival: false };
        assert_eq!(rest(&config, after(train, rate(200))), Duration::from_secs(60));
        assert_eq!(rest(&config, after(train, rate(1))), Duration::from_micros(232_550_400));
        assert_eq!(rest(&config, after(0, rate(1))), Duration::from_secs(60));
        assert_eq!(rest(&config, after(train, None)), rest(&config, after(train, rate(1))));
        let generous = TrainConfig { share: Percent(100), ..config };
        assert_eq!(rest(&generous, after(train, rate(1))), Duration::from_secs(60));
        let none = Some(Capacity::AtLeast(Bandwidth::UNKNOWN));
        assert!(rest(&config, after(train, none)) > Duration::from_secs(1000), "nothing is divided by zero");
        let beside = |bytes, known| Spent { rival: true, ..after(bytes, known) };
        assert_eq!(rest(&config, beside(train, rate(200))), Duration::from_secs(20));
        assert_eq!(rest(&config, beside(train, rate(1))), Duration::from_micros(232_550_400));
    }

    #[test]
    fn a_link_that_told_nothing_is_asked_again_soon_and_then_ever_later() {
        let config = TrainConfig { every: Duration::from_secs(60), share: Percent(1) };
        let known = Some(Capacity::AtLeast(Bandwidth::from_bytes_per_second(1_000_000)));
        let spent = Spent { bytes: 0, known, rival: false };
        let seconds = |spent| {
            let rest = move |in_a_row| rest_after_nothing(&config, spent, in_a_row).as_secs();
            (1..9).map(rest).collect::<Vec<_>>()
        };
        assert_eq!(seconds(spent), [10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(seconds(Spent { rival: true, ..spent }), [3, 6, 13, 26, 53, 106, 200, 200]);
        assert_eq!(seconds(Spent { bytes: 300_000, ..spent })[..3], [30, 30, 40], "within their share");
        assert_eq!(rest_after_nothing(&config, spent, u32::MAX), Duration::from_secs(600));
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_link_that_is_used_is_not_idle() {
        let look = |seconds, sent, waits| (at(seconds), Carried { sent, received: 2, waits });
        let before = look(0, 3, false);
        assert!(is_idle(before, look(2, 16_387, false)));
        assert!(!is_idle(before, look(2, 16_388, false)));
        assert!(is_idle(before, look(0, 8195, false)));
        assert!(!is_idle(before, look(0, 8196, false)));
        assert!(!is_idle(before, look(2, 3, true)), "something waits");
        assert!(!is_idle(look(0, 3, true), look(2, 3, false)), "something waited");
        let received = (at(2), Carried { sent: 3, received: 16_387, waits: false });
        assert!(!is_idle(before, received), "what comes counts too");
    }

    #[test]
    fn what_left_says_how_long_a_train_may_be() {
        let look =
            |seconds, sent| (at(seconds), Carried { sent, received: 9_000_000 * seconds, waits: true });
        let longest = |before, after| beside_use(used(before, after));
        assert_eq!(longest(look(0, 7), look(2, 2_000_007)), 100_000);
        assert_eq!(longest(look(0, 7), look(2, 7)), 0, "what comes says nothing");
        assert_eq!(longest(look(0, 7), look(0, 2_000_007)), 0, "no time has passed");
    }
}
