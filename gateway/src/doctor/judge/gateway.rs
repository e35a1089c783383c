// SPDX-License-Identifier: AGPL-3.0-or-later
//! The gateway that runs, and whether it has its peers.

use std::path::PathBuf;

use crate::config::Config;
use crate::doctor::report::{Check, Report};
use crate::links::Links;
use crate::status::{PeerStatus, Status};

/// What came of asking the control socket.
#[derive(Debug)]
pub(in crate::doctor) enum Control {
    /// A gateway answers.
    Answers(Box<Answers>),
    /// Nobody listens there.
    Absent(PathBuf),
    /// Somebody does, and does not talk to us.
    Denied(PathBuf),
    /// Somebody does, and does not answer.
    Silent(String),
}

/// A gateway that runs.
#[derive(Debug)]
pub(in crate::doctor) struct Answers {
    pub(in crate::doctor) status: Status,
    pub(in crate::doctor) links: Option<Links>,
    /// Its process, unless that is outside of our namespace, and its user, as the kernel knows them.
    pub(in crate::doctor) pid: Option<u32>,
    pub(in crate::doctor) uid: u32,
}

impl Control {
    pub(in crate::doctor) fn answers(&self) -> Option<&Answers> {
        match self {
            Self::Answers(answers) => Some(answers),
            Self::Absent(_) | Self::Denied(_) | Self::Silent(_) => None,
        }
    }

    /// Whether certainly no gateway runs.
    pub(in crate::doctor) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent(_))
    }
}

pub(super) fn judge(config: &Config, control: &Control, report: &mut Report) {
    let why_not_peers = match control {
        Control::Answers(answers) => {
            for warning in &answers.status.warnings {
                let advice = "`journalctl -e -u irdest-gateway` says more";
                report.warning(Check::Gateway, format!("the gateway warns: {warning}"), advice);
            }
            answers.status.peers.iter().for_each(|peer| judge_peer(peer, report));
            None
        }
        Control::Absent(path) => {
            report.warning(
                Check::Gateway,
                format!("no gateway runs: nobody answers on {}", path.display()),
                "`systemctl start irdest-gateway`; `journalctl -e -u irdest-gateway` says why one ended",
            );
            Some("no gateway runs that could tell".to_owned())
        }
        Control::Denied(path) => {
            let reason = format!("only root and the group of {} may ask the gateway", path.display());
            report.unseen(Check::Gateway, reason.clone());
            Some(reason)
        }
        Control::Silent(error) => {
            report.error(
                Check::Gateway,
                error.clone(),
                "`journalctl -e -u irdest-gateway` may say why; `systemctl restart irdest-gateway`",
            );
            Some("the gateway does not answer".to_owned())
        }
    };
    match why_not_peers {
        _ if config.peers.is_empty() => report.irrelevant(Check::Peer),
        Some(reason) => report.unseen(Check::Peer, reason),
        None => {}
    }
}

fn judge_peer(peer: &PeerStatus, report: &mut Report) {
    let PeerStatus { peer, linked, reached, failure } = peer;
    let Some(failure) = failure.as_ref().filter(|_| !linked) else {
        if !linked {
            report.unseen(Check::Peer, format!("{peer}: no attempt to reach it has ended yet"));
        }
        return;
    };
    let since = if *reached { "is lost" } else { "was never reached" };
    let target = peer.strip_prefix("inet:").and_then(|target| target.rsplit_once(':'));
    let (host, port) = target.unwrap_or((peer, "PORT"));
    report.error(
        Check::Peer,
        format!("{peer} {since}: {failure}"),
        format!(
            "`nc -vz {} {port}` tells whether it can be reached from here; if so, its gateway's log says why there is no link",
            host.trim_matches(['[', ']'])
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Severity;
    use crate::doctor::tests::{answers, found};

    fn said(control: &Control) -> Report {
        let config = Config::from_text("test", "peers = ['inet:[2001:db8::1]:5860']").unwrap();
        found(|report| judge(&config, control, report))
    }

    fn peer(linked: bool, reached: bool, failure: Option<&str>) -> PeerStatus {
        PeerStatus {
            peer: "inet:[2001:db8::1]:5860".into(),
            linked,
            reached,
            failure: failure.map(str::to_owned),
        }
    }

    #[test]
    fn peers_without_a_link_are_told_with_the_last_failure() {
        for (peer, expected) in [
            (peer(true, true, None), ""),
            (peer(true, true, Some("old")), ""),
            (peer(false, false, None), ""),
            (peer(false, false, Some("refused")), "inet:[2001:db8::1]:5860 was never reached: refused"),
            (peer(false, true, Some("refused")), "inet:[2001:db8::1]:5860 is lost: refused"),
        ] {
            let mut gateway = answers();
            gateway.status.peers.push(peer);
            let report = said(&Control::Answers(gateway.into()));
            let errors: String = report.of(Severity::Error).map(|finding| finding.found.clone()).collect();
            assert_eq!(errors, expected);
        }
    }

    #[test]
    fn what_the_gateway_warns_of_is_passed_on() {
        let mut gateway = answers();
        gateway.status.warnings.push("reload refused: no TOML".into());
        let report = said(&Control::Answers(gateway.into()));
        let warnings: Vec<_> = report.of(Severity::Warning).map(|finding| &finding.found[..]).collect();
        assert_eq!(warnings, ["the gateway warns: reload refused: no TOML"]);
    }

    #[test]
    fn the_advice_can_be_typed() {
        let mut gateway = answers();
        gateway.status.peers.push(peer(false, false, Some("refused")));
        let report = said(&Control::Answers(gateway.into()));
        let advice = report.findings[0].advice.as_ref().unwrap();
        assert!(advice.contains("`nc -vz 2001:db8::1 5860`"), "{advice}");
    }

    #[test]
    fn a_gateway_that_does_not_run_is_no_error_and_one_that_hangs_is() {
        let path = PathBuf::from("/run/x");
        for (control, severity) in [
            (Control::Absent(path.clone()), Some(Severity::Warning)),
            (Control::Denied(path), None),
            (Control::Silent("no answer".into()), Some(Severity::Error)),
        ] {
            let report = said(&control);
            assert_eq!(report.findings.first().map(|finding| finding.severity), severity, "{control:?}");
            assert!(report.not_looked_at.iter().any(|unseen| unseen.id == Check::Peer));
        }
    }
}
