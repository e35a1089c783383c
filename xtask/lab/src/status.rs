// SPDX-License-Identifier: AGPL-3.0-or-later
//! What `irdest-gateway status --json` tells, as far as the lab reads it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

/// The state of one daemon.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// The address of its gateway.
    pub address: String,
    /// What its operator should look at.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The links over which it has neighbours.
    pub links: Vec<Link>,
    /// All addresses that it knows.
    pub routes: Vec<Route>,
    /// Sessions with other gateways; none on a router without TUN.
    #[serde(default)]
    pub sessions: Vec<Session>,
    /// Flows seen at the TUN.
    #[serde(default)]
    pub flows: Vec<Flow>,
    /// The rules of the firewall.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// What becomes of streams.
    pub streams: Option<Streams>,
    /// Frames and packets that were dropped, counted by reason.
    #[serde(default)]
    pub drops: BTreeMap<String, u64>,
    /// Everything else that is counted.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
}

/// One link.
#[derive(Clone, Debug, Deserialize)]
pub struct Link {
    /// Its number.
    pub link: u64,
    /// The router at the other end.
    pub neighbour: Option<String>,
    /// Socket address here.
    pub local: String,
    /// Socket address there.
    pub remote: String,
    /// `live`, `starting` or `stalled`.
    pub state: String,
    /// Round trip time in microseconds, once measured.
    pub rtt_us: Option<u64>,
    /// Seconds since it came up.
    pub up_s: Option<u64>,
}

/// How an address is reached.
#[derive(Clone, Debug, Deserialize)]
pub struct Route {
    /// The address.
    pub address: String,
    /// Whether it is the router's own.
    pub local: bool,
    /// The first hop, where there is one.
    pub next_hop: Option<NextHop>,
    /// `live` or `idle`.
    pub state: String,
    /// The largest frame that fits the way, in bytes.
    pub mtu: Option<u32>,
    /// Why this hop was chosen.
    pub reason: Option<String>,
}

/// A neighbour over a link.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NextHop {
    /// The number of the link.
    pub link: u64,
    /// The router at its other end.
    pub neighbour: String,
}

/// A session with another gateway.
#[derive(Clone, Debug, Deserialize)]
pub struct Session {
    /// Address of the gateway at the other end.
    pub remote: String,
    /// `handshake` or `established`.
    pub state: String,
    /// Packets sealed.
    pub tx_packets: u64,
    /// Packets opened.
    pub rx_packets: u64,
}

/// A flow.
#[derive(Clone, Debug, Deserialize)]
pub struct Flow {
    /// Name or number of the IP protocol.
    pub protocol: String,
    /// Who opened it.
    pub source: FlowEnd,
    /// To whom.
    pub destination: FlowEnd,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets received.
    pub rx_packets: u64,
}

/// A rule of the firewall and what it decided.
#[derive(Clone, Debug, Deserialize)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Flows that it let be opened.
    pub accepted: u64,
    /// Flows that it denied.
    pub denied: u64,
    /// Flows above its rate.
    pub limited: u64,
}

/// Streams that are not over, and the journal that they are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Streams {
    /// Sent from here.
    pub sending: u64,
    /// For this gateway, and not taken yet.
    pub receiving: u64,
    /// Of others, kept for them.
    pub carried: u64,
    /// Frames to namespaces, kept for everybody.
    pub flooded: u64,
    /// Bytes of all of them in the journal.
    pub journal_bytes: u64,
}

/// One end of a flow.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct FlowEnd {
    /// Its IP address.
    pub ip: IpAddr,
    /// Its port, or the identifier of an ICMP echo.
    pub port: Option<u16>,
}

impl Status {
    /// The first hop to a foreign address that is reachable.
    pub fn next_hop(&self, address: &str) -> Option<&NextHop> {
        let route = self.routes.iter().find(|route| route.address == address && !route.local)?;
        route.next_hop.as_ref()
    }

    /// The largest frame that fits the way to a foreign address, in bytes.
    pub fn path_mtu(&self, address: &str) -> Option<u32> {
        self.routes.iter().find(|route| route.address == address && !route.local)?.mtu
    }

    /// How many links are in use.
    pub fn live_links(&self) -> usize {
        self.links.iter().filter(|link| link.state == "live").count()
    }

    /// A rule of the firewall by its name.
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.name == name)
    }

    /// What becomes of streams; nothing at all where there are none.
    pub fn streams(&self) -> Streams {
        self.streams.unwrap_or_default()
    }

    /// How often something was dropped or refused for the reason.
    pub fn drops(&self, reason: &str) -> u64 {
        let count = |counts: &BTreeMap<String, u64>| counts.get(reason).copied().unwrap_or(0);
        count(&self.drops) + count(&self.counters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"{
        "version": "0.1.0", "address": "AAAA", "router_id": "RRRR", "overlay": "fd69:7264::1", "uptime_s": 9,
        "links": [{"link": 3, "netmod": "inet", "neighbour": "BBBB", "local": "192.0.2.1:40000",
            "remote": "192.0.2.2:5860", "dialed": true, "state": "live", "mtu": 33004, "rtt_us": 213,
            "bandwidth": null, "up_s": 12}],
        "routes": [
            {"address": "AAAA", "overlay": "fd69:7264::1", "local": true, "next_hop": null, "state": "live",
                "ping_us": null, "mtu": 33004, "bandwidth": null, "reason": "own address"},
            {"address": "CCCC", "overlay": "fd69:7264::2", "local": false, "state": "live", "ping_us": 420,
                "next_hop": {"link": 3, "neighbour": "BBBB"}, "mtu": 33004, "bandwidth": null, "reason": "only"},
            {"address": "DDDD", "overlay": "fd69:7264::3", "local": false, "next_hop": null, "state": "idle",
                "ping_us": null, "mtu": 0, "bandwidth": null, "reason": "retracted"}],
        "sessions": [{"remote": "CCCC", "state": "established", "role": "initiator", "since_s": 1,
            "tx_bytes": 10, "rx_bytes": 10, "tx_packets": 1, "rx_packets": 1}],
        "flows": [{"protocol": "icmp", "source": {"ip": "10.66.1.1", "port": 7},
            "destination": {"ip": "10.66.2.1", "port": 7}, "remote": "CCCC",
            "tx_packets": 1, "rx_packets": 1, "tx_bytes": 84, "rx_bytes": 84, "idle_s": 0}],
        "drops": {"bad_signature": 2}, "counters": {"wrong_router_key": 1}
    }"#;

    #[test]
    fn reads_the_daemons_status() {
        let status: Status = serde_json::from_str(EXAMPLE).unwrap();
        assert_eq!(status.live_links(), 1);
        assert_eq!(status.next_hop("CCCC").map(|hop| hop.link), Some(3));
        assert_eq!(status.path_mtu("CCCC"), Some(33_004));
        assert_eq!(status.flows[0].destination.port, Some(7));
        assert_eq!(status.next_hop("AAAA"), None, "its own address has no hop");
        assert_eq!(status.next_hop("DDDD"), None, "an unreachable address has no hop");
        assert_eq!(
            (status.drops("bad_signature"), status.drops("wrong_router_key"), status.drops("other")),
            (2, 1, 0)
        );
    }
}
