// SPDX-License-Identifier: AGPL-3.0-or-later
//! The mesh under attack, the traffic that must not notice, and the books of what was dropped.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, SystemTime};

use irdest_lab::traffic::Ping;
use irdest_lab::{Gateway, GatewayConfig, Lab, LinkEnd, Node, Peer, TimeLimit};
use ratman_types::Address;

/// How long one test may take; all together take under a minute.
const LIMIT: Duration = Duration::from_secs(60);

/// How soon a daemon has counted what it was sent.
const COUNTED: Duration = Duration::from_secs(10);

/// Pause between two pings through the tunnel.
const PAUSE: Duration = Duration::from_millis(20);

/// The longest silence of the tunnel beside an attack: far above the noise of a busy machine, below any timer that
/// brings a lost link or session back.
const LONGEST_GAP: Duration = Duration::from_secs(1);

/// Three daemons and the attacker's node.
///
/// ```text
///  A ─.1── 192.0.2.0/24 ──.2─ R ─.1── 198.51.100.0/24 ──.2─ B
///  └─.129─ 203.0.113.128/25 ─.130─ M ─.2─ 203.0.113.0/25 ─.1─ R
/// ```
///
/// A and B are gateways and dial R. There is one way between any two of them, so that no honest copy of a frame is
/// ever dropped, and every count is the attacker's.
pub(crate) struct Mesh {
    pub(crate) a: Gateway,
    pub(crate) r: Gateway,
    pub(crate) b: Gateway,
    pub(crate) m: Node,
    // Last, so that the daemons end before their lab.
    lab: Lab,
}

impl Mesh {
    pub(crate) const B_INSIDE: &'static str = "10.66.2.1";
    pub(crate) const A_TO_M: &'static str = "203.0.113.129:5860";
    pub(crate) const R_TO_M: &'static str = "203.0.113.1:5860";

    /// Everything but running daemons.
    pub(crate) fn prepare() -> Self {
        let lab = Lab::create(TimeLimit::within(LIMIT)).expect("a lab");
        let [a, r, b, m] = ["a", "r", "b", "m"].map(|name| lab.node(name).expect("a node"));
        let link = |left: (&Node, &str, &str), right: (&Node, &str, &str)| {
            let end = |(node, device, address)| (node, device, [address]);
            let ((left, here, near), (right, there, far)) = (end(left), end(right));
            let near = LinkEnd { node: left, device: here, addresses: &near };
            lab.link(near, LinkEnd { node: right, device: there, addresses: &far }).expect("a link");
        };
        link((&a, "to-r", "192.0.2.1/24"), (&r, "to-a", "192.0.2.2/24"));
        link((&r, "to-b", "198.51.100.1/24"), (&b, "to-r", "198.51.100.2/24"));
        link((&r, "to-m", "203.0.113.1/25"), (&m, "to-r", "203.0.113.2/25"));
        link((&a, "to-m", "203.0.113.129/25"), (&m, "to-a", "203.0.113.130/25"));
        let gateway = |node, config: &GatewayConfig| Gateway::prepare(node, config).expect("an identity");
        let ((a, b), r) = thread::scope(|both| {
            let edges = both.spawn(|| {
                let a = gateway(a, &GatewayConfig::default());
                let b = gateway(b, &edge("inet:198.51.100.1:5860", "10.66.2.1/24", "10.66.1.0/24", &a));
                (a, b)
            });
            let r = gateway(r, &GatewayConfig::default());
            (edges.join().expect("two identities"), r)
        });
        let mesh = Self { a, r, b, m, lab };
        mesh.configure_a(|_| {});
        mesh
    }

    /// Sets A's configuration: that of a gateway that dials R and has a route to B, with a change.
    pub(crate) fn configure_a(&self, change: impl FnOnce(&mut GatewayConfig)) {
        let mut config = edge("inet:192.0.2.2:5860", "10.66.1.1/24", "10.66.2.0/24", &self.b);
        change(&mut config);
        self.a.configure(&config).expect("a configuration");
    }

    pub(crate) fn limit(&self) -> TimeLimit {
        self.lab.limit()
    }

    /// Starts the daemons that do not run yet, and waits until A and B have routes to each other.
    pub(crate) fn start(&mut self) {
        if self.r.status().is_err() {
            self.r.start_as_ratmand().expect("R");
        }
        thread::scope(|both| {
            for edge in [&mut self.a, &mut self.b] {
                both.spawn(|| {
                    if edge.status().is_err() {
                        edge.start().expect("an edge");
                    }
                });
            }
        });
        self.wait_for_route(&self.a, &self.b.identity().address);
        self.wait_for_route(&self.b, &self.a.identity().address);
    }

    /// Waits until the daemon has a way to the address.
    pub(crate) fn wait_for_route(&self, at: &Gateway, address: &str) {
        let what = format!("a route to {address} on node {}", at.node().name());
        self.limit().wait_for(&what, || Ok(at.status()?.next_hop(address).map(drop))).expect("a route");
    }

    /// Begins to ping B from A, and returns once the tunnel stands.
    pub(crate) fn tunnel(&self) -> Tunnel {
        let ping = Ping::start(self.a.node(), inside_b(), PAUSE).expect("ping");
        // Those that waited for the session may be overtaken by others: they are not judged.
        let stands = || ping.replies().0.len() >= 5;
        self.limit().wait_until("answers through the tunnel", stands).expect("a tunnel");
        Tunnel { ping, stands: SystemTime::now(), limit: self.limit() }
    }
}

/// A running mesh with its tunnel.
pub(crate) fn running() -> (Mesh, Tunnel) {
    let mut mesh = Mesh::prepare();
    mesh.start();
    let tunnel = mesh.tunnel();
    (mesh, tunnel)
}

fn inside_b() -> IpAddr {
    Mesh::B_INSIDE.parse().expect("an address")
}

/// An edge of the mesh; its firewall lets configured remotes reach TCP port 8080.
fn edge(peer: &str, own: &str, prefix: &str, via: &Gateway) -> GatewayConfig {
    GatewayConfig {
        peers: vec![Peer::from(peer)],
        routes: vec![(prefix.to_owned(), via.identity().address.clone())],
        tun: Some(vec![own.to_owned()]),
        accept: vec![("tcp", vec![8080])],
        ..GatewayConfig::default()
    }
}

/// The address of a daemon's gateway.
pub(crate) fn address_of(gateway: &Gateway) -> Address {
    gateway.identity().address.parse().expect("daemons tell well-formed addresses")
}

/// The traffic that must not notice the attack: 50 pings a second.
pub(crate) struct Tunnel {
    ping: Ping,
    stands: SystemTime,
    limit: TimeLimit,
}

impl Tunnel {
    /// Ends it: no request stayed unanswered, no answer came twice, and there was no pause.
    pub(crate) fn end_unharmed(self) {
        // One more answer, so that the last request before the end of the attack is judged, too.
        let end = SystemTime::now();
        self.ping.reply_after(end, self.limit).expect("the tunnel goes on");
        let replies = self.ping.stop(self.limit).expect("ping ends").after(self.stands);
        let numbers: Vec<u32> = replies.0.iter().map(|reply| reply.sequence).collect();
        let odd = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1);
        assert_eq!(odd, None, "every request is answered once and in order");
        let gap = replies.longest_gap();
        assert!(gap < LONGEST_GAP, "the tunnel paused for {gap:?}");
    }
}

/// What one daemon dropped from some moment on, compared with what it was sent.
pub(crate) struct Books<'a> {
    gateway: &'a Gateway,
    before: BTreeMap<String, u64>,
    expected: BTreeMap<String, u64>,
}

impl<'a> Books<'a> {
    pub(crate) fn open(gateway: &'a Gateway) -> Self {
        Self { gateway, before: drops(gateway), expected: BTreeMap::new() }
    }

    /// Waits until the daemon has dropped `count` more for this reason, and nothing else that is not on the books.
    pub(crate) fn expect(&mut self, reason: &str, count: u64) {
        self.expect_all([(reason, count)]);
    }

    /// As [`Books::expect`] for several reasons at once.
    pub(crate) fn expect_all<'r>(&mut self, drops: impl IntoIterator<Item = (&'r str, u64)>) {
        for (reason, count) in drops {
            *self.expected.entry(reason.to_owned()).or_default() += count;
        }
        self.balance("all of it");
    }

    /// Waits until the daemon has dropped one more for this reason: what was sent is named in the complaint.
    pub(crate) fn expect_row(&mut self, name: &str, reason: &str) {
        *self.expected.entry(reason.to_owned()).or_default() += 1;
        self.balance(name);
    }

    fn balance(&self, what: &str) {
        let limit = self.gateway.node().limit().at_most(COUNTED);
        let counted = limit.wait_until("the drops on the books", || self.grown() == self.expected);
        let name = self.gateway.node().name();
        let (expected, grown) = (&self.expected, self.grown());
        assert!(counted.is_ok(), "node {name}, {what}: on the books {expected:?}, found {grown:?}");
    }

    /// Nothing was counted since that is not on the books.
    pub(crate) fn close(self) {
        assert_eq!(self.grown(), self.expected, "on node {}", self.gateway.node().name());
    }

    fn grown(&self) -> BTreeMap<String, u64> {
        let before = |reason: &String| self.before.get(reason).copied().unwrap_or(0);
        let mut grown = drops(self.gateway);
        grown.iter_mut().for_each(|(reason, count)| *count -= before(reason));
        grown.retain(|_, count| *count > 0);
        grown
    }
}

/// What a daemon has dropped since its start, but for what its own kernel says to groups on the TUN device.
pub(crate) fn drops(gateway: &Gateway) -> BTreeMap<String, u64> {
    let mut drops = gateway.status().expect("a daemon that answers").drops;
    drops.remove("multicast");
    drops
}
