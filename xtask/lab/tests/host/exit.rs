// SPDX-License-Identifier: AGPL-3.0-or-later
//! B is the exit of A: everything leaves by it, or not at all.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use irdest_lab::traffic::Mirror;
use irdest_lab::{GatewayConfig, Sites, TimeLimit, Watch};

const PORT: u16 = 8080;

/// How long applications try in vain after the exit has gone.
const WITHOUT_EXIT: Duration = Duration::from_secs(4);

/// What may leave A by the underlay: the link itself, the trains that measure it, and what neighbours on a wire say to each
/// other. A link inside the mesh would show on the TUN device.
const COUNTERS: [(&str, &str); 7] = [
    ("tunnelled_link", "oifname \"irdest0\" meta l4proto { tcp, udp } th dport 5860"),
    ("inside", "oifname \"irdest0\""),
    ("link", "oifname \"to-r\" ip daddr 203.0.113.53 tcp dport 5860"),
    ("trains", "oifname \"to-r\" ip daddr 203.0.113.53 udp dport 5860"),
    ("neighbours", "oifname \"to-r\" icmpv6 type { 130, 131, 132, 133, 135, 136, 143 }"),
    ("groups", "oifname \"to-r\" ip protocol igmp"),
    ("leaked", "oifname \"to-r\""),
];

/// A with these prefixes behind B, which lets configured remotes leave.
fn prepared(prefixes: &[&str]) -> (Sites, Watch) {
    let sites = Sites::prepare(TimeLimit::within(Duration::from_secs(120))).unwrap();
    let via = |gateway: &irdest_lab::Gateway| gateway.identity().address.clone();
    let routes = prefixes.iter().map(|prefix| ((*prefix).to_owned(), via(&sites.b))).collect();
    sites.a.configure(&GatewayConfig { routes, ..Sites::config_of_a() }).unwrap();
    configure_exit(&sites);
    Mirror::start(&sites.s, &[PORT]).unwrap();
    let watch = Watch::start(sites.a.node(), &COUNTERS).unwrap();
    (sites, watch)
}

fn configure_exit(sites: &Sites) {
    let extra = "[forward]\nexit_interfaces = [\"net0\"]\n[firewall]\nrules = [{ name = \"exit\", action = \"accept\", \
                 remote = \"configured\", to = [\"0.0.0.0/0\", \"::/0\"] }]\n";
    let routes = vec![("10.66.1.0/24".to_owned(), sites.a.identity().address.clone())];
    sites.b.configure(&GatewayConfig { routes, extra: extra.to_owned(), ..Sites::config_of_b() }).unwrap();
}

fn ask(sites: &Sites, server: IpAddr) -> io::Result<IpAddr> {
    Mirror::ask(sites.a.node(), (server, PORT).into())
}

fn is_unreachable(answer: &io::Result<IpAddr>) -> bool {
    let kinds = [ErrorKind::HostUnreachable, ErrorKind::NetworkUnreachable];
    answer.as_ref().is_err_and(|error| kinds.contains(&error.kind()))
}

/// Without a daemon the host has its own default route, and what takes it counts as leaked.
fn show_that_leaks_are_seen(sites: &Sites, watch: &Watch) -> u64 {
    for server in Sites::server() {
        let send = move || {
            let own = if server.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
            UdpSocket::bind(own)?.send_to(b"?", (server, PORT))
        };
        sites.a.node().thread(send).unwrap().join().unwrap().unwrap();
    }
    let leaked = watch.count("leaked").unwrap();
    assert_eq!(leaked, 2, "{:?}", watch.counts().unwrap());
    leaked
}

#[test]
fn all_traffic_leaves_by_the_exit_and_none_without_it() {
    let (mut sites, watch) = prepared(&["0.0.0.0/0", "::/0"]);
    let leaked = show_that_leaks_are_seen(&sites, &watch);
    sites.start().unwrap();
    let addresses_of_b: [IpAddr; 2] = ["198.51.100.129", "2001:db8:9::1"].map(|text| text.parse().unwrap());
    for (server, seen) in Sites::server().into_iter().zip(addresses_of_b) {
        assert_eq!(ask(&sites, server).unwrap(), seen, "the exit's own address");
    }

    sites.b.stop().unwrap();
    for server in Sites::server() {
        let refused = || is_unreachable(&ask(&sites, server));
        sites.limit().wait_until("applications to learn that the exit has gone", refused).unwrap();
    }
    let trying = TimeLimit::within(WITHOUT_EXIT);
    while !trying.is_over() {
        for server in Sites::server() {
            let answer = ask(&sites, server);
            assert!(is_unreachable(&answer), "{server}: {answer:?}");
        }
    }
    assert_eq!(sites.a.status().unwrap().live_links(), 1, "the underlay is untouched");

    sites.b.start().unwrap();
    sites.wait_for_route(&sites.a, &sites.b).unwrap();
    sites.wait_for_route(&sites.b, &sites.a).unwrap();
    for server in Sites::server() {
        ask(&sites, server).expect("the exit serves again with the first question");
    }
    // A killed daemon cannot put anything back: what it leaves keeps traffic off the underlay, too.
    sites.a.kill().unwrap();
    for server in Sites::server() {
        let answer = ask(&sites, server);
        assert!(is_unreachable(&answer), "{server}: {answer:?}");
    }
    let counts = watch.counts().unwrap();
    assert_eq!((counts["leaked"], counts["tunnelled_link"]), (leaked, 0), "{counts:?}");
    assert!(counts["link"] > 0 && counts["inside"] > 0, "{counts:?}");
}

#[test]
fn the_other_family_is_unreachable_and_does_not_leak() {
    let (mut sites, watch) = prepared(&["0.0.0.0/0"]);
    let leaked = show_that_leaks_are_seen(&sites, &watch);
    sites.start().unwrap();
    let [v4, v6] = Sites::server();
    assert!(ask(&sites, v4).is_ok());
    let answer = ask(&sites, v6);
    assert!(is_unreachable(&answer), "{answer:?}");
    // The host's own networks are still there.
    sites.a.node().run("ping", &["-6", "-c", "1", "-W", "2", "fd01::2"], sites.limit()).unwrap();
    assert_eq!(watch.count("leaked").unwrap(), leaked, "{:?}", watch.counts().unwrap());
    sites.a.stop().unwrap();
    let default = sites.a.node().ip(&["-6", "route", "get", "2001:db8:9::9"]).unwrap();
    assert!(default.contains("dev to-r"), "the host is as it was: {default}");
}

#[test]
fn a_split_tunnel_leaves_what_is_excepted_to_the_host() {
    let (mut sites, _) = prepared(&[]);
    let via = &sites.b.identity().address;
    let extra =
        format!("[[route]]\nprefix = \"0.0.0.0/0\"\nvia = \"{via}\"\nexcept = [\"203.0.113.64/26\"]\n");
    sites.a.configure(&GatewayConfig { extra, ..Sites::config_of_a() }).unwrap();
    Mirror::start(sites.r.node(), &[PORT]).unwrap();
    sites.start().unwrap();
    let [server, _] = Sites::server();
    assert_eq!(ask(&sites, server).unwrap().to_string(), "198.51.100.129", "by the exit");
    let excepted = "203.0.113.65".parse().unwrap();
    assert_eq!(ask(&sites, excepted).unwrap().to_string(), "192.0.2.1", "by the host's own default route");
}
