// SPDX-License-Identifier: AGPL-3.0-or-later
//! A wall clock that was set back by an hour while the gateway was down (Debian package faketime: the wall clock alone).

use std::collections::BTreeMap;
use std::fs;

use irdest_lab::traffic::ping;
use irdest_lab::{Gateway, moved_clock};

use crate::scene::{b, complete, lines, prepared};

const WARNING: &str = "our clock is behind the times that we announced";

/// The stored ceiling of A's origin times, in microseconds since 1970.
fn ceiling(gateway: &Gateway) -> u64 {
    let times = fs::read_to_string(gateway.node().directory().join("state/times.toml")).unwrap();
    let rows: BTreeMap<&str, &str> = times.lines().filter_map(|line| line.split_once(" = ")).collect();
    rows[gateway.identity().address.as_str()].parse().unwrap()
}

#[test]
fn announcements_go_on_where_the_clock_was_set_back_by_an_hour() {
    let mut routers = prepared();
    routers.a.start().unwrap();
    complete(&mut routers);
    routers.a.stop().unwrap();
    let before = ceiling(&routers.a);

    let an_hour_back = moved_clock("-3600s").unwrap();
    routers.a.start_by("env", &an_hour_back.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    routers.wait_for_routes().unwrap();
    ping(routers.a.node(), b(), 3, routers.limit()).unwrap();
    let told = || lines(&routers.a, &["WARN", WARNING]) > 0;
    routers.limit().wait_until("the warning", told).unwrap();
    let warnings = routers.a.status().unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.starts_with("clock set back: it is 3")), "{warnings:?}");
    let on = ceiling(&routers.a);
    assert!((before + 1..before + 60_000_000).contains(&on), "on from the last one: {before}, {on}");

    // It stays one warning, and the gateway reachable for as long as announcements count.
    let made = || routers.a.status().is_ok_and(|status| status.counters["announcements_made"] > 8);
    routers.limit().wait_until("some more announcements", made).unwrap();
    ping(routers.b.node(), routers.a.identity().overlay.into(), 1, routers.limit()).unwrap();
    assert_eq!(lines(&routers.a, &["WARN", WARNING]), 1);
    assert_eq!(routers.r.status().unwrap().drops("clock_window"), 0, "others take them");

    // With the clock mended there is nothing to tell.
    routers.a.stop().unwrap();
    routers.a.start().unwrap();
    routers.wait_for_routes().unwrap();
    assert!(routers.a.status().unwrap().warnings.is_empty());
    assert_eq!(lines(&routers.a, &["WARN", WARNING]), 1);
}
