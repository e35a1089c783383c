// SPDX-License-Identifier: AGPL-3.0-or-later
//! A link that is full although nothing waits for it tells what it carries, too.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests end and report tests, too")]

use std::time::{Duration, SystemTime};

use irdest_lab::traffic::{Load, Ping};
use irdest_lab::{CapacityFigure, CapacityKind, LinkTraits, Neighbours, Rate, TimeLimit};

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How far it may be from the truth, in percent.
const PERCENT: u64 = 10;

/// One BBR stream keeps no more in flight than such a path carries: on a faster one its beginning makes a queue for long enough.
const TRAITS: [LinkTraits; 1] =
    [LinkTraits { round_trip: Duration::from_millis(10), rate: Some(Rate::mbit(10)) }];

/// The longest that others wait: the queue before, a train, and the way there and back, on a machine with other work.
const PING: Duration = Duration::from_millis(500);

#[test]
fn a_link_that_is_full_without_a_queue_tells_its_capacity() {
    let links = Neighbours::start(TimeLimit::within(2 * PATIENCE), &TRAITS, "").unwrap();
    let _load = Load::Full.start(links.a.node(), links.b.node(), links.limit()).unwrap();
    let b = Neighbours::B_ADDRESS.parse().unwrap();
    let ping = Ping::start(links.a.node(), b, Duration::from_millis(20)).unwrap();
    let since = SystemTime::now();
    let measured = || {
        let link = links.a.links()?.links.into_iter().next();
        let CapacityFigure { kind, bytes_per_second, source } = link.unwrap().capacity;
        Ok(bytes_per_second.filter(|_| kind == CapacityKind::Measured).zip(source))
    };
    let (told, source) = links.limit().at_most(PATIENCE).wait_for("a capacity", measured).unwrap();
    let truth = u64::from(TRAITS[0].rate.unwrap().bytes_per_second());
    let longest = ping.replies().after(since).0.iter().map(|reply| reply.round_trip).max().unwrap();
    println!("{told} B/s by {source} after {:?}; the longest ping {longest:?}", since.elapsed().unwrap());
    assert!(told.abs_diff(truth) * 100 <= truth * PERCENT, "{told} B/s told, {truth} true");
    assert!(longest <= PING, "a ping took {longest:?}");
}
