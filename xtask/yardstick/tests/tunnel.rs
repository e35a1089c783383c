// SPDX-License-Identifier: AGPL-3.0-or-later
//! The tunnel between two nodes of the lab.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may end a test as well")]

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use irdest_lab::traffic::{HttpServer, IperfServer, Transport, ping};
use irdest_lab::{Lab, LinkEnd, Node, Process, TimeLimit};

/// Size of what is downloaded: many super-packets.
const DOWNLOAD: u64 = 32 << 20;

/// Two nodes, a tunnel between them, and nothing else that leads from one tunnel address to the other.
struct Tunnel {
    left: Node,
    right: Node,
    _ends: [Process; 2],
    lab: Lab,
}

impl Tunnel {
    fn with_keys(left_key: u8, right_key: u8) -> Self {
        Self::over(&[], [left_key, right_key])
    }

    fn over(underlay: &[&str], [left_key, right_key]: [u8; 2]) -> Self {
        let lab = Lab::create(TimeLimit::within(Duration::from_secs(60))).unwrap();
        let (left, right) = (lab.node("left").unwrap(), lab.node("right").unwrap());
        lab.link(
            LinkEnd { node: &left, device: "to-right", addresses: &["192.0.2.1/24"] },
            LinkEnd { node: &right, device: "to-left", addresses: &["192.0.2.2/24"] },
        )
        .unwrap();
        let ends = [
            start(
                &left,
                (underlay, left_key),
                ["192.0.2.1:7000", "192.0.2.2:7000"],
                ["10.66.0.1/24", "fd66::1/64"],
            ),
            start(
                &right,
                (underlay, right_key),
                ["192.0.2.2:7000", "192.0.2.1:7000"],
                ["10.66.0.2/24", "fd66::2/64"],
            ),
        ];
        Self { left, right, _ends: ends, lab }
    }

    fn limit(&self) -> TimeLimit {
        self.lab.limit()
    }
}

fn start(
    node: &Node,
    (underlay, key): (&[&str], u8),
    [local, peer]: [&str; 2],
    addresses: [&str; 2],
) -> Process {
    let file = node.directory().join("key");
    fs::write(&file, [key; 32]).unwrap();
    let key = file.display().to_string();
    let arguments = [&["--tun", "tun0", "--local", local, "--peer", peer, "--key", &key], underlay].concat();
    let mut process = node.spawn(env!("CARGO_BIN_EXE_irdest-yardstick"), &arguments, "yardstick").unwrap();
    let device_is_there = || {
        assert!(process.is_running(), "{}", process.log());
        node.ip(&["link", "show", "tun0"]).is_ok()
    };
    node.limit().wait_until("the TUN device", device_is_there).unwrap();
    for address in addresses {
        let no_detection = address.contains(':').then_some("nodad");
        let add = ["address", "add", address, "dev", "tun0"].into_iter().chain(no_detection);
        node.ip(&add.collect::<Vec<_>>()).unwrap();
    }
    node.ip(&["link", "set", "tun0", "up"]).unwrap();
    process
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Whether packets came to the kernel joined: more bytes in each than the MTU allows for one.
fn has_offload(node: &Node) -> bool {
    let text = node.ip(&["-statistics", "-json", "link", "show", "tun0"]).unwrap();
    let links: serde_json::Value = serde_json::from_str(&text).unwrap();
    let count = |what: &str| links[0]["stats64"]["rx"][what].as_u64().unwrap();
    count("bytes") / count("packets") > 3_000
}

#[test]
fn pings_cross_in_both_families() {
    let tunnel = Tunnel::with_keys(1, 1);
    ping(&tunnel.left, address("10.66.0.2"), 3, tunnel.limit()).unwrap();
    ping(&tunnel.right, address("fd66::1"), 3, tunnel.limit()).unwrap();
}

#[test]
fn a_transfer_arrives_whole_in_both_families_and_in_super_packets() {
    let tunnel = Tunnel::with_keys(1, 1);
    for target in ["10.66.0.2", "fd66::2"] {
        let server = HttpServer::start(&tunnel.right, address(target), DOWNLOAD, tunnel.limit()).unwrap();
        let download = server.download(&tunnel.left, tunnel.limit()).unwrap();
        assert_eq!(download.size, DOWNLOAD);
    }
    assert!(has_offload(&tunnel.left));
}

#[test]
fn all_of_it_crosses_over_tcp_sealed_and_plain() {
    for underlay in [&["--stream"][..], &["--stream", "--plain"]] {
        let tunnel = Tunnel::over(underlay, [1, 1]);
        ping(&tunnel.right, address("fd66::1"), 3, tunnel.limit()).unwrap();
        let server =
            HttpServer::start(&tunnel.right, address("10.66.0.2"), DOWNLOAD, tunnel.limit()).unwrap();
        assert_eq!(server.download(&tunnel.left, tunnel.limit()).unwrap().size, DOWNLOAD);
        assert!(has_offload(&tunnel.left), "{underlay:?}");
    }
}

#[test]
fn datagrams_cross_too() {
    let tunnel = Tunnel::with_keys(1, 1);
    let server = IperfServer::start(&tunnel.right, address("10.66.0.2"), tunnel.limit()).unwrap();
    let figure = server.measure(&tunnel.left, Transport::Udp, 1, tunnel.limit()).unwrap();
    assert!(figure.retransmitted_or_lost < 20.0, "{figure}");
}

#[test]
fn nothing_crosses_under_different_keys() {
    for underlay in [&[][..], &["--stream"]] {
        nothing_crosses(&Tunnel::over(underlay, [1, 2]));
    }
}

fn nothing_crosses(tunnel: &Tunnel) {
    assert!(ping(&tunnel.left, address("10.66.0.2"), 2, tunnel.limit()).is_err());
    let text = tunnel.right.ip(&["-statistics", "-json", "link", "show", "tun0"]).unwrap();
    let links: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(links[0]["stats64"]["rx"]["packets"], 0, "the kernel saw a packet that nobody sealed for it");
}
