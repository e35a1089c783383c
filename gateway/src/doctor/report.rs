// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the doctor says: findings with what to do, as data and as text for people.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What is looked at; its name in JSON is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Check {
    /// Whether the configuration can be used.
    Configuration,
    /// Whether a gateway runs and answers.
    Gateway,
    /// Whether there are links to the routers that are dialled.
    Peer,
    /// Whether long packets reach them.
    PathMtu,
    /// Whether the clock is right.
    Clock,
    /// Whether the addresses to listen on are free, or ours.
    Port,
    /// Whether prefixes of the mesh and networks of the host are apart.
    Routes,
    /// Whether the host forwards what the configuration wants it to.
    Forwarding,
    /// Whether the host's own firewall lets our traffic pass.
    Firewall,
    /// Whether a TUN device can be had.
    Tun,
    /// Whether probes in the kernel can be had.
    Probes,
    /// Whether this kernel is known to break packets.
    KernelOffload,
    /// Whether the state directory can be used.
    StateDirectory,
    /// Whether there is room in it.
    Disk,
    /// Whether identity and passphrase are there.
    Identity,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The gateway cannot do what it is configured for.
    Error,
    /// It works, but not as well as it could, or not for certain.
    Warning,
    /// All is well.
    Ok,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at.
    pub id: Check,
    /// How bad it is.
    pub severity: Severity,
    /// What is the case.
    pub found: String,
    /// What to do, in one sentence; absent where all is well.
    pub advice: Option<String>,
}

/// What could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unseen {
    /// What.
    pub id: Check,
    /// Why not.
    pub reason: String,
}

/// All findings, the worst first, and for every check without one that all is well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What was found; at least one for each check that was made.
    pub findings: Vec<Finding>,
    /// What could not be looked at.
    pub not_looked_at: Vec<Unseen>,
    #[serde(skip)]
    irrelevant: BTreeSet<Check>,
}

impl Check {
    const ALL: [Self; 15] = [
        Self::Configuration,
        Self::Gateway,
        Self::Peer,
        Self::PathMtu,
        Self::Clock,
        Self::Port,
        Self::Routes,
        Self::Forwarding,
        Self::Firewall,
        Self::Tun,
        Self::Probes,
        Self::KernelOffload,
        Self::StateDirectory,
        Self::Disk,
        Self::Identity,
    ];

    /// What it means that there is no finding.
    fn all_well(self) -> &'static str {
        match self {
            Self::Configuration => "the configuration is good",
            Self::Gateway => "a gateway runs and answers",
            Self::Peer => "there is a link to every peer",
            Self::PathMtu => "full packets reach the peers",
            Self::Clock => "the clock agrees with what is known of the time",
            Self::Port => "nobody else has our addresses to listen on",
            Self::Routes => "prefixes of the mesh and networks of the host are apart",
            Self::Forwarding => "the host forwards as it is to",
            Self::Firewall => "no filter of the host is in the way",
            Self::Tun => "a TUN device can be had",
            Self::Probes => "the kernel takes the probes",
            Self::KernelOffload => "no fault of this kernel's offloads is known",
            Self::StateDirectory => "the state directory can be used",
            Self::Disk => "there is room in the state directory",
            Self::Identity => "identity and passphrase are there",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Gateway => "gateway",
            Self::Peer => "peer",
            Self::PathMtu => "path-mtu",
            Self::Clock => "clock",
            Self::Port => "port",
            Self::Routes => "routes",
            Self::Forwarding => "forwarding",
            Self::Firewall => "firewall",
            Self::Tun => "tun",
            Self::Probes => "probes",
            Self::KernelOffload => "kernel-offload",
            Self::StateDirectory => "state-directory",
            Self::Disk => "disk",
            Self::Identity => "identity",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Report {
    /// Findings of one severity.
    pub fn of(&self, severity: Severity) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.severity == severity)
    }

    /// Whether anything keeps the gateway from doing what it is configured for.
    pub fn has_errors(&self) -> bool {
        self.of(Severity::Error).next().is_some()
    }

    /// For people: findings first; what is well in one line each with `verbose`, or else all in one.
    pub fn shown(&self, verbose: bool) -> impl fmt::Display {
        Shown { report: self, verbose }
    }

    pub(super) fn error(&mut self, id: Check, found: impl Into<String>, advice: impl Into<String>) {
        self.add(id, Severity::Error, found.into(), Some(advice.into()));
    }

    pub(super) fn warning(&mut self, id: Check, found: impl Into<String>, advice: impl Into<String>) {
        self.add(id, Severity::Warning, found.into(), Some(advice.into()));
    }

    pub(super) fn unseen(&mut self, id: Check, reason: impl Into<String>) {
        self.not_looked_at.push(Unseen { id, reason: reason.into() });
    }

    /// The configuration has no use for it.
    pub(super) fn irrelevant(&mut self, id: Check) {
        self.irrelevant.insert(id);
    }

    /// Says of everything that was looked at without a finding that it is well, and brings the worst to the top.
    pub(super) fn complete(&mut self) {
        let told: BTreeSet<_> = self.findings.iter().map(|finding| finding.id).collect();
        let unseen: BTreeSet<_> = self.not_looked_at.iter().map(|unseen| unseen.id).collect();
        for id in Check::ALL {
            if ![&told, &unseen, &self.irrelevant].iter().any(|known| known.contains(&id)) {
                self.add(id, Severity::Ok, id.all_well().to_owned(), None);
            }
        }
        self.findings.sort_by_key(|finding| (finding.severity, finding.id));
    }

    fn add(&mut self, id: Check, severity: Severity, found: String, advice: Option<String>) {
        self.findings.push(Finding { id, severity, found, advice });
    }
}

struct Shown<'a> {
    report: &'a Report,
    verbose: bool,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, verbose } = *self;
        for Finding { id, severity, found, advice } in &report.findings {
            let word = match severity {
                Severity::Error => "ERROR",
                Severity::Warning => "warning",
                Severity::Ok if verbose => "ok",
                Severity::Ok => continue,
            };
            writeln!(f, "{word:<8} {id}: {found}")?;
            if let Some(advice) = advice {
                writeln!(f, "{:<8} → {advice}", "")?;
            }
        }
        for Unseen { id, reason } in &report.not_looked_at {
            writeln!(f, "{:<8} {id}: {reason}", "unseen")?;
        }
        let count = |severity| report.of(severity).count();
        let (errors, warnings, well) =
            (count(Severity::Error), count(Severity::Warning), count(Severity::Ok));
        match (errors, warnings) {
            (0, 0) => write!(f, "all well: {well} checks"),
            _ => write!(
                f,
                "{}, {}, {well} checks well",
                counted(errors, "error"),
                counted(warnings, "warning")
            ),
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Report {
        let mut report = Report::default();
        report.warning(Check::Clock, "an hour behind", "set it");
        report.error(Check::Tun, "none", "modprobe tun");
        report.unseen(Check::Firewall, "only root");
        report.irrelevant(Check::Forwarding);
        report.complete();
        report
    }

    #[test]
    fn the_worst_comes_first_and_every_check_is_told_of_once() {
        let report = sample();
        let ids: Vec<_> = report.findings.iter().map(|finding| finding.id).collect();
        assert_eq!(ids[..3], [Check::Tun, Check::Clock, Check::Configuration]);
        assert_eq!(ids.len() + 2, Check::ALL.len());
        assert!(report.has_errors());
    }

    #[test]
    fn people_read_findings_and_a_last_line() {
        let text = sample().shown(false).to_string();
        let expected = "ERROR    tun: none\n         → modprobe tun\nwarning  clock: an hour behind\n         → set it\n\
                        unseen   firewall: only root\n1 error, 1 warning, 11 checks well";
        assert_eq!(text, expected);
        assert!(sample().shown(true).to_string().contains("ok       disk: there is room"));
        let mut well = Report::default();
        well.complete();
        assert_eq!(well.shown(false).to_string(), "all well: 15 checks");
    }

    #[test]
    fn programs_read_stable_names() {
        let json = serde_json::to_value(sample()).unwrap();
        assert_eq!(
            json["findings"][0],
            serde_json::json!({ "id": "tun", "severity": "error", "found": "none", "advice": "modprobe tun" })
        );
        assert_eq!(json["not_looked_at"], serde_json::json!([{ "id": "firewall", "reason": "only root" }]));
        for id in Check::ALL {
            assert_eq!(serde_json::to_value(id).unwrap(), id.to_string(), "one name in text and JSON");
        }
    }
}
