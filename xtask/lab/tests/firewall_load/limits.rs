// SPDX-License-Identifier: AGPL-3.0-or-later
//! The bandwidth of a remote, as iperf3 measures it.

use irdest_lab::Sites;
use irdest_lab::traffic::{IperfServer, Transport};

use crate::scene::{accept, configure_b, prepared};

/// What iperf3 offers is 100 Mbit/s; the limits are far below it, and above what one burst brings.
const UP: f64 = 10e6;
const DOWN: f64 = 20e6;

const SECONDS: u32 = 5;

#[test]
fn a_remote_gets_its_bandwidth_each_way_and_no_more() {
    let limit = "[[limit]]\nremote = \"bob\"\nup = \"10 Mbit/s\"\ndown = \"20 Mbit/s\"\n";
    let mut sites = prepared(&[accept("iperf3", "remote = \"bob\", ports = [5201]")], limit);
    configure_b(&sites, "[firewall]\naccept = [{ from = \"configured\", ports = [5201] }]\n");
    sites.start().unwrap();
    for (from, to, address, expected) in
        [(&sites.a, &sites.b, Sites::B_ADDRESS, UP), (&sites.b, &sites.a, Sites::A_ADDRESS, DOWN)]
    {
        let server = IperfServer::start(to.node(), address.parse().unwrap(), sites.limit()).unwrap();
        let figure = server.measure(from.node(), Transport::Udp, SECONDS, sites.limit()).unwrap();
        // What arrived: iperf3 tells the offered rate and the share that was lost.
        let arrived = figure.bits_per_second * (1.0 - figure.retransmitted_or_lost / 100.0);
        println!("limit {:.0} Mbit/s: {:.1} Mbit/s arrived", expected / 1e6, arrived / 1e6);
        assert!((arrived / expected - 1.0).abs() < 0.15, "{arrived} instead of {expected}: {figure}");
    }
    let status = sites.a.status().unwrap();
    assert!(status.drops("remote_limit") > 0, "{:?}", status.drops);
}
