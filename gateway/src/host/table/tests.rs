// SPDX-License-Identifier: AGPL-3.0-or-later

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

const TUN: u32 = 9;
const LAN: u32 = 2;

fn prefix(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn routing(prefixes: &[&str], except: &[&str]) -> Routing {
    Routing {
        table: 7,
        priority: 7,
        mark: 7,
        prefixes: prefixes.iter().map(|text| prefix(text)).collect(),
        except: except.iter().map(|text| prefix(text)).collect(),
        close_other_family: true,
    }
}

fn main_table(routes: &[(&str, u32)]) -> Vec<MainRoute> {
    routes.iter().map(|(text, device)| MainRoute::new(prefix(text), *device)).collect()
}

fn of(wanted: &Wanted, kind: Kind) -> Vec<String> {
    let routes = wanted.routes.iter().filter(|route| route.kind == kind);
    routes.map(|route| route.prefix.to_string()).collect()
}

#[test]
fn more_specific_routes_of_the_host_and_exceptions_are_thrown() {
    let main = main_table(&[
        ("0.0.0.0/0", LAN),
        ("10.1.2.0/24", LAN),
        ("10.1.2.128/25", LAN),
        ("10.77.0.0/24", TUN),
        ("192.168.0.0/16", LAN),
    ]);
    let wanted = wanted(&routing(&["10.0.0.0/8"], &["10.9.0.0/16"]), &main, TUN);
    assert_eq!(of(&wanted, Kind::Throw), ["10.1.2.0/24", "10.9.0.0/16"]);
    assert_eq!(of(&wanted, Kind::Mesh), ["10.0.0.0/8"]);
    assert_eq!(of(&wanted, Kind::Unreachable), ["10.0.0.0/8"], "behind the device");
}

#[test]
fn a_default_route_leaves_links_to_the_link_and_closes_the_other_family() {
    let main = main_table(&[
        ("0.0.0.0/0", LAN),
        ("192.168.0.0/16", LAN),
        ("::/0", LAN),
        ("fe80::/64", LAN),
        ("fe80::/64", TUN),
        ("fd00::/64", TUN),
        ("2001:db8::/64", LAN),
    ]);
    let overlay = "fd69:7264::/32";
    let closing = wanted(&routing(&["0.0.0.0/0", overlay], &[]), &main, TUN);
    let thrown = ["192.168.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "2001:db8::/64", "fe80::/64"];
    assert_eq!(of(&closing, Kind::Throw), thrown);
    assert_eq!(of(&closing, Kind::Mesh), ["0.0.0.0/0", "fd00::/64", overlay]);
    assert_eq!(of(&closing, Kind::Unreachable), ["0.0.0.0/0", "::/0", "fd00::/64", overlay]);
    let open = Routing { close_other_family: false, ..routing(&["0.0.0.0/0", overlay], &[]) };
    assert_eq!(of(&wanted(&open, &main, TUN), Kind::Unreachable), ["0.0.0.0/0", overlay]);
}

#[test]
fn halves_and_all_that_is_assigned_are_as_good_as_a_default_route() {
    for (prefixes, closed) in [
        (&["0.0.0.0/1", "128.0.0.0/1"][..], Some("::/0")),
        (&["2000::/3"], Some("0.0.0.0/0")),
        (&["::/0"], Some("0.0.0.0/0")),
        (&["0.0.0.0/0", "2000::/3"], None),
        (&["0.0.0.0/1"], None),
        (&["fd69:7264::/32"], None),
    ] {
        let closing = closed_of(prefixes);
        assert_eq!(closing, closed.map(prefix), "{prefixes:?}");
    }
}

fn closed_of(prefixes: &[&str]) -> Option<IpNet> {
    closed(&routing(prefixes, &[])).next()
}

#[test]
fn only_the_same_prefix_elsewhere_is_a_conflict() {
    let main =
        main_table(&[("0.0.0.0/0", LAN), ("10.0.0.0/8", TUN), ("10.1.0.0/16", LAN), ("10.2.0.0/16", LAN)]);
    let routing = routing(&["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16"], &[]);
    let found: Vec<_> = conflicts(&routing, &main, TUN).map(|route| route.prefix).collect();
    assert_eq!(found, [prefix("10.1.0.0/16")]);
}

#[test]
fn no_more_throws_than_the_limit_and_the_widest_are_kept() {
    let many = (0..=u16::MAX).map(|n| {
        let [high, low] = n.to_be_bytes();
        MainRoute::new(IpNet::from(Ipv4Net::new_assert(Ipv4Addr::new(10, high, low, 0), 24)), LAN)
    });
    let main: Vec<_> = many.step_by(2).chain(main_table(&[("11.0.0.0/9", LAN)])).collect();
    let wanted = wanted(&routing(&["10.0.0.0/7"], &[]), &main, TUN);
    let thrown = of(&wanted, Kind::Throw);
    assert_eq!((thrown.len(), wanted.left_out), (MAX_THROWS, 32769 - MAX_THROWS));
    assert!(thrown.contains(&"11.0.0.0/9".to_owned()));
}

/// Where a packet to `to` goes, as the kernel decides it: our table first, the main one where that throws or has nothing.
fn kernel(wanted: &Wanted, main: &[MainRoute], to: IpAddr) -> Option<u32> {
    let around = wanted.routes.iter().filter(|route| route.prefix.contains(&to));
    // Of one prefix, the kind with the lowest metric, which is the order of the kinds.
    let ours = around.max_by_key(|route| (route.prefix.prefix_len(), std::cmp::Reverse(route.kind)));
    match ours.map(|route| route.kind) {
        Some(Kind::Mesh) => Some(TUN),
        Some(Kind::Unreachable) => None,
        Some(Kind::Throw) | None => longest(main, to).map(|route| route.device),
    }
}

fn longest(main: &[MainRoute], to: IpAddr) -> Option<&MainRoute> {
    main.iter().filter(|route| route.prefix.contains(&to)).max_by_key(|route| route.prefix.prefix_len())
}

/// Where it has to go: to the longest prefix of all, ours before the host's, with exceptions as if the host had them.
fn meant(routing: &Routing, main: &[MainRoute], to: IpAddr) -> Option<u32> {
    let length = |prefixes: &[IpNet]| {
        prefixes
            .iter()
            .filter(|prefix| prefix.contains(&to))
            .map(|prefix| i16::from(prefix.prefix_len()))
            .max()
    };
    let hosts = longest(main, to);
    let host = hosts.map(|route| i16::from(route.prefix.prefix_len())).max(length(&routing.except));
    let mesh = length(&routing.prefixes);
    if mesh.is_some() && mesh >= host { Some(TUN) } else { hosts.map(|route| route.device) }
}

fn some_prefix() -> impl Strategy<Value = IpNet> {
    // Few bits that differ, so that prefixes meet.
    (0..8u8, 0..4u8, 0..=16u8).prop_map(|(high, low, length)| {
        IpNet::from(Ipv4Net::new_assert(Ipv4Addr::new(high << 5, low << 6, 0, 0), length).trunc())
    })
}

proptest! {
    #[test]
    fn the_longest_prefix_wins_across_both_tables(
        prefixes in prop::collection::btree_set(some_prefix(), 0..6),
        except in prop::collection::btree_set(some_prefix(), 0..3),
        main in prop::collection::btree_map(some_prefix(), prop::sample::select(vec![LAN, 3, TUN]), 0..8),
        to in (0..224u8, any::<u8>()),
    ) {
        let prefixes: Vec<_> = prefixes.into_iter().collect();
        // As the configuration has it, exceptions lie inside of a prefix.
        let inside = |inner: &IpNet| prefixes.iter().any(|outer| outer != inner && outer.contains(inner));
        let except: Vec<_> = except.into_iter().filter(inside).collect();
        let routing = Routing { prefixes, except, close_other_family: false, table: 7, priority: 7, mark: 7 };
        let main: Vec<_> = main.into_iter().map(|(prefix, device)| MainRoute::new(prefix, device)).collect();
        let to = IpAddr::from([to.0, to.1, 1, 1]);
        let wanted = wanted(&routing, &main, TUN);
        prop_assert_eq!(kernel(&wanted, &main, to), meant(&routing, &main, to));
    }
}
