// SPDX-License-Identifier: AGPL-3.0-or-later
//! Bulk traffic leaves the others their share of a slow link, at its sender and on a relay.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests end and report tests, too")]

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use irdest_lab::traffic::{HttpServer, IperfServer, Ping, Replies, SmallRequests, stream_rates};
use irdest_lab::{Gateway, GatewayConfig, Lab, LinkEnd, TimeLimit};

/// What the slow link carries.
const MBIT_PER_SECOND: u32 = 50;

/// Bulk flows side by side.
const FLOWS: usize = 10;

/// Seconds of bulk: the first tenth of them is for the start.
const SECONDS: u32 = 15;

/// How far a flow, or a neighbour of a relay, may be from the mean of all, as a part of it.
const UNFAIRNESS: f64 = 0.2;

/// What bulk may add to the median of the pings; 6.7 ms were measured.
const ADDED: Duration = Duration::from_millis(10);

/// The same at a relay, which cannot cut the frames of others; 8.8 ms were measured.
const ADDED_RELAYED: Duration = Duration::from_millis(15);

/// Pause between two pings of one series.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the times without load are taken.
const UNLOADED: Duration = Duration::from_secs(2);

const A: &str = "10.66.1.1";
const B: &str = "10.66.2.1";
const C: &str = "10.66.3.1";

fn limit() -> TimeLimit {
    TimeLimit::within(Duration::from_secs(120))
}

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

/// A gateway with the first address of a /24, which lets all that the tests start come in.
fn config(address: &str, peers: &[&str], routes: &[(&str, &Gateway)]) -> GatewayConfig {
    let route = |(to, via): &(&str, &Gateway)| (format!("{to}/32"), via.identity().address.clone());
    GatewayConfig {
        peers: peers.iter().map(|peer| (*peer).into()).collect(),
        routes: routes.iter().map(route).collect(),
        tun: Some(vec![format!("{address}/24")]),
        accept: vec![("tcp", vec![5201, 8080, 8081])],
        ..GatewayConfig::default()
    }
}

fn wait_for_session(from: &Gateway, to: &str) {
    let reachable = || irdest_lab::traffic::ping(from.node(), ip(to), 1, limit()).is_ok();
    from.node().limit().wait_until("the first answer to ping", reachable).unwrap();
}

/// A and B with a slow link between them. The daemons end before their lab.
struct Pair {
    a: Gateway,
    b: Gateway,
    lab: Lab,
}

impl Pair {
    fn start() -> Self {
        let lab = Lab::create(limit()).unwrap();
        let (a, b) = (lab.node("a").unwrap(), lab.node("b").unwrap());
        lab.link(
            LinkEnd { node: &a, device: "to-b", addresses: &["192.0.2.1/24"] },
            LinkEnd { node: &b, device: "to-a", addresses: &["192.0.2.2/24"] },
        )
        .unwrap();
        a.shape("to-b", MBIT_PER_SECOND).unwrap();
        b.shape("to-a", MBIT_PER_SECOND).unwrap();
        let mut a = Gateway::prepare(a, &config(A, &[], &[])).unwrap();
        let mut b = Gateway::prepare(b, &config(B, &[], &[(A, &a)])).unwrap();
        a.configure(&config(A, &["inet:192.0.2.2:5860"], &[(B, &b)])).unwrap();
        b.start().unwrap();
        a.start().unwrap();
        wait_for_session(&a, B);
        Self { a, b, lab }
    }
}

/// Takes the median of some pings that run, once it has seen nothing else for a while.
fn unloaded(pings: &[Ping], limit: TimeLimit) -> Duration {
    let began = SystemTime::now();
    limit.pass(UNLOADED).unwrap();
    median(pings, began)
}

fn median(pings: &[Ping], since: SystemTime) -> Duration {
    let replies = pings.iter().flat_map(|ping| ping.replies().after(since).0).collect();
    Replies(replies).median()
}

fn median_of(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Shows the rates and returns the largest distance from their mean, as a part of it.
fn unfairness(what: &str, rates: &[f64]) -> f64 {
    let flows = u32::try_from(rates.len()).unwrap();
    let mean = rates.iter().sum::<f64>() / f64::from(flows);
    let off = rates.iter().map(|rate| (rate - mean).abs() / mean).fold(0.0, f64::max);
    let each: Vec<String> = rates.iter().map(|rate| format!("{:.2}", rate / 1e6)).collect();
    println!(
        "{what}: {:.1} Mbit/s in all, each {} Mbit/s, at most {:.1} % off the mean",
        mean * f64::from(flows) / 1e6,
        each.join(" "),
        off * 100.0
    );
    off
}

#[test]
fn bulk_flows_share_a_slow_link_and_pings_pass_them() {
    let Pair { a, b, lab } = Pair::start();
    let web = HttpServer::start(a.node(), ip(A), 1024, lab.limit()).unwrap();
    let iperf = IperfServer::start(b.node(), ip(B), lab.limit()).unwrap();
    let pings: Vec<_> = (0..10).map(|_| Ping::start(a.node(), ip(B), PAUSE).unwrap()).collect();
    // The answers leave by the loaded direction.
    let mut client = SmallRequests::start(b.node(), &web).unwrap();
    let began = SystemTime::now();
    let idle = unloaded(&pings, lab.limit());
    let idle_requests = median_of(client.times_since(began).unwrap());

    let began = SystemTime::now();
    let bulk = ["--parallel", &FLOWS.to_string(), "--omit", "2"];
    let report = iperf.report(a.node(), &bulk, SECONDS, lab.limit()).unwrap();
    let loaded = median(&pings, began);
    let requests = client.times_since(began).unwrap();

    let rates = stream_rates(&report).unwrap();
    let off = unfairness("ten bulk flows", &rates);
    println!(
        "ten pings: {:.2} ms, {:.2} ms beside the bulk flows (medians)",
        milliseconds(idle),
        milliseconds(loaded)
    );
    println!(
        "requests of 1 KiB: {:.2} ms, {:.2} ms beside the bulk flows (medians), {} answers",
        milliseconds(idle_requests),
        milliseconds(median_of(requests.clone())),
        requests.len()
    );
    assert_eq!(rates.len(), FLOWS);
    assert!(off <= UNFAIRNESS, "a flow is {:.1} % off the mean", off * 100.0);
    assert!(loaded <= idle + ADDED, "{loaded:?} beside bulk, {idle:?} without");
    assert!(rates.iter().sum::<f64>() >= 0.8 * f64::from(MBIT_PER_SECOND) * 1e6, "the link is used");
}

/// A and C, neighbours of R alone, and B behind the slow link. The daemons end before their lab.
struct Relayed {
    a: Gateway,
    b: Gateway,
    c: Gateway,
    _r: Gateway,
    lab: Lab,
}

impl Relayed {
    fn start() -> Self {
        let lab = Lab::create(limit()).unwrap();
        let [a, b, c, r] = ["a", "b", "c", "r"].map(|name| lab.node(name).unwrap());
        for (node, there, subnet) in
            [(&a, "to-a", "192.0.2"), (&b, "to-b", "198.51.100"), (&c, "to-c", "203.0.113")]
        {
            let (near, far) = (format!("{subnet}.1/24"), format!("{subnet}.2/24"));
            lab.link(
                LinkEnd { node, device: "to-r", addresses: &[&near] },
                LinkEnd { node: &r, device: there, addresses: &[&far] },
            )
            .unwrap();
        }
        r.shape("to-b", MBIT_PER_SECOND).unwrap();
        b.shape("to-r", MBIT_PER_SECOND).unwrap();
        let mut a = Gateway::prepare(a, &config(A, &[], &[])).unwrap();
        let mut c = Gateway::prepare(c, &config(C, &[], &[])).unwrap();
        let mut b =
            Gateway::prepare(b, &config(B, &["inet:198.51.100.2:5860"], &[(A, &a), (C, &c)])).unwrap();
        a.configure(&config(A, &["inet:192.0.2.2:5860"], &[(B, &b)])).unwrap();
        c.configure(&config(C, &["inet:203.0.113.2:5860"], &[(B, &b)])).unwrap();
        let mut r = Gateway::prepare(r, &GatewayConfig::default()).unwrap();
        r.start_as_ratmand().unwrap();
        for gateway in [&mut a, &mut b, &mut c] {
            gateway.start().unwrap();
        }
        wait_for_session(&a, B);
        wait_for_session(&c, B);
        Self { a, b, c, _r: r, lab }
    }
}

#[test]
fn a_relay_is_fair_to_its_neighbours() {
    let Relayed { a, b, c, _r, lab } = Relayed::start();
    let server = |port: &str| b.node().spawn("iperf3", &["--server", "--port", port], "iperf3").unwrap();
    // One for each test of iperf3: a server that has just served one may call itself busy.
    let _servers = [server("5201"), server("8080"), server("8081")];
    for port in [5201, 8080, 8081] {
        let listens = || b.node().listens(port).unwrap_or(false);
        lab.limit().wait_until("iperf3 to listen", listens).unwrap();
    }
    let pings = [Ping::start(a.node(), ip(B), PAUSE).unwrap()];
    let idle = unloaded(&pings, lab.limit());

    let flows = FLOWS.to_string();
    let bulk = |from: &Gateway, port: &'static str, flows: &str| {
        let (node, flows, seconds, limit) =
            (from.node().clone(), flows.to_owned(), SECONDS.to_string(), lab.limit());
        std::thread::spawn(move || {
            let end = ["-c", B, "-p", port, "-P", &flows, "-t", &seconds, "-O", "2", "--json"];
            let report = serde_json::from_str(&node.run("iperf3", &end, limit).unwrap()).unwrap();
            stream_rates(&report).unwrap()
        })
    };
    let began = SystemTime::now();
    let alone = bulk(&c, "5201", &flows).join().unwrap();
    let loaded = median(&pings, began);
    let (of_c, of_a) = (bulk(&c, "8081", &flows), bulk(&a, "8080", "1"));
    let (of_c, of_a) = (of_c.join().unwrap(), of_a.join().unwrap());

    unfairness("ten flows of C alone", &alone);
    println!(
        "A's pings: {:.2} ms, {:.2} ms beside C's bulk flows (medians)",
        milliseconds(idle),
        milliseconds(loaded)
    );
    let rates = [of_a.iter().sum(), of_c.iter().sum()];
    let off = unfairness("one flow of A and ten of C", &rates);
    assert!(loaded <= idle + ADDED_RELAYED, "{loaded:?} beside bulk, {idle:?} without");
    assert!(off <= UNFAIRNESS, "neighbours are {:.1} % off their mean", off * 100.0);
}
