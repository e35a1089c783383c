// SPDX-License-Identifier: AGPL-3.0-or-later

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::doctor::report::Severity;
use crate::doctor::tests::found;

fn chain(name: &str, hook: Option<&str>, policy: &str) -> Value {
    let mut chain = json!({ "family": "inet", "table": "filter", "name": name });
    if let Some(hook) = hook {
        chain["type"] = "filter".into();
        chain["hook"] = hook.into();
        chain["policy"] = policy.into();
    }
    json!({ "chain": chain })
}

fn rule(chain: &str, statements: &[Value]) -> Value {
    json!({ "rule": { "family": "inet", "table": "filter", "chain": chain, "expr": statements } })
}

fn is(left: Value, right: Value) -> Value {
    json!({ "match": { "op": "==", "left": left, "right": right } })
}

fn meta(key: &str, value: &str) -> Value {
    is(json!({ "meta": { "key": key } }), value.into())
}

fn field(protocol: &str, field: &str, value: Value) -> Value {
    is(json!({ "payload": { "protocol": protocol, "field": field } }), value)
}

fn dport(right: Value) -> Value {
    field("tcp", "dport", right)
}

fn from(source: &str) -> Value {
    field("ip", "saddr", source.into())
}

fn state(states: &[&str]) -> Value {
    json!({ "match": { "op": "in", "left": { "ct": { "key": "state" } }, "right": states } })
}

fn accept() -> Value {
    json!({ "accept": null })
}

fn drop_it() -> Value {
    json!({ "drop": null })
}

fn ruleset(objects: &[Value]) -> Ruleset {
    Ruleset::parse(&serde_json::to_vec(&json!({ "nftables": objects })).unwrap()).unwrap()
}

/// What is said where these rules stand in an input chain that drops the rest.
fn input(rules: &[Vec<Value>]) -> Option<Severity> {
    let mut objects = vec![chain("input", Some("input"), "drop")];
    objects.extend(rules.iter().map(|statements| rule("input", statements)));
    said("", &objects)
}

fn said(config: &str, objects: &[Value]) -> Option<Severity> {
    let config = Config::from_text("test", config).unwrap();
    let filters = Filters { rules: Ok(ruleset(objects)), legacy: false };
    let report = found(|report| judge(&config, &filters, report));
    assert!(report.findings.len() < 2, "{report:?}");
    report.findings.first().map(|finding| finding.severity)
}

#[test]
fn an_input_chain_that_drops_our_port_is_found() {
    let ports = json!({ "set": [22, { "range": [80, 90] }] });
    let dropping: [&[Vec<Value>]; 6] = [
        &[],
        &[vec![meta("iifname", "lo"), accept()]],
        &[vec![state(&["established", "related"]), accept()]],
        &[vec![dport(22.into()), accept()], vec![field("udp", "dport", 5860.into()), accept()]],
        &[vec![dport(ports), json!({ "counter": {} }), accept()]],
        &[vec![dport(5860.into()), json!({ "reject": { "type": "tcp reset" } })], vec![accept()]],
    ];
    for rules in dropping {
        assert_eq!(input(rules), Some(Severity::Error), "{rules:?}");
    }
}

#[test]
fn an_input_chain_that_lets_our_port_in_is_not_accused() {
    let ports = json!({ "set": [22, { "range": [5000, 6000] }] });
    let by_state = json!({ "key": { "ct": { "key": "state" } }, "data": { "set": [["new", accept()]] } });
    let passing: [&[Vec<Value>]; 8] = [
        &[vec![accept()]],
        &[vec![dport(5860.into()), accept()]],
        &[vec![meta("l4proto", "tcp"), dport(ports), accept()]],
        &[vec![state(&["new"]), accept()]],
        &[vec![json!({ "xt": null }), drop_it()], vec![dport(5860.into()), accept()]],
        &[vec![from("192.0.2.1"), dport(5860.into()), accept()]],
        &[vec![from("192.0.2.1"), drop_it()], vec![accept()]],
        &[vec![json!({ "vmap": by_state })]],
    ];
    for rules in passing {
        assert_eq!(input(rules), None, "{rules:?}");
    }
    assert_eq!(said("", &[chain("input", Some("input"), "accept")]), None);
    assert_eq!(said("", &[chain("output", Some("output"), "drop")]), None, "another hook");
    assert_eq!(said("inet.listen = []", &[chain("input", Some("input"), "drop")]), None, "nobody dials us");
}

#[test]
fn what_depends_on_the_unknown_is_a_warning() {
    let doubtful: [&[Vec<Value>]; 4] = [
        &[vec![dport("@ports".into()), accept()]],
        &[vec![json!({ "limit": { "rate": 5 } }), accept()]],
        &[vec![meta("iifname", "eth0"), accept()]],
        &[vec![json!({ "vmap": { "key": { "meta": { "key": "mark" } }, "data": "@verdicts" } })]],
    ];
    for rules in doubtful {
        assert_eq!(input(rules), Some(Severity::Warning), "{rules:?}");
    }
}

#[test]
fn chains_are_followed_and_circles_end() {
    let jump = json!({ "jump": { "target": "own" } });
    let base = [chain("input", Some("input"), "drop"), chain("own", None, "")];
    let with = |rules: &[Value]| said("", &[&base[..], rules].concat());
    let jumps = rule("input", std::slice::from_ref(&jump));
    assert_eq!(with(&[jumps.clone(), rule("own", &[dport(5860.into()), accept()])]), None);
    let returns = rule("own", &[json!({ "return": null })]);
    assert_eq!(with(&[jumps.clone(), returns, rule("own", &[accept()])]), Some(Severity::Error));
    let goes = rule("input", &[json!({ "goto": { "target": "own" } })]);
    assert_eq!(
        with(&[goes, rule("input", &[accept()])]),
        Some(Severity::Error),
        "who goes does not come back"
    );
    let circle = rule("own", &[jump]);
    assert!(with(&[jumps, circle.clone(), circle.clone(), circle]).is_some());
}

#[test]
fn what_we_forward_has_to_pass_the_hosts_own_chain() {
    let base = chain("forward", Some("forward"), "drop");
    let forward = "inet.listen = []\nforward.interfaces = ['lan0']";
    let with = |rules: &[Value]| said(forward, &[std::slice::from_ref(&base), rules].concat());
    let docker = rule("forward", &[meta("oifname", "docker0"), accept()]);
    let ours = rule("forward", &[meta("iifname", "lan0"), meta("oifname", "irdest0"), accept()]);
    let pattern = rule("forward", &[meta("iifname", "lan*"), accept()]);
    let tcp = rule("forward", &[meta("l4proto", "tcp"), accept()]);
    assert_eq!(with(&[]), Some(Severity::Error));
    assert_eq!(with(&[docker]), Some(Severity::Error));
    assert_eq!(with(&[ours]), None);
    assert_eq!(with(&[pattern]), None);
    assert_eq!(with(&[tcp]), Some(Severity::Warning));
    assert_eq!(said("inet.listen = []", std::slice::from_ref(&base)), None, "nothing is forwarded");

    let mut own = base.clone();
    own["chain"]["table"] = "irdest-gateway-irdest0".into();
    assert_eq!(said(forward, &[own]), None, "our own table");
}

#[test]
fn what_is_not_seen_is_told() {
    let config = Config::from_text("test", "").unwrap();
    let filters = Filters { rules: Err("only root".into()), legacy: true };
    let report = found(|report| judge(&config, &filters, report));
    assert_eq!((report.findings.len(), report.not_looked_at.len()), (0, 2));
    assert!(Ruleset::parse(b"no").is_err() && Ruleset::parse(b"{}").is_err());
}

proptest! {
    #[test]
    fn whatever_nft_prints_ends(
        rules in prop::collection::vec((0..4_usize, prop::collection::vec((0..9_usize, 0..4_usize), 0..4)), 0..40)
    ) {
        let statement = |(kind, number): &(usize, usize)| match kind {
            0 => accept(),
            1 => drop_it(),
            2 => json!({ "jump": { "target": format!("c{number}") } }),
            3 => json!({ "goto": { "target": format!("c{number}") } }),
            4 => dport(json!({ "range": [number, "x"] })),
            5 => json!({ "match": number }),
            6 => json!({ "vmap": { "key": {}, "data": { "set": [[number], [number, accept()]] } } }),
            7 => json!(number),
            _ => json!({}),
        };
        let mut objects: Vec<Value> = (0..4).map(|n| chain(&format!("c{n}"), Some("input"), "drop")).collect();
        objects.extend(rules.iter().map(|(chain, statements)| {
            rule(&format!("c{chain}"), &statements.iter().map(statement).collect::<Vec<_>>())
        }));
        let _ = ruleset(&objects).fate(Hook::Input, &Packet::Connection { port: 1 }, "");
    }
}
