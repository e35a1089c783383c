// SPDX-License-Identifier: AGPL-3.0-or-later
//! The host, the networks beside it, and how to ask it which way a packet would go.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use irdest_gateway::host::{Forward, Host, HostError, Plan, Routing};
use irdest_lab::{Lab, LinkEnd, Node, TimeLimit};

pub(crate) const DEVICE: &str = "mesh0";
pub(crate) const MARK: &str = "0x69726465";
const LIMIT: Duration = Duration::from_secs(60);

/// How soon a change of the host's network has been followed.
const FOLLOWED: Duration = Duration::from_secs(10);

/// The host and its neighbours, each with both families.
///
/// ```text
///  lan ─.2── 10.5.0.0/24, fd05::/64 ──.1─ lan0 ┐      ┌ eth0 ─.1── 192.0.2.0/24, 2001:db8::/64 ──.9─ net
///                                              host ──┘ (default routes)     net is also 203.0.113.1, 2001:db8:9::9
///  mesh ─ 10.77.0.2, 10.78.0.1, fd69:7264::2 ─ mesh0 (the TUN)
/// ```
pub(crate) struct Scene {
    pub(crate) host: Node,
    pub(crate) net: Node,
    pub(crate) lan: Node,
    pub(crate) mesh: Node,
    _lab: Lab,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::create(TimeLimit::within(LIMIT)).expect("a lab");
        let [host, net, lan, mesh] = ["host", "net", "lan", "mesh"].map(|name| lab.node(name).unwrap());
        for node in [&host, &net, &lan, &mesh] {
            // Link-local addresses are usable at once, too.
            let words = "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad";
            node.run("sh", &["-c", words], node.limit()).unwrap();
        }
        let link = |near: (&str, &[&str]), far: (&Node, &str, &[&str])| {
            let near = LinkEnd { node: &host, device: near.0, addresses: near.1 };
            lab.link(near, LinkEnd { node: far.0, device: far.1, addresses: far.2 }).unwrap();
        };
        link(
            ("eth0", &["192.0.2.1/24", "2001:db8::1/64"]),
            (&net, "eth0", &["192.0.2.9/24", "2001:db8::9/64"]),
        );
        link(("lan0", &["10.5.0.1/24", "fd05::1/64"]), (&lan, "eth0", &["10.5.0.2/24", "fd05::2/64"]));
        let far = ["10.77.0.2/24", "10.78.0.1/24", "fd69:7264::2/32"];
        link((DEVICE, &[]), (&mesh, "tun", &far));
        let scene = Self { host, net, lan, mesh, _lab: lab };
        scene.ip("route add default via 192.0.2.9");
        scene.ip("-6 route add default via 2001:db8::9");
        for address in ["203.0.113.1/32", "2001:db8:9::9/128"] {
            scene.net.ip(&["address", "add", address, "dev", "lo"]).unwrap();
        }
        for node in [&scene.lan, &scene.mesh] {
            let (v4, v6) =
                if node.name() == "lan" { ("10.5.0.1", "fd05::1") } else { ("10.77.0.1", "fd69:7264::1") };
            node.ip(&["route", "add", "default", "via", v4]).unwrap();
            node.ip(&["-6", "route", "add", "default", "via", v6]).unwrap();
        }
        scene
    }

    /// Runs `test` in a thread of the host, with a runtime.
    pub(crate) fn play<F: Future<Output = ()>>(test: impl FnOnce(Self) -> F + Send + 'static) {
        let scene = Self::new();
        let host = scene.host.clone();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(test(scene));
        };
        host.thread(run).unwrap().join().unwrap();
    }

    /// Runs `ip WORDS` on the host.
    pub(crate) fn ip(&self, words: &str) -> String {
        self.host.ip(&words.split(' ').collect::<Vec<_>>()).unwrap()
    }

    /// Gives the host one more device, set up; the other end of it is there, too.
    pub(crate) fn add_device(&self, name: &str) {
        self.ip(&format!("link add {name} type veth peer name far-end"));
        self.ip("link set far-end up");
        self.ip(&format!("link set {name} up"));
    }

    /// Lets the host forward what comes in by `interface`, as somebody else than a gateway would.
    pub(crate) fn forward(&self, interface: &str) {
        let words = format!("echo 1 > /proc/sys/net/ipv4/conf/{interface}/forwarding");
        self.host.run("sh", &["-c", &words], self.host.limit()).unwrap();
    }

    /// The device by which the host sends to `to`, with further words of `ip route get`; "" where it cannot.
    pub(crate) fn way(&self, to: &str, more: &str) -> String {
        let words = format!("route get {to} {more}");
        let answer = self.host.ip(&words.trim().split(' ').collect::<Vec<_>>()).unwrap_or_default();
        answer
            .split_once("dev ")
            .map_or("", |(_, rest)| rest.split(' ').next().unwrap_or(""))
            .trim()
            .to_owned()
    }

    /// As [`Scene::way`] for one of our own sockets.
    pub(crate) fn marked_way(&self, to: &str) -> String {
        self.way(to, &format!("mark {MARK}"))
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.host.directory()
    }

    pub(crate) async fn start(&self, plan: Plan) -> Result<Host, HostError> {
        Host::start(plan, &self.state_dir()).await
    }

    /// Everything that a gateway may change, for comparison; link-local addresses come when they like.
    pub(crate) fn snapshot(&self) -> String {
        let lists = [
            "rule",
            "-6 rule",
            "route show table all",
            "-6 route show table all",
            "-brief address show dev mesh0",
        ];
        let lines = lists.map(|list| self.ip(list)).join("\n");
        let lines = lines
            .lines()
            .filter(|line| !["fe80:", "ff00:", "multicast"].iter().any(|word| line.contains(word)));
        let nft = self.host.run("nft", &["list", "tables"], self.host.limit()).unwrap();
        let files = self.state_dir().join("host.toml");
        lines.collect::<Vec<_>>().join("\n") + &nft + &self.sysctls() + &format!("{}", files.exists())
    }

    fn sysctls(&self) -> String {
        let names = ["lan0/forwarding", "eth0/forwarding", "mesh0/forwarding", "all/forwarding"];
        let paths: Vec<_> = ["ipv4", "ipv6"]
            .iter()
            .flat_map(|family| names.iter().map(move |name| format!("/proc/sys/net/{family}/conf/{name}")))
            .collect();
        self.host
            .run("cat", &paths.iter().map(String::as_str).collect::<Vec<_>>(), self.host.limit())
            .unwrap()
    }

    /// Lets `host` follow the changes of the network until `holds`.
    pub(crate) async fn follow_until(&self, host: &mut Host, what: &str, holds: impl Fn(&Self) -> bool) {
        let follow = async {
            while !holds(self) {
                // A change that came before the last look is kept by the watch; the pause is for those that make none.
                let _no_news = tokio::time::timeout(Duration::from_millis(300), host.follow()).await;
            }
        };
        assert!(tokio::time::timeout(FOLLOWED, follow).await.is_ok(), "{what} within {FOLLOWED:?}");
    }

    /// Whether `node` has an answer from `to`.
    pub(crate) fn reaches(&self, node: &Node, to: &str) -> bool {
        node.run("ping", &["-c", "1", "-W", "2", to], node.limit()).is_ok()
    }
}

pub(crate) fn plan(prefixes: &[&str]) -> Plan {
    Plan {
        device: DEVICE.to_owned(),
        mtu: 1420,
        addresses: vec!["10.77.0.1/24".parse().unwrap(), "fd69:7264::1/128".parse().unwrap()],
        routing: Routing {
            table: 26994,
            priority: 26994,
            mark: 0x6972_6465,
            prefixes: prefixes.iter().chain(&["fd69:7264::/32"]).map(|text| text.parse().unwrap()).collect(),
            except: Vec::new(),
            close_other_family: true,
        },
        forward: Forward::default(),
        peers: Vec::new(),
    }
}
