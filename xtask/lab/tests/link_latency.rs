// SPDX-License-Identifier: AGPL-3.0-or-later
//! The latency of a link is that of `ping` on the same path, whatever else crosses it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests end and report tests, too")]

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, SystemTime};

use irdest_lab::traffic::{Load, Ping};
use irdest_lab::{LinkTraits, Neighbours, Rate, TimeLimit};

/// What the latency is taken from: the daemon looks back so far.
const WINDOW: Duration = Duration::from_secs(30);

/// Pause between two pings, and how far the daemon's figure may be from their median: the larger of the two.
const PAUSE: Duration = Duration::from_millis(200);
const PERCENT: u32 = 5;
const LEAST: Duration = Duration::from_micros(200);

const TRAITS: [LinkTraits; 2] = [
    LinkTraits { round_trip: Duration::from_millis(10), rate: Some(Rate::mbit(50)) },
    LinkTraits { round_trip: Duration::from_millis(40), rate: Some(Rate::mbit(50)) },
];

fn limit() -> TimeLimit {
    TimeLimit::within(Duration::from_secs(120))
}

/// Compares what A tells of its first link with pings on it during the window.
fn assert_latency(load: Load) {
    let links = Neighbours::start(limit(), &TRAITS, "").unwrap();
    let on_link: IpAddr = Neighbours::B_ON_LINKS[0].parse().unwrap();
    let ping = Ping::start(links.a.node(), on_link, PAUSE).unwrap();
    let began = SystemTime::now();
    let _load = load.start(links.a.node(), links.b.node(), links.limit()).unwrap();
    links.limit().pass(WINDOW).unwrap();
    let truth = ping.replies().after(began).median();
    let status = links.a.status().unwrap();
    let link = status.links.iter().find(|link| link.remote.starts_with(Neighbours::B_ON_LINKS[0])).unwrap();
    let told = Duration::from_micros(link.rtt_us.unwrap());
    println!("{load:?}: ping {truth:?}, the link {told:?}");
    let allowed = LEAST.max(truth * PERCENT / 100);
    assert!(told.abs_diff(truth) <= allowed, "{load:?}: ping {truth:?}, the link {told:?}");
}

#[test]
fn latency_is_that_of_ping_whatever_crosses_the_link() {
    thread::scope(|scope| {
        for load in [Load::None, Load::Mbit(1), Load::Talker] {
            scope.spawn(move || assert_latency(load));
        }
    });
}
