// SPDX-License-Identifier: AGPL-3.0-or-later
use std::time::Duration;

use ratman_types::{Bandwidth, ByteCount, Timestamp};
use serde_json::json;

use super::*;

fn estimate<T>(value: T, source: SampleSource) -> Estimate<T> {
    Estimate { value, source, at: Timestamp::default() }
}

fn unmeasured() -> MeasuredLink {
    MeasuredLink {
        link: 3,
        netmod: "inet".to_owned(),
        neighbour: RouterId::from_bytes([7; 32]),
        local: "192.0.2.1:40000".to_owned(),
        remote: "192.0.2.2:5860".to_owned(),
        state: LinkState::Starting,
        interface: None,
        probes: ProbeState::None,
        sent: None,
        received: None,
        latency: None,
        loaded_latency: None,
        capacity: CapacityFigure::default(),
        loss: None,
        cost: None,
    }
}

pub(crate) fn measured() -> MeasuredLink {
    let traffic =
        Traffic { over: Duration::from_millis(500), sent: ByteCount(600_000), received: ByteCount(50) };
    let (sent, received) = rates(estimate(traffic, SampleSource::Kernel)).unwrap();
    let capacity = Capacity::AtLeast(Bandwidth::from_bytes_per_second(6_250_000));
    let loss = Loss { sent: 10_000, lost: 123, reordered: true };
    MeasuredLink {
        state: LinkState::Live,
        interface: Some("to-b".to_owned()),
        probes: ProbeState::Attached,
        sent: Some(sent),
        received: Some(received),
        latency: Some(estimate(Duration::from_micros(10_123), SampleSource::Echo).into()),
        loaded_latency: Some(estimate(Duration::from_millis(48), SampleSource::Kernel).into()),
        capacity: estimate(capacity, SampleSource::Train).into(),
        loss: LossFigure::of(&estimate(loss, SampleSource::Socket)),
        cost: Some(2_500),
        ..unmeasured()
    }
}

#[test]
fn what_nobody_measured_is_null_and_never_left_out() {
    let shown = serde_json::to_value(unmeasured()).unwrap();
    for key in ["interface", "sent", "received", "latency", "loaded_latency", "loss", "cost"] {
        assert_eq!(shown.get(key), Some(&json!(null)), "{key}");
    }
    assert_eq!(shown["capacity"], json!({ "kind": "unknown", "bytes_per_second": null, "source": null }));
    assert_eq!((&shown["state"], &shown["probes"]), (&json!("starting"), &json!("none")));
    let probes = serde_json::to_value(ProbesStatus::default()).unwrap();
    assert_eq!(probes, json!({ "state": "none", "reason": null, "interfaces": [] }));
}

#[test]
fn what_was_measured_is_told_with_its_source() {
    let shown = serde_json::to_value(measured()).unwrap();
    assert_eq!(shown["sent"], json!({ "bytes_per_second": 1_200_000, "source": "kernel" }));
    assert_eq!(shown["received"], json!({ "bytes_per_second": 100, "source": "kernel" }));
    assert_eq!(shown["latency"], json!({ "us": 10_123, "source": "echo" }));
    assert_eq!(shown["loaded_latency"], json!({ "us": 48_000, "source": "kernel" }));
    let capacity = json!({ "kind": "at_least", "bytes_per_second": 6_250_000, "source": "train" });
    assert_eq!(shown["capacity"], capacity);
    assert_eq!(shown["loss"], json!({ "per_million": 12_300, "reordered": true, "source": "socket" }));
    assert_eq!(serde_json::from_value::<MeasuredLink>(shown).unwrap(), measured());
}

#[test]
fn figures_that_cannot_be_are_absent() {
    let nothing = Traffic { over: Duration::ZERO, sent: ByteCount(5), received: ByteCount(5) };
    assert_eq!(rates(estimate(nothing, SampleSource::Socket)), None);
    let none_sent = Loss { sent: 0, lost: 3, reordered: false };
    assert_eq!(LossFigure::of(&estimate(none_sent, SampleSource::Socket)), None);
    let more_lost_than_sent = Loss { sent: 2, lost: 3, reordered: false };
    let all = LossFigure::of(&estimate(more_lost_than_sent, SampleSource::Socket));
    assert_eq!(all.map(|loss| loss.per_million), Some(1_000_000));
}

#[test]
fn people_read_a_line_for_each_link() {
    let interface = ProbedInterface { interface: "to-b".to_owned(), index: 2, hook: "tcx".to_owned() };
    let probes = ProbesStatus { state: ProbeState::Attached, reason: None, interfaces: vec![interface] };
    let shown = Links { probes, links: vec![measured(), unmeasured()] }.to_string();
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[0], "probes     on to-b");
    for figure in [
        "9.6 Mbit/s (kernel)",
        "10.12 ms (echo)",
        "48.00 ms (kernel)",
        "≥ 50.0 Mbit/s (train)",
        "1.23 %, reordered (socket)",
        "2.50 ms",
    ] {
        assert!(lines[4].contains(figure), "{figure} in\n{shown}");
    }
    assert!(lines[5].ends_with('–'), "{shown}");
    let reason = Some("no object".to_owned());
    let without = ProbesStatus { reason, ..ProbesStatus::default() };
    let shown = Links { probes: without, links: Vec::new() }.to_string();
    assert!(shown.starts_with("probes     none: no object\n"), "{shown}");
}
