// SPDX-License-Identifier: AGPL-3.0-or-later
use core::time::Duration;

use proptest::prelude::*;
use ratman_types::{Bandwidth, Hop, LinkId, RouterId};

use super::*;

fn hop(number: u8) -> Hop {
    Hop { link: LinkId(number.into()), neighbour: RouterId::from_bytes([number; 32]) }
}

fn signed(number: u8, ping_micros: u64, bandwidth: u32) -> Candidate {
    Candidate {
        hop: hop(number),
        ping: Duration::from_micros(ping_micros).into(),
        bandwidth: Bandwidth::from_bytes_per_second(bandwidth),
        under_load: None,
        peer_part: true,
    }
}

fn unsigned(number: u8, ping_micros: u64, bandwidth: u32) -> Candidate {
    Candidate { peer_part: false, ..signed(number, ping_micros, bandwidth) }
}

fn compute(candidates: &[Candidate]) -> Result<Choice, NoAvailableRoute> {
    LiveScorer.compute(ByteCount(0), &ScorerConfiguration::default(), candidates)
}

#[test]
fn every_rule_of_the_manual() {
    let table: &[(&str, &[Candidate], u8)] = &[
        ("a single route is used", &[signed(1, 900_000, 0)], 1),
        ("a single route is used though nobody signed its latency", &[unsigned(1, 900_000, 0)], 1),
        ("the lowest ping wins", &[signed(1, 12_000, 0), signed(2, 10_000, 0)], 2),
        ("beyond 10 % bandwidth does not count", &[signed(1, 10_000, 1_000), signed(2, 11_001, 9_000)], 1),
        ("within 10 % bandwidth decides", &[signed(1, 10_000, 1_000), signed(2, 11_000, 9_000)], 2),
        ("within 10 % and 2 % ping decides", &[signed(1, 10_000, 1_000), signed(2, 11_000, 1_020)], 1),
        ("just over 2 % bandwidth decides", &[signed(1, 10_000, 1_000), signed(2, 11_000, 1_021)], 2),
        ("the lowest ping unmeasured: ping decides", &[signed(1, 10_000, 0), signed(2, 11_000, 9_000)], 1),
        ("the other unmeasured: ping decides", &[signed(1, 10_000, 1_000), signed(2, 10_001, 0)], 1),
        ("a signed latency goes first", &[unsigned(1, 10, 9_000), signed(2, 900_000, 0)], 2),
        ("without any signed latency the rules are the same", &[unsigned(1, 12, 0), unsigned(2, 10, 0)], 2),
        ("equal routes: the smaller hop", &[signed(2, 10_000, 1_000), signed(1, 10_000, 1_000)], 1),
        (
            "three links: each compared with the winner so far",
            &[signed(1, 10_000, 1_000), signed(2, 10_500, 1_015), signed(3, 10_900, 1_025)],
            3,
        ),
        (
            "three links: 2 % above the first is not 2 % above the second",
            &[signed(1, 10_000, 1_000), signed(2, 10_500, 1_021), signed(3, 10_900, 1_030)],
            2,
        ),
        (
            "three links: the window hangs on the lowest ping, not on the winner",
            &[signed(1, 10_000, 1_000), signed(2, 10_900, 2_000), signed(3, 11_500, 9_000)],
            2,
        ),
        (
            "three links: an unmeasured one between is passed over",
            &[signed(1, 10_000, 1_000), signed(2, 10_100, 0), signed(3, 10_200, 2_000)],
            3,
        ),
    ];
    for (rule, candidates, expected) in table {
        assert_eq!(compute(candidates).map(|choice| choice.hop), Ok(hop(*expected)), "{rule}");
        let reversed: Vec<_> = candidates.iter().rev().copied().collect();
        assert_eq!(compute(&reversed), compute(candidates), "{rule}, in another order");
    }
}

#[test]
fn none_is_an_error() {
    assert_eq!(compute(&[]), Err(NoAvailableRoute));
}

#[test]
fn the_reason_is_the_one_that_decided() {
    let us = |micros| Duration::from_micros(micros).into();
    let why = |candidates: &[Candidate]| compute(candidates).unwrap().why;
    assert_eq!(why(&[signed(1, 5, 0)]), Why::OnlyRoute);
    assert_eq!(why(&[signed(1, 5, 0), unsigned(2, 4, 0)]), Why::OnlySigned);
    assert_eq!(why(&[signed(1, 50, 0), signed(2, 52, 0)]), Why::Ping { own: us(50), next: us(52) });
    assert_eq!(
        why(&[signed(1, 50, 100), signed(2, 52, 200)]),
        Why::Bandwidth {
            ping: us(52),
            lowest_ping: us(50),
            own: Bandwidth::from_bytes_per_second(200),
            other: Bandwidth::from_bytes_per_second(100),
        }
    );
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let one = (900_u64..1_300, prop_oneof![Just(0_u32), 90_u32..130], any::<bool>());
    prop::collection::vec(one, 1..8).prop_map(|list| {
        (0..)
            .zip(list)
            .map(|(number, (ping, bandwidth, peer_part))| Candidate {
                peer_part,
                ..signed(number, ping, bandwidth)
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn the_order_of_the_candidates_does_not_matter(list in candidates(), by in 0_usize..8) {
        let mut rotated = list.clone();
        let length = rotated.len();
        rotated.rotate_left(by % length);
        prop_assert_eq!(compute(&rotated), compute(&list));
    }

    #[test]
    fn the_winner_is_within_a_tenth_of_the_lowest(list in candidates()) {
        let choice = compute(&list).unwrap();
        let winner = list.iter().find(|candidate| candidate.hop == choice.hop).unwrap();
        let alike = list.iter().filter(|other| other.peer_part == winner.peer_part);
        let lowest = alike.map(|other| other.ping).min_by_key(|ping| ping.total()).unwrap();
        prop_assert!(winner.ping.is_within_a_tenth_of(lowest));
        prop_assert!(winner.peer_part || list.iter().all(|candidate| !candidate.peer_part));
    }
}
