// SPDX-License-Identifier: AGPL-3.0-or-later
//! What fails comes back: a router that was gone, a link that was down.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests end and report tests, too")]

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use irdest_lab::traffic::{EchoConnection, Ping};
use irdest_lab::{Conduct, Dials, Relay, ThreeRouters, TimeLimit, rounds};

/// Pause between two pings: far below the times that are asserted.
const PAUSE: Duration = Duration::from_millis(20);

/// What the slower link adds in each direction, far above the round trip of the other and above what a busy machine adds.
const DELAY: Duration = Duration::from_millis(100);

/// How long the better link stays down: longer than routers need to declare it dead and dial it again.
const OUTAGE: Duration = Duration::from_secs(8);

/// Round trips below this took the better link.
const BETTER: Duration = Duration::from_millis(100);

fn limit() -> TimeLimit {
    TimeLimit::within(Duration::from_secs(120))
}

fn address_of_b() -> IpAddr {
    ThreeRouters::B_ADDRESS.parse().unwrap()
}

fn after(event: SystemTime, instant: Duration) -> Duration {
    instant.saturating_sub(event.duration_since(SystemTime::UNIX_EPOCH).unwrap())
}

fn r_is_gone_for_a_while(dials: Dials) {
    let mut routers = ThreeRouters::prepare(limit(), dials).unwrap();
    routers.start().unwrap();
    routers.wait_for_routes().unwrap();
    let (a, b) = (routers.a.node().clone(), routers.b.node().clone());
    let ping = Ping::start(&a, address_of_b(), PAUSE).unwrap();
    let mut connection = EchoConnection::open(&a, &b, (address_of_b(), 8080).into()).unwrap();
    connection.echo(routers.limit()).unwrap();
    for _ in 0..rounds() {
        ping.reply_after(SystemTime::now(), routers.limit()).unwrap();
        routers.r.kill().unwrap();
        routers.limit().pass(Duration::from_secs(3)).unwrap();
        routers.r.start_as_ratmand().unwrap();
        let listens = SystemTime::now();
        let reply = ping.reply_after(listens, routers.limit()).unwrap();
        let took = after(listens, reply.at);
        println!("{dials:?} dial: traffic {:.2} s after R's listener was up", took.as_secs_f32());
        assert!(took < Duration::from_secs(5), "{took:?}");
        connection.echo(routers.limit()).unwrap();
    }
}

#[test]
fn traffic_goes_on_after_r_was_gone_and_the_edges_dial() {
    r_is_gone_for_a_while(Dials::Edges);
}

#[test]
fn traffic_goes_on_after_r_was_gone_and_r_dials() {
    r_is_gone_for_a_while(Dials::Middle);
}

#[test]
fn the_other_link_takes_over_and_gives_back_without_flapping() {
    let mut routers = ThreeRouters::prepare_with_relay(limit(), 5861).unwrap();
    let slow = Relay {
        listen: "203.0.113.1:5861".parse().unwrap(),
        target: "203.0.113.1:5860".parse().unwrap(),
        conduct: Conduct::Slow(DELAY),
    };
    slow.start(routers.r.node()).unwrap();
    routers.start().unwrap();
    routers.wait_for_routes().unwrap();
    let ping = Ping::start(routers.a.node(), address_of_b(), PAUSE).unwrap();
    let on_the_better_link = |since: SystemTime| {
        routers.limit().wait_for("traffic on the better link", || {
            let fast = ping.replies().after(since).0.into_iter().find(|reply| reply.round_trip < BETTER);
            Ok(fast)
        })
    };
    on_the_better_link(SystemTime::now()).unwrap();
    for _ in 0..rounds() {
        routers
            .limit()
            .wait_until("the better link to be chosen for good", || {
                let last: Vec<_> = ping.replies().0.into_iter().rev().take(50).collect();
                last.len() == 50 && last.iter().all(|reply| reply.round_trip < BETTER)
            })
            .unwrap();

        let down = SystemTime::now();
        routers.r.node().ip(&["link", "set", "to-b1", "down"]).unwrap();
        // What was already on its way may still come.
        let reply = ping.reply_after(down + PAUSE, routers.limit()).unwrap();
        let took = after(down, reply.at);
        println!("link down: traffic on the other after {:.2} s", took.as_secs_f32());
        assert!(took < Duration::from_secs(2), "{took:?}");
        routers.limit().pass(OUTAGE).unwrap();
        let while_down = ping.replies().after(down + PAUSE);
        assert!(while_down.0.iter().all(|reply| reply.round_trip >= BETTER), "all took the slower link");

        let up = SystemTime::now();
        routers.r.node().ip(&["link", "set", "to-b1", "up"]).unwrap();
        let back = on_the_better_link(up).unwrap();
        println!("link up: traffic on the better link after {:.2} s", after(up, back.at).as_secs_f32());
        routers.limit().pass(Duration::from_secs(5)).unwrap();
        // With the slow replies before: the first one after may be quick already.
        let since_down = ping.replies().after(down + PAUSE);
        assert_eq!(since_down.changes_of_speed(BETTER), 1, "there and not to and fro");
        let since_up = ping.replies().after(up);
        assert!(since_up.longest_gap() < Duration::from_secs(1), "going back interrupts nothing");
    }
    ping.stop(routers.limit()).unwrap();
}
