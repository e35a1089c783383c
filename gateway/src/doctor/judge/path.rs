// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whether packets as long as the kernel sends them reach the peers.

use std::net::SocketAddr;

use netmod_inet::FullSegments;

use super::Seen;
use crate::doctor::report::{Check, Report};

/// The ways to the peers that are dialled.
#[derive(Debug, Default)]
pub(in crate::doctor) struct Paths {
    /// One for each address of each peer.
    pub(in crate::doctor) tried: Vec<Tried>,
    /// Peers beyond those that were tried.
    pub(in crate::doctor) left_out: usize,
}

/// One address of a peer.
#[derive(Debug)]
pub(in crate::doctor) struct Tried {
    /// The peer as in the configuration.
    pub(in crate::doctor) peer: String,
    /// Nothing where its name could not be resolved.
    pub(in crate::doctor) address: Option<SocketAddr>,
    pub(in crate::doctor) outcome: Seen<FullSegments>,
}

pub(super) fn judge(paths: &Paths, report: &mut Report) {
    if paths.tried.is_empty() {
        report.irrelevant(Check::PathMtu);
    }
    for Tried { peer, address, outcome } in &paths.tried {
        let at = address.map_or_else(String::new, |address| format!(" at {}", address.ip()));
        match outcome {
            Ok(FullSegments::Arrive) => {}
            Ok(FullSegments::Vanish { packet }) => {
                let towards = address.map_or_else(|| peer.clone(), |address| address.ip().to_string());
                report.error(
                    Check::PathMtu,
                    format!(
                        "packets of {packet} bytes to {peer}{at} vanish without a word while short ones arrive: \
                         links come up and stall with the first bulk"
                    ),
                    format!(
                        "`sysctl -w net.ipv4.tcp_mtu_probing=2` lets the kernel find what the path takes; or lower the MTU \
                         of the interface that `ip route get {towards}` names (`ip link set dev … mtu 1280`)"
                    ),
                );
            }
            Ok(FullSegments::Unclear) => {
                report.unseen(Check::PathMtu, format!("{peer}{at}: not even short packets arrive reliably"));
            }
            Err(reason) => report.unseen(Check::PathMtu, format!("{peer}{at}: {reason}")),
        }
    }
    if paths.left_out > 0 {
        report.unseen(
            Check::PathMtu,
            format!("{} further peers are more than are tried at once", paths.left_out),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::found;

    #[test]
    fn only_a_path_that_was_shown_to_swallow_long_packets_is_accused() {
        for (outcome, errors, unseen) in [
            (Ok(FullSegments::Arrive), 0, 0),
            (Ok(FullSegments::Vanish { packet: 1500 }), 1, 0),
            (Ok(FullSegments::Unclear), 0, 1),
            (Err("connection refused".to_owned()), 0, 1),
        ] {
            let address = "192.0.2.1:5860".parse().ok();
            let paths = Paths {
                tried: vec![Tried { peer: "inet:a.example:5860".into(), address, outcome }],
                left_out: 0,
            };
            let report = found(|report| judge(&paths, report));
            assert_eq!((report.findings.len(), report.not_looked_at.len()), (errors, unseen), "{paths:?}");
            if let Some(finding) = report.findings.first() {
                assert!(
                    finding
                        .found
                        .starts_with("packets of 1500 bytes to inet:a.example:5860 at 192.0.2.1 vanish")
                );
                assert!(finding.advice.as_ref().unwrap().contains("`ip route get 192.0.2.1`"));
            }
        }
    }
}
