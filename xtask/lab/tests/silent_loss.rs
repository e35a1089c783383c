// SPDX-License-Identifier: AGPL-3.0-or-later
//! The chosen link drops everything and tells nobody: traffic goes on over the other at once.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests end and report tests, too")]

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use irdest_lab::traffic::{IperfServer, Ping};
use irdest_lab::{Capture, LinkTraits, Neighbours, Rate, Seen, Stalls, TimeLimit, repetitions};

/// Pause between two pings.
const PAUSE: Duration = Duration::from_millis(10);

/// How long no ping may arrive at B, and no data of the stream.
const PINGS: Duration = Duration::from_millis(300);
const STREAM: Duration = Duration::from_millis(500);

/// What is looked at before a link falls silent and while it is.
const BEFORE: Duration = Duration::from_millis(500);
const SILENT: Duration = Duration::from_secs(3);

/// A round in which the machine stood still for longer shows nothing and is made once more; as many as half of the rounds.
const STALL: Duration = Duration::from_millis(20);

/// The longest that a round may take: the silent link has to be found dead and dialed again.
const ROUND: u32 = 30;

const TRAITS: [LinkTraits; 2] = [
    LinkTraits { round_trip: Duration::from_millis(10), rate: Some(Rate::mbit(100)) },
    LinkTraits { round_trip: Duration::from_millis(20), rate: Some(Rate::mbit(100)) },
];

/// The longest time in which nothing arrived.
struct Gaps {
    pings: Duration,
    stream: Duration,
}

/// Lets the chosen link fall silent, and has it back afterwards.
fn one_round(links: &Neighbours) -> Gaps {
    let capture = Capture::start(links.b.node(), "irdest0").unwrap();
    let since = SystemTime::now();
    links.limit().pass(BEFORE).unwrap();
    let chosen = links.chosen().unwrap();
    let line = &links.lines[chosen];
    line.set_silent(true);
    links.limit().pass(SILENT).unwrap();
    let until = SystemTime::now();
    line.set_silent(false);
    let arrivals = capture.stop().unwrap();
    let gap = |kind| arrivals.longest_gap(kind, since, until).unwrap();
    let gaps = Gaps { pings: gap(Seen::Ping), stream: gap(Seen::TcpData) };
    let [pings, stream] = [gaps.pings, gaps.stream].map(|gap| gap.as_millis());
    println!("link {chosen} fell silent: no ping for {pings} ms, no data for {stream} ms");
    gaps
}

#[test]
fn traffic_leaves_a_link_that_falls_silent() {
    for extra in Neighbours::with_and_without_probes() {
        assert_traffic_leaves(extra);
    }
}

fn assert_traffic_leaves(extra: &str) {
    let rounds = repetitions(10, 100);
    let most = rounds + rounds / 2;
    let all = TimeLimit::within(Duration::from_secs((ROUND * (most + 1)).into()));
    let links = Neighbours::start(all, &TRAITS, extra).unwrap();
    let b: IpAddr = Neighbours::B_ADDRESS.parse().unwrap();
    let _server = IperfServer::start(links.b.node(), b, all).unwrap();
    let ping = Ping::start(links.a.node(), b, PAUSE).unwrap();
    ping.reply_after(SystemTime::now(), all).unwrap();
    let client = ["--client", Neighbours::B_ADDRESS, "--time", &(ROUND * most).to_string()];
    let _stream = links.a.node().spawn("iperf3", &client, "iperf3-client").unwrap();
    let stalls = Stalls::watch().unwrap();
    let (mut shown, mut missed) = (0, 0);
    for _ in 0..most {
        links.wait_for_all().unwrap();
        links.limit().pass(Duration::from_secs(1)).unwrap();
        stalls.take_longest();
        let gaps = one_round(&links);
        let stall = stalls.take_longest();
        if stall > STALL {
            println!("the machine itself stood still for {} ms: not counted", stall.as_millis());
            continue;
        }
        shown += 1;
        missed += u32::from(gaps.pings > PINGS || gaps.stream > STREAM);
        if shown == rounds {
            break;
        }
    }
    assert_eq!(
        (shown, missed),
        (rounds, 0),
        "rounds shown, and missed; the machine stood still in the others"
    );
}
