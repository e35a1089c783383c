// SPDX-License-Identifier: AGPL-3.0-or-later
//! What `irdest-gateway links --json` tells, as far as the lab reads it.

use serde::Deserialize;

/// The links of one daemon, and what it measures them with.
#[derive(Clone, Debug, Deserialize)]
pub struct Links {
    /// Its probes in the kernel.
    pub probes: Probes,
    /// Every link that is up.
    pub links: Vec<MeasuredLink>,
}

/// Probes in the kernel.
#[derive(Clone, Debug, Deserialize)]
pub struct Probes {
    /// `attached` or `none`.
    pub state: String,
    /// Why there are none.
    pub reason: Option<String>,
}

/// What is known of a link.
#[derive(Clone, Debug, Deserialize)]
pub struct MeasuredLink {
    /// Its number.
    pub link: u64,
    /// Socket address at the other end.
    pub remote: String,
    /// `live`, `starting` or `stalled`.
    pub state: String,
    /// The interface that it crosses, where that is known.
    pub interface: Option<String>,
    /// `attached` where a probe measures it, else `none`.
    pub probes: String,
    /// What is sent.
    pub sent: Option<Throughput>,
    /// The round trip without the queues of its own traffic: what routes are chosen by.
    pub latency: Option<Latency>,
    /// The round trip with them.
    pub loaded_latency: Option<Latency>,
    /// What it carries towards the neighbour.
    pub capacity: CapacityFigure,
}

/// A rate and who counted.
#[derive(Clone, Debug, Deserialize)]
pub struct Throughput {
    /// On the wire below the link.
    pub bytes_per_second: u64,
    /// `socket` or `kernel`.
    pub source: String,
}

/// A round trip and who measured it.
#[derive(Clone, Debug, Deserialize)]
pub struct Latency {
    /// In microseconds.
    pub us: u64,
    /// `echo`, `socket` or `kernel`.
    pub source: String,
}

/// What a link carries, and how well that is known.
#[derive(Clone, Debug, Deserialize)]
pub struct CapacityFigure {
    /// How to read the rate.
    pub kind: CapacityKind,
    /// On the wire below the link; none where it is unknown.
    pub bytes_per_second: Option<u64>,
    /// `train` or `socket`.
    pub source: Option<String>,
}

/// How well a capacity is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CapacityKind {
    /// It is this.
    Measured,
    /// It is not less.
    AtLeast,
    /// Nobody knows.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"{
        "probes": {"state": "attached", "reason": null,
            "interfaces": [{"interface": "to-b", "index": 2, "hook": "tcx"}]},
        "links": [
            {"link": 3, "netmod": "inet", "neighbour": "BBBB", "local": "192.0.2.1:40000",
                "remote": "192.0.2.2:5860", "state": "live", "interface": "to-b", "probes": "attached",
                "sent": {"bytes_per_second": 1234, "source": "kernel"}, "received": null,
                "latency": {"us": 10123, "source": "echo"}, "loaded_latency": {"us": 48000, "source": "kernel"},
                "latency_by_source": {"echo": 10123},
                "capacity": {"kind": "at_least", "bytes_per_second": 6250000, "source": "train"},
                "loss": null, "cost": null},
            {"link": 4, "netmod": "inet", "neighbour": null, "local": "192.0.2.1:40001",
                "remote": "198.51.100.2:5860", "state": "starting", "interface": null, "probes": "none",
                "sent": null, "received": null, "latency": null, "loaded_latency": null,
                "capacity": {"kind": "unknown", "bytes_per_second": null, "source": null},
                "loss": null, "cost": 3}]
    }"#;

    #[test]
    fn reads_what_is_measured_and_what_is_not() {
        let links: Links = serde_json::from_str(EXAMPLE).unwrap();
        let [known, unknown] = &links.links[..] else { panic!("two links") };
        assert_eq!(known.latency.as_ref().unwrap().us, 10_123);
        assert_eq!(known.capacity.kind, CapacityKind::AtLeast);
        assert_eq!(known.capacity.bytes_per_second, Some(6_250_000));
        assert_eq!(unknown.capacity.kind, CapacityKind::Unknown);
        assert!(unknown.latency.is_none() && unknown.sent.is_none());
    }
}
