// SPDX-License-Identifier: AGPL-3.0-or-later
//! The report: JSON for programs, a table for people.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::figures::{Figures, Quantity, Runs};
use super::peers::Peer;
use super::subject::Subject;

/// Above this share of stolen time, in percent, a row is marked: its figures say little.
pub(crate) const NOISY: f64 = 5.0;

const TCP: Quantity = |one| Some(one.tcp_mbit);
const PING: Quantity = |one| Some(one.ping_idle_ms);
const UDP: Quantity = |one| Some(one.udp64_pps);
const CPU: Quantity = |one| one.cpu_s_per_gb;

/// The whole report; what was not measured is null or missing.
pub(crate) fn json(runs: &Runs, subjects: &[Subject], machine: Value) -> Value {
    let median = |subject: &Subject| runs.median(subject.name());
    let (yardstick, direct) = (median(&Subject::Yardstick), median(&Subject::Direct));
    let of = |figures: Option<Figures>, quantity: Quantity| figures.as_ref().and_then(quantity);
    let medians: Map<String, Value> =
        subjects.iter().map(|subject| (subject.name().to_owned(), json!(median(subject)))).collect();
    json!({
        "tcp": {
            "raw": {"mbit": of(median(&Subject::Raw), TCP)},
            "yardstick": {"mbit": of(yardstick, TCP)},
            "direct": {"mbit": of(direct, TCP), "ratio_to_yardstick": runs.ratio("direct", "yardstick", TCP)},
            "relay": {
                "mbit": of(median(&Subject::Relay), TCP),
                "ratio_to_direct": runs.ratio("relay", "direct", TCP),
            },
        },
        "ping": {
            "idle_ms": of(direct, PING),
            "yardstick_idle_ms": of(yardstick, PING),
            "idle_ratio_to_yardstick": runs.ratio("direct", "yardstick", PING),
            "loaded_ms": of(direct, |one| Some(one.ping_loaded_ms)),
            "loaded_p95_ms": of(direct, |one| Some(one.ping_loaded_p95_ms)),
        },
        "udp64": {
            "pps": of(direct, UDP),
            "yardstick_pps": of(yardstick, UDP),
            "ratio_to_yardstick": runs.ratio("direct", "yardstick", UDP),
        },
        "cpu": {
            "s_per_gb": of(direct, CPU),
            "yardstick_s_per_gb": of(yardstick, CPU),
            "ratio_to_yardstick": runs.ratio("direct", "yardstick", CPU),
        },
        "rss_mib": of(direct, |one| one.rss_mib),
        "peers": peers(runs, subjects),
        "steal_percent": subjects.iter().filter_map(&median).map(|one| one.steal_percent).fold(0.0, f64::max),
        "machine": machine,
        "medians": medians,
        "runs": runs.0,
    })
}

/// Figures of the other products; of those that are not there, why.
fn peers(runs: &Runs, subjects: &[Subject]) -> Value {
    let entry = |peer: &Peer| match runs.median(peer.name()) {
        Some(figures) => json!({
            "tcp_mbit": figures.tcp_mbit,
            "ratio_to_yardstick": runs.ratio(peer.name(), "yardstick", TCP),
            "ping_idle_ms": figures.ping_idle_ms,
            "ping_loaded_ms": figures.ping_loaded_ms,
            "udp64_pps": figures.udp64_pps,
            "cpu_s_per_gb": figures.cpu_s_per_gb,
            "rss_mib": figures.rss_mib,
        }),
        None if !subjects.contains(&Subject::Peer(*peer)) => {
            let why =
                peer.missing().map_or("not asked for".to_owned(), |program| format!("no {program} found"));
            json!({"absent": why})
        }
        None => json!({"failed": runs.of(peer.name()).find_map(|run| run.failure())}),
    };
    Peer::ALL.iter().map(|peer| (peer.name().to_owned(), entry(peer))).collect::<Map<_, _>>().into()
}

/// One line for each subject, in the order in which they were measured.
pub(crate) fn table(runs: &Runs, subjects: &[Subject]) -> String {
    let mut text = format!(
        "{:<14} {:>8} {:>6} {:>8} {:>7} {:>7} {:>7} {:>8} {:>7} {:>6} {:>6}\n{:<14} {:>8} {:>6} {:>8} {:>7} {:>7} {:>7} {:>8} {:>7} {:>6} {:>6}\n",
        "medians",
        "TCP",
        "to the",
        "TCP",
        "ping",
        "ping",
        "95 %",
        "64 B",
        "CPU",
        "RSS",
        "steal",
        "",
        "Mbit/s",
        "yard",
        "reverse",
        "idle ms",
        "load ms",
        "load ms",
        "1000/s",
        "s/GB",
        "MiB",
        "%",
    );
    for name in subjects.iter().map(Subject::name) {
        match runs.median(name) {
            Some(figures) => row(&mut text, name, &figures, runs.ratio(name, "yardstick", TCP)),
            None => {
                let reason = runs.of(name).find_map(|run| run.failure()).unwrap_or("not measured");
                let _ = writeln!(text, "{name:<14} {}", reason.lines().next().unwrap_or_default());
            }
        }
    }
    text
}

fn row(text: &mut String, name: &str, figures: &Figures, ratio: Option<f64>) {
    let optional = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
    let mark = if figures.steal_percent > NOISY { " !" } else { "" };
    let _ = writeln!(
        text,
        "{name:<14} {:>8.0} {:>6} {:>8.0} {:>7.3} {:>7.3} {:>7.3} {:>8.0} {:>7} {:>6} {:>6.1}{mark}",
        figures.tcp_mbit,
        optional(ratio),
        figures.tcp_reverse_mbit,
        figures.ping_idle_ms,
        figures.ping_loaded_ms,
        figures.ping_loaded_p95_ms,
        figures.udp64_pps / 1_000.0,
        optional(figures.cpu_s_per_gb),
        figures.rss_mib.map_or("–".to_owned(), |mib| format!("{mib:.0}")),
        figures.steal_percent,
    );
}

#[cfg(test)]
mod tests {
    use super::super::figures::{Outcome, Run};
    use super::*;

    fn run(subject: &Subject, tcp_mbit: f64, steal_percent: f64) -> Run {
        let figures = Figures {
            tcp_mbit,
            udp64_pps: tcp_mbit * 10.0,
            ping_idle_ms: 0.2,
            cpu_s_per_gb: Some(2.0),
            rss_mib: Some(20.0),
            steal_percent,
            ..Figures::default()
        };
        Run { subject: subject.name().into(), round: 1, attempts: 1, outcome: Outcome::Figures(figures) }
    }

    fn report() -> (Runs, Vec<Subject>) {
        let subjects =
            vec![Subject::Yardstick, Subject::Direct, Subject::Relay, Subject::Peer(Peer::WireguardGo)];
        let failure = Outcome::Failure("no answer\nits log".into());
        let failed = Run { outcome: failure, ..run(&subjects[3], 0.0, 0.0) };
        let runs = vec![
            run(&subjects[0], 4_000.0, 0.0),
            run(&subjects[1], 6_000.0, 9.0),
            run(&subjects[2], 4_500.0, 0.0),
            failed,
        ];
        (Runs(runs), subjects)
    }

    #[test]
    fn has_the_keys_that_others_read() {
        let (runs, subjects) = report();
        let report = json(&runs, &subjects, json!({}));
        let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64);
        assert_eq!(number("/tcp/direct/ratio_to_yardstick"), Some(1.5));
        assert_eq!(number("/tcp/relay/ratio_to_direct"), Some(0.75));
        assert_eq!(number("/ping/idle_ms"), Some(0.2));
        assert_eq!(number("/ping/loaded_ms"), Some(0.0));
        assert_eq!(number("/ping/yardstick_idle_ms"), Some(0.2));
        assert_eq!(number("/udp64/ratio_to_yardstick"), Some(1.5));
        assert_eq!(number("/cpu/ratio_to_yardstick"), Some(1.0));
        assert_eq!(number("/rss_mib"), Some(20.0));
        assert_eq!(number("/steal_percent"), Some(9.0));
        assert_eq!(report["peers"]["wireguard-go"], json!({"failed": "no answer\nits log"}));
        assert!(report["peers"]["tinc"]["absent"].is_string());
    }

    #[test]
    fn a_peer_that_was_measured_has_its_throughput() {
        let peer = Subject::Peer(Peer::Tinc);
        let report = json(&Runs(vec![run(&peer, 300.0, 0.0)]), &[peer], json!({}));
        assert_eq!(report["peers"]["tinc"]["tcp_mbit"], json!(300.0));
        assert_eq!(report["tcp"]["direct"]["ratio_to_yardstick"], Value::Null);
    }

    #[test]
    fn the_table_marks_noise_and_names_failures() {
        let (runs, subjects) = report();
        let table = table(&runs, &subjects);
        let line = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line("direct").ends_with("9.0 !"), "{table}");
        assert!(line("relay").ends_with("0.0"), "{table}");
        assert!(line("wireguard-go").ends_with("no answer"), "{table}");
    }
}
