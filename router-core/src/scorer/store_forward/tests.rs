// SPDX-License-Identifier: AGPL-3.0-or-later
use core::time::Duration;

use proptest::prelude::*;
use ratman_types::{Address, Hop, LinkId, RouterId};

use super::*;

fn candidate(number: u8, ping_micros: u64, bandwidth: u32) -> Candidate {
    Candidate {
        hop: Hop { link: LinkId(number.into()), neighbour: RouterId::from_bytes([number; 32]) },
        ping: Duration::from_micros(ping_micros).into(),
        bandwidth: Bandwidth::from_bytes_per_second(bandwidth),
        under_load: None,
        peer_part: true,
    }
}

fn trusting(scores: &[(u8, u32)]) -> ScorerConfiguration {
    let trust_scores = scores.iter().map(|(number, score)| (Address::from_bytes([*number; 32]), *score));
    ScorerConfiguration { trust_scores: trust_scores.collect(), ..ScorerConfiguration::default() }
}

fn compute(candidates: &[Candidate], scores: &[(u8, u32)]) -> Choice {
    StoreForwardScorer.compute(ByteCount(0), &trusting(scores), candidates).unwrap()
}

#[test]
fn every_rule_of_the_manual() {
    let table: &[(&str, &[Candidate], u8)] = &[
        ("a single link is used", &[candidate(1, 900_000, 0)], 1),
        ("the highest bandwidth wins", &[candidate(1, 1_000, 8_000), candidate(2, 900_000, 9_000)], 2),
        ("within 10 % ping decides", &[candidate(1, 1_000, 8_100), candidate(2, 2_000, 9_000)], 1),
        ("just over 10 % bandwidth decides", &[candidate(1, 1_000, 8_099), candidate(2, 2_000, 9_000)], 2),
        (
            "the window hangs on the widest",
            &[candidate(1, 9, 8_000), candidate(2, 10, 8_500), candidate(3, 11, 9_000)],
            2,
        ),
        ("measured goes before unmeasured", &[candidate(1, 1_000, 0), candidate(2, 900_000, 1)], 2),
        ("nobody measured: ping decides", &[candidate(1, 2_000, 0), candidate(2, 1_000, 0)], 2),
        ("equal links: the smaller hop", &[candidate(2, 1_000, 9_000), candidate(1, 1_000, 9_000)], 1),
    ];
    for (rule, candidates, expected) in table {
        assert_eq!(compute(candidates, &[]).hop.link, LinkId((*expected).into()), "{rule}");
    }
    let none = StoreForwardScorer.compute(ByteCount(0), &ScorerConfiguration::default(), &[]);
    assert_eq!(none, Err(NoAvailableRoute));
}

#[test]
fn trust_goes_before_bandwidth_and_no_trust_after_the_least() {
    let links = [candidate(1, 1_000, 9_000), candidate(2, 1_000, 500), candidate(3, 1_000, 100)];
    let chosen = |scores: &[(u8, u32)]| compute(&links, scores).hop.link;
    assert_eq!(chosen(&[]), LinkId(1));
    assert_eq!(chosen(&[(3, 0)]), LinkId(3), "a score of zero is a score");
    assert_eq!(chosen(&[(3, 1), (2, 5)]), LinkId(2));
    assert_eq!(chosen(&[(3, 5), (2, 5)]), LinkId(2), "equal trust: bandwidth");
    assert_eq!(chosen(&[(9, 5)]), LinkId(1), "trust in somebody else");
}

#[test]
fn what_is_said_of_a_router_goes_before_what_is_reached_through_it() {
    let links = [candidate(1, 1_000, 9_000), candidate(2, 1_000, 500), candidate(3, 1_000, 100)];
    let mut config = trusting(&[]);
    let chosen = |config: &ScorerConfiguration| {
        StoreForwardScorer.compute(ByteCount(0), config, &links).unwrap().hop.link
    };
    config.reached =
        [(2, 5), (3, 7)].map(|(number, score)| (RouterId::from_bytes([number; 32]), score)).into();
    assert_eq!(chosen(&config), LinkId(3));
    config.trust_scores = trusting(&[(3, 0)]).trust_scores;
    assert_eq!(chosen(&config), LinkId(2), "router 3 is trusted less than what is behind it");
    config.trust_scores = trusting(&[(1, 6)]).trust_scores;
    config.reached.remove(&RouterId::from_bytes([3; 32]));
    assert_eq!(chosen(&config), LinkId(1));
}

#[test]
fn a_choice_says_what_decided() {
    let (wide, second, narrow) =
        (candidate(1, 1_000, 9_000), candidate(2, 2_000, 9_000), candidate(3, 1_000, 100));
    let why = |candidates: &[Candidate], scores: &[(u8, u32)]| compute(candidates, scores).why;
    assert_eq!(why(&[wide], &[]), Why::OnlyRoute);
    assert_eq!(why(&[wide, narrow], &[]), Why::Widest { own: wide.bandwidth, next: narrow.bandwidth });
    let by_ping = Why::PingOfWide { own: wide.ping, next: second.ping, bandwidth: wide.bandwidth };
    assert_eq!(why(&[second, wide, narrow], &[]), by_ping);
    assert_eq!(why(&[wide, narrow], &[(3, 7)]), Why::Trust { own: 7, next: None });
    assert_eq!(why(&[wide, narrow], &[(3, 7), (1, 6)]), Why::Trust { own: 7, next: Some(6) });
}

proptest! {
    #[test]
    fn the_order_of_the_links_does_not_matter(
        links in proptest::collection::vec((0_u64..3, 0_u32..30), 1..6),
        scores in proptest::collection::vec((0_u8..6, 0_u32..3), 0..3),
        turn in 0_usize..6,
    ) {
        let mut candidates: Vec<Candidate> = (0_u8..)
            .zip(&links)
            .map(|(number, (ping, bandwidth))| candidate(number, *ping, *bandwidth))
            .collect();
        let before = compute(&candidates, &scores);
        let turn = turn % candidates.len();
        candidates.rotate_left(turn);
        prop_assert_eq!(compute(&candidates, &scores), before);
    }
}
