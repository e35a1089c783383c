// SPDX-License-Identifier: AGPL-3.0-or-later
//! Two gateways with an IP router between them, and the doctor on either.

use std::fs;
use std::time::Duration;

use irdest_lab::{Gateway, GatewayConfig, Lab, LinkEnd, Node, TimeLimit, gateway_program};
use serde::Deserialize;

/// Addresses of the underlay: A's, the router's towards each, B's.
const UNDERLAY: [&str; 4] = ["192.0.2.1/24", "192.0.2.254/24", "198.51.100.254/24", "198.51.100.1/24"];

/// ```text
///         A                hop               B
///  TUN 10.66.1.1      (no gateway)      TUN 10.66.2.1
///   to-hop .1 ──── .254 to-a  to-b .254 ──── .1 to-hop
///        192.0.2.0/24       198.51.100.0/24
/// ```
///
/// A dials B. Tests of probes apart, none are used: whether there are any depends on the build.
pub(crate) struct Scene {
    pub(crate) a: Gateway,
    pub(crate) b: Gateway,
    pub(crate) hop: Node,
    // Last, so that the daemons end before their lab.
    lab: Lab,
}

/// What the doctor said.
#[derive(Debug, Deserialize)]
pub(crate) struct Told {
    pub(crate) findings: Vec<Finding>,
    pub(crate) not_looked_at: Vec<Unseen>,
    /// The exit code.
    #[serde(skip)]
    pub(crate) code: Option<i32>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Finding {
    pub(crate) id: String,
    pub(crate) severity: String,
    pub(crate) found: String,
    pub(crate) advice: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Unseen {
    pub(crate) id: String,
}

impl Told {
    /// What is wrong, as `severity id`.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let wrong = self.findings.iter().filter(|finding| finding.severity != "ok");
        wrong.map(|finding| format!("{} {}", finding.severity, finding.id)).collect()
    }

    /// What was found in the only case of a check.
    pub(crate) fn found(&self, id: &str) -> &str {
        let mut of = self.findings.iter().filter(|finding| finding.id == id);
        let found = &of.next().unwrap().found;
        assert!(of.next().is_none(), "{self:?}");
        found
    }
}

impl Scene {
    pub(crate) fn prepare() -> Self {
        let lab = Lab::create(TimeLimit::within(Duration::from_secs(120))).unwrap();
        let [a, hop, b] = ["a", "hop", "b"].map(|name| lab.node(name).unwrap());
        let end =
            |node, device, address: usize| LinkEnd { node, device, addresses: &UNDERLAY[address..=address] };
        lab.link(end(&a, "to-hop", 0), end(&hop, "to-a", 1)).unwrap();
        lab.link(end(&hop, "to-b", 2), end(&b, "to-hop", 3)).unwrap();
        for (node, way) in [(&a, "192.0.2.254"), (&b, "198.51.100.254")] {
            node.ip(&["route", "add", "default", "via", way]).unwrap();
        }
        sysctl(&hop, "net/ipv4/ip_forward", "1");
        let mut a = Gateway::prepare(a, &Self::config_of_a("")).unwrap();
        let mut b = Gateway::prepare(b, &Self::config_of_b("")).unwrap();
        let (to_a, to_b) = (a.identity().address.clone(), b.identity().address.clone());
        for (gateway, config, prefix, via) in [
            (&mut a, Self::config_of_a(""), "10.66.2.0/24", to_b),
            (&mut b, Self::config_of_b(""), "10.66.1.0/24", to_a),
        ] {
            gateway.configure(&GatewayConfig { routes: vec![(prefix.into(), via)], ..config }).unwrap();
        }
        Self { a, b, hop, lab }
    }

    /// Two gateways that have a route to each other.
    pub(crate) fn running() -> Self {
        let mut scene = Self::prepare();
        scene.start();
        scene
    }

    pub(crate) fn start(&mut self) {
        self.b.start().unwrap();
        self.a.start().unwrap();
        let (a, b) = (&self.a, &self.b);
        let have = |from: &Gateway, to: &Gateway| {
            from.status().is_ok_and(|status| status.next_hop(&to.identity().address).is_some())
        };
        self.lab.limit().wait_until("routes between A and B", || have(a, b) && have(b, a)).unwrap();
    }

    /// `extra` as in [`GatewayConfig`].
    pub(crate) fn config_of_a(extra: &str) -> GatewayConfig {
        GatewayConfig {
            peers: vec!["inet:198.51.100.1:5860".into()],
            tun: Some(vec!["10.66.1.1/24".into()]),
            extra: format!("probes.enabled = false\n{extra}"),
            ..GatewayConfig::default()
        }
    }

    pub(crate) fn config_of_b(extra: &str) -> GatewayConfig {
        GatewayConfig {
            peers: Vec::new(),
            tun: Some(vec!["10.66.2.1/24".into()]),
            ..Self::config_of_a(extra)
        }
    }
}

/// Asks the doctor on the node of a gateway.
pub(crate) fn doctor(gateway: &Gateway) -> Told {
    doctor_after(gateway, "true")
}

/// The same in mounts of its own, after some commands of the shell, which find the gateway's directory in `$PWD`.
pub(crate) fn doctor_after(gateway: &Gateway, commands: &str) -> Told {
    let program = gateway_program().unwrap();
    let script = format!("{commands} && exec \"$0\" doctor --json -c gateway.toml");
    doctor_by(gateway, &["unshare", "--mount", "sh", "-c", &script, &program.display().to_string()])
}

/// The same, started by other words than its own.
pub(crate) fn doctor_by(gateway: &Gateway, words: &[&str]) -> Told {
    let output = gateway.node().command(words[0]).args(&words[1..]).output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let parsed = serde_json::from_slice::<Told>(&output.stdout);
    let told = parsed.unwrap_or_else(|_| panic!("{}{}", said(&output.stdout), said(&output.stderr)));
    let wrong = told.findings.iter().filter(|finding| finding.severity != "ok");
    wrong.for_each(|finding| {
        assert!(finding.advice.as_ref().is_some_and(|advice| !advice.is_empty()), "{finding:?}")
    });
    let errors = told.findings.iter().any(|finding| finding.severity == "error");
    assert_eq!(output.status.code(), Some(i32::from(errors)), "{told:?}");
    Told { code: output.status.code(), ..told }
}

pub(crate) fn sysctl(node: &Node, name: &str, value: &str) {
    let script = format!("echo {value} > /proc/sys/{name}");
    node.run("sh", &["-c", &script], node.limit()).unwrap();
}

pub(crate) fn nft(node: &Node, script: &str) {
    node.run("nft", &[script], node.limit()).unwrap();
}

/// Whether root in here is root of the machine: then all users are there (user_namespaces(7)).
pub(crate) fn is_true_root() -> bool {
    let users = fs::read_to_string("/proc/self/uid_map").unwrap();
    users.split_whitespace().eq(["0", "0", "4294967295"])
}
