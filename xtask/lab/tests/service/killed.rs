// SPDX-License-Identifier: AGPL-3.0-or-later
//! SIGKILL and a new start: nothing that the killed daemon left is in the way.

use std::time::{Duration, SystemTime};

use irdest_lab::traffic::Ping;
use irdest_lab::{Gateway, rounds};

use crate::scene::{b, complete, prepared};

/// From the kill to the first answer through the new daemon, its start included.
const BACK_WITHIN: Duration = Duration::from_secs(3);

/// All that the host shows of a gateway: addresses of the device, rules, and routes with the device by name.
fn on_the_host(gateway: &Gateway) -> [String; 4] {
    let ip = |arguments: &str| gateway.node().ip(&arguments.split(' ').collect::<Vec<_>>()).unwrap();
    // The link-local address is drawn by the kernel.
    let addresses = ip("-brief address show dev irdest0 scope global");
    [addresses, ip("rule"), ip("route show table 26994"), ip("-6 route show table 26994")]
}

#[test]
fn a_killed_daemon_that_is_started_again_answers_within_three_seconds() {
    let mut routers = prepared();
    routers.a.start().unwrap();
    complete(&mut routers);
    let before = on_the_host(&routers.a);
    let identity = routers.a.status().unwrap().address;
    let ping = Ping::start(routers.a.node(), b(), Duration::from_millis(20)).unwrap();
    for _ in 0..rounds() {
        ping.reply_after(SystemTime::now(), routers.limit()).unwrap();
        routers.a.kill().unwrap();
        let killed = SystemTime::now();
        routers.a.start().unwrap();
        let reply = ping.reply_after(killed, routers.limit()).unwrap();
        let took = reply.at.saturating_sub(killed.duration_since(SystemTime::UNIX_EPOCH).unwrap());
        println!("killed: the first answer after {:.2} s", took.as_secs_f32());
        assert!(took < BACK_WITHIN, "{took:?}");
        assert_eq!(on_the_host(&routers.a), before);
        let status = routers.a.status().unwrap();
        assert_eq!((status.address, status.warnings), (identity.clone(), Vec::<String>::new()));
    }
    routers.a.stop().unwrap();
    assert_eq!(routers.a.node().ip(&["route", "show", "table", "26994"]).unwrap_or_default(), "");
}
