// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the tests share: three routers of which A is the one that is looked at.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use irdest_lab::{Dials, Gateway, ThreeRouters, TimeLimit};

/// Three routers, none of which runs.
pub(crate) fn prepared() -> ThreeRouters {
    ThreeRouters::prepare(TimeLimit::within(Duration::from_secs(120)), Dials::Edges).unwrap()
}

/// R and B run, too, and A and B have routes to each other.
pub(crate) fn complete(routers: &mut ThreeRouters) {
    routers.r.start_as_ratmand().unwrap();
    routers.b.start().unwrap();
    routers.wait_for_routes().unwrap();
}

/// B, inside.
pub(crate) fn b() -> IpAddr {
    ThreeRouters::B_ADDRESS.parse().unwrap()
}

/// How many lines of the daemon's log, which goes on over restarts, contain all of these words.
pub(crate) fn lines(gateway: &Gateway, words: &[&str]) -> usize {
    let log = fs::read_to_string(gateway.node().directory().join("gateway.log")).unwrap();
    log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

/// Whether root in here is root of the machine: then all users are there (user_namespaces(7)).
pub(crate) fn is_true_root() -> bool {
    let users = fs::read_to_string("/proc/self/uid_map").unwrap();
    users.split_whitespace().eq(["0", "0", "4294967295"])
}
