// SPDX-License-Identifier: AGPL-3.0-or-later
use proptest::prelude::*;
use ratman_types::{Bandwidth, ByteCount, LinkId, RouterId};

use super::*;
use crate::route_ping::{FirstCopy, RoutePing};
use crate::scorer::{LiveScorer, RouteScorer, ScorerConfiguration};

fn hop(number: u8) -> Hop {
    Hop { link: LinkId(number.into()), neighbour: RouterId::from_bytes([number; 32]) }
}

fn route(number: u8, ping_micros: u64, bandwidth: u32) -> Candidate {
    Candidate {
        hop: hop(number),
        ping: Duration::from_micros(ping_micros).into(),
        bandwidth: Bandwidth::from_bytes_per_second(bandwidth),
        under_load: None,
        peer_part: true,
    }
}

fn decide(selection: &mut Selection, candidates: &[Candidate], millis: u64) -> Option<Change> {
    let computed = LiveScorer.compute(ByteCount(0), &ScorerConfiguration::default(), candidates);
    selection.decide(computed, candidates, Timestamp::from_micros(millis * 1000))
}

fn in_use(selection: &Selection) -> Option<Hop> {
    selection.current().map(|choice| choice.hop)
}

/// A selection that uses route 1.
fn selected() -> Selection {
    let mut selection = Selection::default();
    let change = decide(&mut selection, &[route(1, 10_000, 1_000)], 0).unwrap();
    assert_eq!((change.from, change.to), (None, Some(hop(1))));
    assert_eq!(change.reason, ChangeReason::Found(Why::OnlyRoute));
    selection
}

#[test]
fn a_lost_route_is_left_at_once() {
    let mut selection = selected();
    let change = decide(&mut selection, &[route(2, 90_000, 0)], 1).unwrap();
    assert_eq!((change.from, change.to), (Some(hop(1)), Some(hop(2))));
    assert_eq!(change.reason, ChangeReason::Lost(Why::OnlyRoute));
    let change = decide(&mut selection, &[], 2).unwrap();
    assert_eq!((change.from, change.to, change.reason), (Some(hop(2)), None, ChangeReason::NoneLeft));
    assert_eq!(decide(&mut selection, &[], 3), None, "nothing was in use");
    assert_eq!(selection.current(), None);
}

#[test]
fn three_wins_over_four_seconds_move_traffic() {
    let better = [route(1, 10_000, 0), route(2, 8_900, 0)];
    let mut selection = selected();
    assert_eq!(decide(&mut selection, &better, 0), None);
    assert_eq!(decide(&mut selection, &better, 10), None);
    assert_eq!(decide(&mut selection, &better, 20), None, "three wins, but not over 4 s");
    assert_eq!(decide(&mut selection, &better, 3_999), None);
    let change = decide(&mut selection, &better, 4_000).unwrap();
    assert_eq!(change.to, Some(hop(2)));
    assert!(matches!(change.reason, ChangeReason::Better(Why::Ping { .. })));
}

#[test]
fn two_wins_are_not_enough_however_long_they_take() {
    let better = [route(1, 10_000, 0), route(2, 8_900, 0)];
    let mut selection = selected();
    assert_eq!(decide(&mut selection, &better, 0), None);
    assert_eq!(decide(&mut selection, &better, 60_000), None);
    assert!(decide(&mut selection, &better, 60_001).is_some());
}

#[test]
fn a_defeat_or_another_winner_starts_the_count_again() {
    let better = [route(1, 10_000, 0), route(2, 8_900, 0)];
    let other = [route(1, 10_000, 0), route(3, 8_900, 0)];
    for interruption in [&[route(1, 10_000, 0), route(2, 12_000, 0)][..], &other] {
        let mut selection = selected();
        assert_eq!(decide(&mut selection, &better, 0), None);
        assert_eq!(decide(&mut selection, &better, 2_000), None);
        assert_eq!(decide(&mut selection, interruption, 3_000), None);
        assert_eq!(decide(&mut selection, &better, 4_000), None);
        assert_eq!(decide(&mut selection, &better, 6_000), None);
        assert!(decide(&mut selection, &better, 8_000).is_some());
    }
}

#[test]
fn a_fifth_better_ping_moves_traffic_at_once() {
    let mut selection = selected();
    assert_eq!(decide(&mut selection, &[route(1, 10_000, 0), route(2, 8_001, 0)], 1), None);
    let change = decide(&mut selection, &[route(1, 10_000, 0), route(2, 8_000, 0)], 2).unwrap();
    assert!(matches!(change.reason, ChangeReason::MuchBetter(_)));
}

#[test]
fn who_moved_by_choice_stays_for_half_a_minute_but_for_a_loss() {
    let mut selection = selected();
    let (first, second) = (route(1, 10_000, 0), route(2, 5_000, 0));
    assert!(decide(&mut selection, &[first, second], 1_000).is_some());
    let back = [route(1, 1_000, 0), second];
    for millis in (2_000..31_000).step_by(1_000) {
        assert_eq!(decide(&mut selection, &back, millis), None, "at {millis}");
    }
    assert!(decide(&mut selection, &back, 31_000).is_some());
    assert!(decide(&mut selection, &[second], 31_001).is_some(), "the route in use is lost");
    assert_eq!(decide(&mut selection, &back, 31_002), None, "that was no choice, but the one before was");
    let mut selection = selected();
    assert!(decide(&mut selection, &[second], 1_000).is_some());
    assert!(
        decide(&mut selection, &back, 1_001).is_some(),
        "who lost a route returns when it is there again"
    );
}

#[test]
fn more_bandwidth_at_the_same_ping_wins_in_time() {
    let wide = [route(1, 10_000, 1_000), route(2, 10_800, 2_000)];
    let mut selection = selected();
    assert_eq!(decide(&mut selection, &wide, 0), None);
    assert_eq!(decide(&mut selection, &wide, 2_000), None);
    assert!(decide(&mut selection, &wide, 4_000).is_some());
    // Around the edge of the 10 % window nothing changes any more.
    for millis in (6_000..60_000).step_by(2_000) {
        let ping = if millis % 4_000 == 0 { 10_900 } else { 11_900 };
        assert_eq!(decide(&mut selection, &[route(1, 10_000, 1_000), route(2, ping, 2_000)], millis), None);
    }
    assert_eq!(in_use(&selection), Some(hop(2)));
}

#[test]
fn a_signed_latency_wins_over_none() {
    let mut selection = Selection::default();
    let unsigned = Candidate { peer_part: false, ..route(1, 10, 0) };
    decide(&mut selection, &[unsigned], 0);
    for (millis, moves) in [(0, false), (2_000, false), (4_000, true)] {
        assert_eq!(decide(&mut selection, &[unsigned, route(2, 900, 0)], millis).is_some(), moves);
    }
    let mut selection = Selection::default();
    decide(&mut selection, &[route(2, 900, 0)], 0);
    for millis in [0, 2_000, 4_000, 6_000] {
        assert_eq!(decide(&mut selection, &[unsigned, route(2, 900, 0)], millis), None);
    }
}

#[test]
fn a_little_more_bandwidth_may_be_noise() {
    for (bandwidth, moves) in [(1_100, false), (1_101, true)] {
        let routes = [route(1, 10_000, 1_000), route(2, 10_100, bandwidth)];
        let mut selection = selected();
        let moved =
            [0, 2_000, 4_000].into_iter().any(|millis| decide(&mut selection, &routes, millis).is_some());
        assert_eq!(moved, moves, "{bandwidth}");
    }
}

/// A route whose ping is remembered from before a load under which it is so long.
fn under_load(number: u8, remembered: u64, now: u64) -> Candidate {
    Candidate { under_load: Some(Duration::from_micros(now).into()), ..route(number, remembered, 0) }
}

#[test]
fn a_remembered_ping_loses_once_to_one_that_is_as_good_and_measured() {
    let routes = [under_load(1, 5_000, 24_000), route(2, 5_050, 0)];
    let mut selection = Selection::default();
    decide(&mut selection, &routes[..1], 0);
    assert_eq!(decide(&mut selection, &routes, 1_000), None);
    assert_eq!(decide(&mut selection, &routes, 3_000), None);
    let change = decide(&mut selection, &routes, 5_000).unwrap();
    assert_eq!(change.to, Some(hop(2)));
    let reason = "better for 4 s: ping 5.05 ms against 5.00 ms before the load and 24.00 ms under it";
    assert_eq!(change.reason.to_string(), reason);
    // Both are as long as they were, and the load has moved along: that was a queue.
    let routes = [route(1, 5_000, 0), under_load(2, 5_050, 24_000)];
    for millis in (6_000..600_000).step_by(2_000) {
        assert_eq!(decide(&mut selection, &routes, millis), None);
    }
    let again =
        (600_000..620_000).step_by(2_000).find(|millis| decide(&mut selection, &routes, *millis).is_some());
    assert_eq!(again, Some(610_000), "ten minutes later, and three wins");
}

#[test]
fn a_remembered_ping_holds_where_there_is_no_equal() {
    let in_use = under_load(1, 5_000, 55_000);
    let wide = |candidate: Candidate, bytes| Candidate {
        bandwidth: Bandwidth::from_bytes_per_second(bytes),
        ..candidate
    };
    let tables = [
        [in_use, route(2, 20_000, 0)],
        [in_use, under_load(2, 5_000, 5_500)],
        [under_load(1, 5_000, 5_500), route(2, 5_050, 0)],
        [in_use, Candidate { peer_part: false, ..route(2, 5_000, 0) }],
        [wide(in_use, 50), wide(route(2, 5_000, 0), 10)],
    ];
    for routes in tables {
        let mut selection = Selection::default();
        decide(&mut selection, &routes[..1], 0);
        for millis in (0..60_000).step_by(1_000) {
            assert_eq!(decide(&mut selection, &routes, millis), None, "{routes:?}");
        }
    }
}

proptest! {
    #[test]
    fn five_percent_of_noise_never_brings_traffic_back(
        base in prop::collection::vec((800_u64..1_500, prop_oneof![Just(0_u32), 900_u32..1_100]), 2..4),
        noise in prop::collection::vec(prop::collection::vec(950_u64..=1_050, 3), 200),
    ) {
        let mut selection = Selection::default();
        let mut pings = [RoutePing::default(); 3];
        let mut left = Vec::new();
        for (round, noise) in (0_u64..).zip(&noise) {
            let sent = Timestamp::from_micros(round * 2_000_000);
            let arrived: Vec<Timestamp> =
                base.iter().zip(noise).map(|((ping, _), noise)| sent + Duration::from_micros(ping * noise)).collect();
            let first = arrived.iter().min().unwrap();
            let first = FirstCopy::new(first.since(sent), Duration::ZERO, *first);
            for (ping, arrived) in pings.iter_mut().zip(&arrived) {
                ping.observe(&first, *arrived);
            }
            let candidates: Vec<Candidate> = (0..)
                .zip(base.iter().zip(&pings))
                .map(|(number, ((_, bandwidth), ping))| Candidate {
                    ping: ping.ping(Duration::ZERO, Duration::ZERO).into(),
                    ..route(number, 0, *bandwidth)
                })
                .collect();
            let change = decide(&mut selection, &candidates, round * 2_000);
            // The first half minute fills the percentile.
            if let Some(change) = change.filter(|_| round >= 16) {
                prop_assert!(!left.contains(&change.to), "back to {:?} after {} s", change.to, round * 2);
                left.push(change.from);
            }
        }
    }

    #[test]
    fn what_is_in_use_is_always_a_candidate(
        steps in prop::collection::vec(prop::collection::vec((0_u8..5, 800_u64..1_500, 0_u32..9), 0..5), 1..60),
    ) {
        let mut selection = Selection::default();
        for (round, step) in (0_u64..).zip(steps) {
            let mut candidates: Vec<Candidate> =
                step.into_iter().map(|(number, ping, bandwidth)| route(number, ping, bandwidth)).collect();
            candidates.sort_by_key(|candidate| candidate.hop);
            candidates.dedup_by_key(|candidate| candidate.hop);
            let before = in_use(&selection);
            let change = decide(&mut selection, &candidates, round * 1_500);
            prop_assert_eq!(in_use(&selection).is_none(), candidates.is_empty());
            prop_assert!(in_use(&selection).is_none_or(|hop| candidates.iter().any(|c| c.hop == hop)));
            prop_assert_eq!(change.map(|c| (c.from, c.to)), (before != in_use(&selection)).then(|| (before, in_use(&selection))));
        }
    }
}
