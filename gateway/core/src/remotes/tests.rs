// SPDX-License-Identifier: AGPL-3.0-or-later
use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const SEED: HashSeed = HashSeed::from_bytes([3; 16]);

fn address(number: u16) -> Address {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    Address::from_bytes(bytes)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn remotes(routes: &[(&str, u16)]) -> Result<Remotes, RouteError> {
    Remotes::new(routes.iter().map(|&(prefix, remote)| (prefix.parse().unwrap(), address(remote))), SEED)
}

#[test]
fn overlay_addresses_are_golden() {
    // Python: hashlib.blake2b(b"irdest ip 1" + key, digest_size=32).hexdigest()[:24]
    let zeros = overlay_address(&Address::from_bytes([0; 32]));
    assert_eq!(zeros, "fd69:7264:5b66:422e:a993:acd8:a483:38e0".parse::<Ipv6Addr>().unwrap());
    let counting = core::array::from_fn(|at| u8::try_from(at).unwrap());
    let counting = overlay_address(&Address::from_bytes(counting));
    assert_eq!(counting, "fd69:7264:d9cc:b59d:d9cb:ae09:8c77:e28a".parse::<Ipv6Addr>().unwrap());
    assert!(is_overlay(zeros) && !is_overlay("fd69:7265::1".parse().unwrap()));
}

#[test]
fn the_longest_prefix_decides_in_both_families() {
    let remotes = remotes(&[
        ("10.0.0.0/8", 1),
        ("10.1.0.0/16", 2),
        ("10.1.2.3/32", 3),
        ("2001:db8::/32", 4),
        ("::/0", 5),
    ])
    .unwrap();
    for (destination, remote) in [
        ("10.9.9.9", 1),
        ("10.1.9.9", 2),
        ("10.1.2.3", 3),
        ("2001:db8::1", 4),
        ("2001:db9::1", 5),
        ("fd00::1", 5),
    ] {
        assert_eq!(remotes.lookup(ip(destination)), Lookup::Remote(address(remote)), "{destination}");
        assert!(remotes.source_allowed(&address(remote), ip(destination)));
        assert!(!remotes.source_allowed(&address(9), ip(destination)));
    }
    assert_eq!(remotes.lookup(ip("11.0.0.1")), Lookup::NoRoute);
    // A wider prefix of its own does not let a remote use what a longer one gives to another.
    assert!(!remotes.source_allowed(&address(1), ip("10.1.9.9")));
    assert!(!remotes.source_allowed(&address(5), ip("2001:db8::1")));
}

#[test]
fn the_overlay_wins_over_every_prefix_around_it() {
    let mut remotes = remotes(&[("::/0", 1)]).unwrap();
    let other = overlay_address(&address(7)).into();
    assert_eq!(remotes.lookup(other), Lookup::UnknownOverlay);
    assert!(!remotes.source_allowed(&address(1), other));
    assert_eq!(remotes.learn(address(7)), Learned::New(overlay_address(&address(7))));
    assert_eq!(remotes.lookup(other), Lookup::Remote(address(7)));
    // A configured remote needs no announcement.
    assert_eq!(remotes.lookup(overlay_address(&address(1)).into()), Lookup::Remote(address(1)));
}

#[test]
fn a_stranger_has_its_own_overlay_address_only() {
    let mut remotes = remotes(&[("10.0.0.0/8", 1)]).unwrap();
    let own = overlay_address(&address(7)).into();
    for _ in 0..2 {
        assert!(remotes.source_allowed(&address(7), own));
        assert!(!remotes.source_allowed(&address(8), own));
        assert!(!remotes.source_allowed(&address(7), ip("10.0.0.1")));
        assert!(!remotes.source_allowed(&address(7), ip("192.0.2.1")));
        assert!(!remotes.source_allowed(&address(7), overlay_address(&address(1)).into()));
        remotes.learn(address(7));
    }
}

#[test]
fn wrong_routes_are_refused_with_what_is_wrong() {
    let error = |routes: &[(&str, u16)]| remotes(routes).unwrap_err().to_string();
    assert_eq!(error(&[("10.0.0.1/8", 1)]), "prefix 10.0.0.1/8 has host bits set; 10.0.0.0/8 was expected");
    assert!(error(&[("fd69:7264::/32", 1)]).contains("lies within fd69:7264::/32"));
    assert!(error(&[("fd69:7264:1::/48", 1)]).contains("lies within fd69:7264::/32"));
    assert!(error(&[("224.0.0.0/4", 1)]).contains("multicast"));
    assert!(error(&[("ff00::/8", 1)]).contains("multicast"));
    let twice = error(&[("10.0.0.0/8", 1), ("10.0.0.0/8", 2)]);
    assert!(twice.contains("10.0.0.0/8") && twice.contains(&address(2).to_string()));
    assert!(remotes(&[("10.0.0.0/8", 1), ("10.0.0.0/8", 1), ("fd00::/8", 1)]).is_ok());
    let many = (0..=MAX_ROUTES).map(|number| {
        let number = u32::try_from(number).unwrap();
        (IpNet::from(IpAddr::from((0x0A00_0000 + number).to_be_bytes())), address(1))
    });
    assert_eq!(Remotes::new(many, SEED).unwrap_err(), RouteError::TooMany(MAX_ROUTES + 1));
}

#[test]
fn configured_remotes_are_not_forgotten() {
    let mut remotes = remotes(&[("10.0.0.0/8", 1)]).unwrap();
    assert_eq!(remotes.learn(address(1)), Learned::Known);
    assert!(!remotes.forget(&address(1)));
    assert!(!remotes.forget(&address(2)));
    remotes.learn(address(2));
    assert_eq!(
        remotes.overlay_stats(),
        OverlayStats { configured: 1, learned: 1, ..OverlayStats::default() }
    );
    assert!(remotes.forget(&address(2)));
    assert_eq!(remotes.lookup(overlay_address(&address(2)).into()), Lookup::UnknownOverlay);
}

#[test]
fn other_routes_leave_what_was_learned() {
    let mut before = remotes(&[("10.0.0.0/8", 1), ("10.1.0.0/16", 2)]).unwrap();
    before.learn(address(3));
    let prefix = |text: &str| text.parse::<IpNet>().unwrap();
    let mut after =
        before.with_routes([(prefix("10.0.0.0/8"), address(2)), (prefix("11.0.0.0/8"), address(3))]).unwrap();
    assert_eq!(after.lookup(ip("10.1.0.1")), Lookup::Remote(address(2)));
    assert_eq!(after.lookup(ip("11.0.0.1")), Lookup::Remote(address(3)));
    assert!(!after.forget(&address(3)), "it is configured now");
    let overlay = |number| after.lookup(overlay_address(&address(number)).into());
    assert_eq!(overlay(1), Lookup::UnknownOverlay, "configured no more, and not announced");
    assert_eq!([overlay(2), overlay(3)], [2, 3].map(|number| Lookup::Remote(address(number))));

    let mut learned = before.with_routes([]).unwrap();
    assert_eq!(learned.lookup(ip("10.1.0.1")), Lookup::NoRoute);
    assert_eq!(learned.lookup(overlay_address(&address(3)).into()), Lookup::Remote(address(3)));
    assert!(learned.forget(&address(3)));
    assert!(before.with_routes([(prefix("ff00::/8"), address(1))]).is_err());
}

#[test]
fn a_snapshot_does_not_see_later_changes() {
    let mut remotes = remotes(&[]).unwrap();
    remotes.learn(address(1));
    let snapshot = remotes.clone();
    remotes.learn(address(2));
    remotes.forget(&address(1));
    assert_eq!(snapshot.lookup(overlay_address(&address(1)).into()), Lookup::Remote(address(1)));
    assert_eq!(snapshot.lookup(overlay_address(&address(2)).into()), Lookup::UnknownOverlay);
    assert_eq!(remotes.overlay_stats().learned, 1);
}

#[test]
fn a_full_table_learns_no_more_until_something_is_forgotten() {
    let mut remotes = remotes(&[("10.0.0.0/8", 0)]).unwrap();
    for number in 1..=u16::MAX {
        assert!(matches!(remotes.learn(address(number)), Learned::New(_)));
    }
    let (last, surplus) = (Address::from_bytes([1; 32]), Address::from_bytes([2; 32]));
    assert!(matches!(remotes.learn(last), Learned::New(_)));
    assert_eq!(remotes.learn(surplus), Learned::Full);
    assert_eq!(remotes.lookup(overlay_address(&surplus).into()), Lookup::UnknownOverlay);
    assert!(remotes.source_allowed(&surplus, overlay_address(&surplus).into()));
    assert!(remotes.forget(&last));
    assert!(matches!(remotes.learn(surplus), Learned::New(_)));
    let full = OverlayStats { configured: 1, learned: MAX_OVERLAY, collisions: 0, refused: 1 };
    assert_eq!(remotes.overlay_stats(), full);
}

proptest! {
    #[test]
    fn lookup_agrees_with_a_search_of_all_prefixes(
        routes in prop::collection::hash_map((0_u8..4, 0_u8..=32), 0_u16..9, 0..20),
        destination in (0_u8..4, any::<u8>(), any::<u8>()),
    ) {
        let net = |(octet, len): (u8, u8)| IpNet::new(IpAddr::from([10, octet, 0, 0]), len).unwrap().trunc();
        let routes: HashMap<_, _> = routes.into_iter().map(|(prefix, remote)| (net(prefix), remote)).collect();
        let remotes = Remotes::new(routes.iter().map(|(prefix, remote)| (*prefix, address(*remote))), SEED).unwrap();
        let destination = IpAddr::from([10, destination.0, destination.1, destination.2]);
        let covering = routes.iter().filter(|(prefix, _)| prefix.contains(&destination));
        let expected = covering.max_by_key(|(prefix, _)| prefix.prefix_len())
            .map_or(Lookup::NoRoute, |(_, remote)| Lookup::Remote(address(*remote)));
        prop_assert_eq!(remotes.lookup(destination), expected);
        for remote in 0..9 {
            let allowed = expected == Lookup::Remote(address(remote));
            prop_assert_eq!(remotes.source_allowed(&address(remote), destination), allowed);
        }
    }

    #[test]
    fn the_overlay_agrees_with_a_map(steps in prop::collection::vec((0_u16..30, any::<bool>()), 0..100)) {
        let mut remotes = remotes(&[]).unwrap();
        let mut model = std::collections::HashSet::new();
        for (number, learn) in steps {
            if learn {
                prop_assert_eq!(matches!(remotes.learn(address(number)), Learned::New(_)), model.insert(number));
            } else {
                prop_assert_eq!(remotes.forget(&address(number)), model.remove(&number));
            }
            prop_assert_eq!(remotes.overlay_stats().learned, model.len());
            prop_assert_eq!(remotes.learned().count(), model.len());
            prop_assert!(remotes.learned().all(|learned| model.iter().any(|number| address(*number) == learned)));
        }
        for number in 0..30 {
            let known = remotes.lookup(overlay_address(&address(number)).into()) != Lookup::UnknownOverlay;
            prop_assert_eq!(known, model.contains(&number));
        }
    }
}
