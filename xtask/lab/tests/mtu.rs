// SPDX-License-Identifier: AGPL-3.0-or-later
//! Packets and paths that do not fit each other: fragments, networks with small packets, links with small frames.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests end and report tests, too")]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use irdest_lab::traffic::{HttpServer, exchange_datagrams, ping};
use irdest_lab::{Dials, Gateway, GatewayConfig, Lab, LinkEnd, Node, Peer, ThreeRouters, TimeLimit};

/// Datagrams with 8 KB take six fragments on a TUN device with packets of 1420 bytes.
const DATAGRAM: usize = 8_000;

/// Datagrams exchanged.
const DATAGRAMS: u32 = 200;

/// Port on which the gateways take datagrams and connections.
const PORT: u16 = 5201;

const MIB: u64 = 1 << 20;

/// The small MTU of all tests: of a network in packets, of a link in frames.
const SMALL: u32 = 1280;

/// How long a transfer may stand still when its path shrinks; 0.8 to 1.7 s were measured.
const PAUSE: Duration = Duration::from_secs(3);

const A: &str = "10.66.1.1";
const B: &str = "10.66.2.1";
/// A host in the network behind B, and that network.
const HOST: &str = "10.66.3.2";
const HOST_V6: &str = "fd00:66:3::2";
const LAN: [&str; 2] = ["10.66.3.0/24", "fd00:66:3::/64"];

fn limit() -> TimeLimit {
    TimeLimit::within(Duration::from_secs(120))
}

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

#[test]
fn datagrams_of_8_kb_cross_as_fragments() {
    let mut routers = ThreeRouters::prepare(limit(), Dials::Edges).unwrap();
    routers.start().unwrap();
    routers.wait_for_routes().unwrap();
    let (a, b) = (&routers.a, &routers.b);
    ping(a.node(), ip(ThreeRouters::B_ADDRESS), 1, routers.limit()).unwrap();
    let overlay = |gateway: &Gateway| IpAddr::from(gateway.identity().overlay);
    for (from, to, address) in [
        (a, b, ip(ThreeRouters::B_ADDRESS)),
        (b, a, ip(ThreeRouters::A_ADDRESS)),
        (a, b, overlay(b)),
        (b, a, overlay(a)),
    ] {
        exchange_datagrams(from.node(), to.node(), (address, PORT).into(), DATAGRAM, DATAGRAMS).unwrap();
    }
    assert!(fragments_sent(a.node()) >= u64::from(DATAGRAMS), "they were fragmented");
}

/// What the kernel of a node counts under a name of `/proc/net/snmp`: two lines per protocol, names and values.
fn counted(node: &Node, protocol: &str, name: &str) -> u64 {
    let table = node.run("cat", &["/proc/self/net/snmp"], node.limit()).unwrap();
    let mut lines = table.lines().filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(": "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut pairs = names.split(' ').zip(values.split(' '));
    pairs.find(|(found, _)| *found == name).unwrap().1.parse().unwrap()
}

fn fragments_sent(node: &Node) -> u64 {
    counted(node, "Ip", "FragCreates")
}

/// A and B with a link between them, and a host in a network behind B. The daemons end before their lab.
struct Site {
    a: Gateway,
    b: Gateway,
    host: Node,
    lab: Lab,
}

impl Site {
    /// `frames` is the MTU of A's link to B, `packets` that of the network behind B.
    fn start(frames: Option<u32>, packets: u32) -> Self {
        let lab = Lab::create(limit()).unwrap();
        let [a, b, host] = ["a", "b", "host"].map(|name| lab.node(name).unwrap());
        connect(&lab, &a, &b, &host);
        for (node, device) in [(&b, "lan0"), (&host, "to-b")] {
            node.ip(&["link", "set", device, "mtu", &packets.to_string()]).unwrap();
            node.without_offloads(device, lab.limit()).unwrap();
        }
        // No default route: a name server must be out of reach at once, and not after its time is over.
        host.ip(&["route", "add", "10.66.0.0/16", "via", "10.66.3.1"]).unwrap();
        host.ip(&["-6", "route", "add", "fd69:7264::/32", "via", "fd00:66:3::1"]).unwrap();

        let edge = |own: &str| GatewayConfig {
            tun: Some(vec![format!("{own}/24")]),
            accept: vec![("tcp", vec![8080]), ("udp", vec![PORT])],
            ..GatewayConfig::default()
        };
        let mut a = Gateway::prepare(a, &edge(A)).unwrap();
        let behind = GatewayConfig {
            routes: vec![("10.66.1.0/24".into(), a.identity().address.clone())],
            behind: LAN.map(String::from).to_vec(),
            extra: "forward.interfaces = [\"lan0\"]".into(),
            ..edge(B)
        };
        let mut b = Gateway::prepare(b, &behind).unwrap();
        let via_b = |prefix: &str| (prefix.to_owned(), b.identity().address.clone());
        let towards = GatewayConfig {
            peers: vec![Peer { mtu: frames, ..Peer::from("inet:192.0.2.2:5860") }],
            routes: [&["10.66.2.0/24"], &LAN[..]].concat().into_iter().map(via_b).collect(),
            ..edge(A)
        };
        a.configure(&towards).unwrap();
        b.start().unwrap();
        a.start().unwrap();
        let routes = || {
            let (a, b) = (a.status()?, b.status()?);
            Ok((a.next_hop(&b.address).is_some() && b.next_hop(&a.address).is_some()).then_some(()))
        };
        lab.limit().wait_for("routes between A and B", routes).unwrap();
        ping(a.node(), ip(HOST), 1, lab.limit()).unwrap();
        Self { a, b, host, lab }
    }

    /// Pings the address without fragments until the size of packets is known, and returns what was said.
    fn ping_whole(&self, address: &str, payload: u32) -> String {
        let command = format!("ping -n -M do -i 0.2 -W 1 -c 3 -s {payload} {address} 2>&1; true");
        self.a.node().run("sh", &["-c", &command], self.lab.limit()).unwrap()
    }
}

fn connect(lab: &Lab, a: &Node, b: &Node, host: &Node) {
    lab.link(
        LinkEnd { node: a, device: "to-b", addresses: &["192.0.2.1/24"] },
        LinkEnd { node: b, device: "to-a", addresses: &["192.0.2.2/24"] },
    )
    .unwrap();
    lab.link(
        LinkEnd { node: b, device: "lan0", addresses: &["10.66.3.1/24", "fd00:66:3::1/64"] },
        LinkEnd { node: host, device: "to-b", addresses: &["10.66.3.2/24", "fd00:66:3::2/64"] },
    )
    .unwrap();
}

/// Brings 1 MiB to the host and back to A, over both families, and looks at what the host's kernel says of it.
fn assert_transfers(site: &Site) {
    let Site { a, host, lab, .. } = site;
    let overlay = IpAddr::from(a.identity().overlay);
    for address in [ip(A), overlay] {
        let server = HttpServer::start(a.node(), address, MIB, lab.limit()).unwrap();
        server.download(host, lab.limit()).unwrap();
    }
    for address in [HOST, HOST_V6] {
        let server = HttpServer::start(host, ip(address), MIB, lab.limit()).unwrap();
        server.download(a.node(), lab.limit()).unwrap();
    }
    for counter in ["InCsumErrors", "InErrs"] {
        assert_eq!(counted(host, "Tcp", counter), 0, "{counter}");
    }
    assert!(counted(host, "Tcp", "InSegs") > 500, "segments came one by one");
}

fn assert_too_big(site: &Site, address: &str) {
    let said = site.ping_whole(address, 1372);
    let family = if ip(address).is_ipv6() { "Packet too big: mtu=" } else { "mtu = " };
    let told = said.contains(&format!("{family}{SMALL}")) || said.contains(&format!("mtu={SMALL}"));
    assert!(told, "{address}:\n{said}");
    assert!(said.contains(" 0 received"), "{address}:\n{said}");
    let fits = site.ping_whole(address, SMALL - 48);
    assert!(fits.contains(" 3 received"), "{address}:\n{fits}");
}

#[test]
fn a_network_with_small_packets_behind_b() {
    let site = Site::start(None, SMALL);
    assert_transfers(&site);
    for address in [HOST, HOST_V6] {
        assert_too_big(&site, address);
    }
    assert_eq!(site.a.status().unwrap().drops("packet_too_big"), 0, "B's kernel said so");
    for address in [HOST, HOST_V6] {
        let to = (ip(address), PORT).into();
        exchange_datagrams(site.a.node(), &site.host, to, DATAGRAM, DATAGRAMS).unwrap();
    }
}

#[test]
fn a_link_with_small_frames() {
    // The network's packets fit the TUN device: what is too big for that is not about this link.
    let site = Site::start(Some(SMALL), 1420);
    assert_eq!(site.a.status().unwrap().path_mtu(&site.b.identity().address), Some(SMALL));
    assert_transfers(&site);
    assert_eq!(site.a.status().unwrap().drops("packet_too_big"), 0, "segments were clamped");
    for address in [HOST, HOST_V6, B] {
        assert_too_big(&site, address);
    }
    assert!(site.a.status().unwrap().drops("packet_too_big") >= 3, "the gateway said so");
    for (to, address) in [(&site.host, HOST), (&site.host, HOST_V6), (site.b.node(), B)] {
        let to_port = (ip(address), PORT).into();
        exchange_datagrams(site.a.node(), to, to_port, DATAGRAM, DATAGRAMS).unwrap();
        exchange_datagrams(site.a.node(), to, to_port, 1000, DATAGRAMS).unwrap();
    }
}

/// R dials, so that its own limit holds for what it sends to B over the second link.
fn with_a_small_second_link() -> ThreeRouters {
    let mut routers = ThreeRouters::prepare(limit(), Dials::Middle).unwrap();
    let peers = vec![
        "inet:192.0.2.1:5860".into(),
        "inet:198.51.100.2:5860".into(),
        Peer { mtu: Some(SMALL), ..Peer::from("inet:203.0.113.2:5860") },
    ];
    routers.r.configure(&GatewayConfig { peers, ..GatewayConfig::default() }).unwrap();
    // Slow enough that the transfer still runs when its path shrinks.
    routers.a.node().shape("to-r", 100).unwrap();
    // The second link comes later: it finds the first in use, and the transfer begins on that.
    routers.r.node().ip(&["link", "set", "to-b2", "down"]).unwrap();
    routers.start().unwrap();
    let large = || path_mtu(&routers).is_some_and(|mtu| mtu > SMALL);
    soon(&routers).wait_until("the large path", large).unwrap();
    routers
}

/// Long enough for a route, short beside the limit of the test: what hangs shows where.
fn soon(routers: &ThreeRouters) -> TimeLimit {
    routers.limit().at_most(Duration::from_secs(15))
}

/// The largest frame on the way from A to B, as A's status shows it.
fn path_mtu(routers: &ThreeRouters) -> Option<u32> {
    routers.a.status().unwrap().path_mtu(&routers.b.identity().address)
}

/// Bytes that came in by a device.
fn received(node: &Node, device: &str) -> u64 {
    let file = format!("/sys/class/net/{device}/statistics/rx_bytes");
    node.run("cat", &[&file], node.limit()).unwrap().trim().parse().unwrap()
}

#[test]
fn a_path_that_shrinks_while_a_transfer_runs() {
    let routers = with_a_small_second_link();
    let (a, b) = (&routers.a, &routers.b);
    let server = HttpServer::start(a.node(), ip(A), 128 * MIB, routers.limit()).unwrap();
    let (node, all) = (b.node().clone(), routers.limit());
    let download = std::thread::spawn(move || server.download(&node, all));
    let progress = || received(b.node(), "to-r1") + received(b.node(), "to-r2");
    soon(&routers).wait_until("the transfer to run", || received(b.node(), "to-r1") > 8 * MIB).unwrap();

    routers.r.node().ip(&["link", "set", "to-b2", "up"]).unwrap();
    let second = || routers.r.status().is_ok_and(|status| status.live_links() == 3);
    soon(&routers).wait_until("the second link", second).unwrap();
    routers.r.node().ip(&["link", "set", "to-b1", "down"]).unwrap();
    let (cut, before) = (Instant::now(), progress());
    // More than what a control plane says in this time.
    soon(&routers).wait_until("the transfer to go on", || progress() > before + MIB).unwrap();
    let paused = cut.elapsed();
    println!("the path shrank: 1 MiB more after {:.2} s", paused.as_secs_f32());
    routers.limit().wait_until("the small path in A's status", || path_mtu(&routers) == Some(SMALL)).unwrap();
    let download = download.join().unwrap().unwrap();
    println!("{} bytes in {:.2} s", download.size, download.took.as_secs_f32());
    assert!(paused < PAUSE, "{paused:?}");
}
