// SPDX-License-Identifier: AGPL-3.0-or-later
//! Contacts, rules and limits: what they mean, and what is said of each mistake.

use core::time::Duration;

use gateway_core::firewall::FlowRate;
use ratman_types::Bandwidth;

use super::*;

fn rules(text: &str) -> Vec<Rule> {
    Config::from_text("rules", text).unwrap().firewall_rules
}

#[test]
fn all_that_a_rule_can_say_is_taken() {
    let text = format!(
        r#"
        contacts.alice = "{KEY}"
        firewall.rules = [
            {{ name = "no mail", action = "deny", direction = "out", remote = "any", ports = [25], log = true }},
            {{ action = "accept", remote = "alice", protocol = "all", to = ["10.0.0.0/8", "::/0"], rate = "100/min" }},
            {{ action = "accept", remote = "configured", protocol = 47, to = "self", rate = "2/s", burst = 9 }},
            {{ action = "deny", direction = "out", remote = "{KEY}", protocol = "icmp", to = ["192.0.2.0/24"] }},
        ]
        firewall.accept = [{{ from = "alice", protocol = 6, to = ["192.168.7.0/24"], rate = "5/h" }}]
        "#
    );
    let rules = rules(&text);
    let names: Vec<_> = rules.iter().map(|rule| &*rule.name).collect();
    assert_eq!(names, ["no mail", "2", "3", "4", "accept 1"]);
    let alice = Whom::Remote(KEY.parse().unwrap());
    let no_mail = Rule {
        name: "no mail".into(),
        action: Action::Deny,
        direction: Direction::Outbound,
        remote: Whom::Any,
        carrying: Carrying::TcpAndUdp,
        ports: vec![25..=25],
        to: To::Anywhere,
        rate: None,
        log: true,
    };
    assert_eq!(rules[0], no_mail);
    let prefixes = |texts: &[&str]| To::Prefixes(texts.iter().map(|text| text.parse().unwrap()).collect());
    let rate = |flows, seconds, burst| Some(FlowRate { flows, per: Duration::from_secs(seconds), burst });
    assert_eq!((rules[1].remote, rules[1].carrying), (alice, Carrying::All));
    assert_eq!((&rules[1].to, rules[1].rate), (&prefixes(&["10.0.0.0/8", "::/0"]), rate(100, 60, 100)));
    assert_eq!((rules[2].carrying, rules[2].rate), (Carrying::Number(47), rate(2, 1, 9)));
    assert_eq!((&rules[2].to, &rules[3].to), (&To::Ourselves, &prefixes(&["192.0.2.0/24"])));
    assert_eq!((rules[3].remote, rules[3].carrying), (alice, Carrying::Icmp));
    assert_eq!((rules[4].carrying, rules[4].rate), (Carrying::Tcp, rate(5, 3600, 5)));
    assert_eq!((rules[4].remote, rules[4].action, rules[4].log), (alice, Action::Accept, false));
}

#[test]
fn contacts_and_limits_are_taken() {
    let text = format!(
        r#"
        [contacts]
        alice = "{KEY}"
        [[route]]
        prefix = "10.78.0.0/24"
        via = "alice"
        [[limit]]
        remote = "alice"
        up = "8 kbit/s"
        [[limit]]
        remote = "any"
        up = "10 Mbit/s"
        down = "32 Gbit/s"
        "#
    );
    let config = Config::from_text("limits", &text).unwrap();
    assert_eq!(config.routes[0].via, KEY.parse().unwrap());
    let limit = config.limits[0];
    let bandwidth = |bytes| Some(Bandwidth::from_bytes_per_second(bytes));
    assert_eq!(
        (limit.remote, limit.up, limit.down),
        (Whom::Remote(KEY.parse().unwrap()), bandwidth(1000), None)
    );
    let limit = config.limits[1];
    assert_eq!(
        (limit.remote, limit.up, limit.down),
        (Whom::Any, bandwidth(1_250_000), bandwidth(4_000_000_000))
    );
}

/// What is said of a rule with `action`, `remote`, and these keys.
fn rule_error(keys: &str) -> String {
    let text = format!("\nfirewall.rules = [{{ action = \"accept\", remote = \"any\", {keys} }}]");
    error(&text).replace("gateway.toml:2: firewall.rules[0].", "")
}

#[test]
fn mistakes_in_rules_are_named() {
    let port = "expected a port from 1 to 65535 or a range such as \"8000-8099\"";
    let protocol = "expected \"tcp\", \"udp\", \"icmp\", \"all\" or a protocol number from 0 to 255";
    let to = "expected \"self\" or a list of prefixes, for \"out\" a list of prefixes";
    let prefix = "expected an IP prefix without host bits, such as \"192.168.7.0/24\"";
    let rate = "expected flows per time from 1 to 1000000, such as \"20/s\", \"100/min\" or \"500/h\"";
    for (keys, expected) in [
        ("ports = [0]", format!("ports[0]: {port}, got 0")),
        ("ports = [\"9-8\"]", format!("ports[0]: {port}, got \"9-8\"")),
        ("protocol = \"sctp\"", format!("protocol: {protocol}, got \"sctp\"")),
        ("protocol = 256", format!("protocol: {protocol}, got 256")),
        ("protocol = \"icmp\", ports = [1]", "ports: expected no ports with this protocol, got some".into()),
        ("protocol = \"all\", ports = [1]", "ports: expected no ports with this protocol, got some".into()),
        ("direction = \"both\"", "direction: expected \"in\" or \"out\", got \"both\"".into()),
        ("to = \"all\"", format!("to: {to}, got \"all\"")),
        ("to = 1", format!("to: {to}, got 1")),
        ("direction = \"out\", to = \"self\"", format!("to: {to}, got \"self\"")),
        ("to = [\"10.0.0.1/8\"]", format!("to[0]: {prefix}, got \"10.0.0.1/8\"")),
        ("to = [\"10.0.0.1\"]", format!("to[0]: {prefix}, got \"10.0.0.1\"")),
        ("rate = \"20\"", format!("rate: {rate}, got \"20\"")),
        ("rate = \"0/s\"", format!("rate: {rate}, got \"0/s\"")),
        ("rate = \"1/d\"", format!("rate: {rate}, got \"1/d\"")),
        ("rate = \"1000001/s\"", format!("rate: {rate}, got \"1000001/s\"")),
        ("rate = 20", format!("rate: {rate}, got 20")),
        ("burst = 9", "burst: expected a rate too, got 9".into()),
        ("rate = \"1/s\", burst = 0", "burst: expected an integer from 1 to 1000000, got 0".into()),
        ("log = 1", "log: expected true or false, got 1".into()),
        ("name = \"\"", "name: expected a name of 1 to 64 visible characters, got \"\"".into()),
        ("name = \"a\\nb\"", "name: expected a name of 1 to 64 visible characters, got \"a\\nb\"".into()),
        (
            "from = \"any\"",
            "from: unknown key, expected action, burst, direction, log, name, ports, protocol, rate, remote or to"
                .into(),
        ),
    ] {
        assert_eq!(rule_error(keys), expected);
    }
}

#[test]
fn mistakes_between_rules_and_in_contacts_and_limits_are_named() {
    let whom = "expected \"any\", \"configured\", the address of a remote or a name from [contacts]";
    let bandwidth = "expected a bandwidth from \"8 kbit/s\" to \"32 Gbit/s\", such as \"10 Mbit/s\"";
    let name =
        "expected a name of 1 to 63 letters, digits, '-' and '_', not \"any\", \"configured\" or \"self\"";
    let deny = "action = \"deny\", remote = \"any\"";
    let again = "expected a different one each time, got the one of firewall.rules[0] again";
    for (text, expected) in [
        (
            format!("firewall.rules = [{{ {deny}, name = \"a\" }},\n{{ {deny}, name = \"a\" }}]"),
            format!("gateway.toml:2: firewall.rules[1]: {again}"),
        ),
        (
            format!("firewall.rules = [{{ {deny}, name = \"2\" }},\n{{ {deny} }}]"),
            format!("gateway.toml:2: firewall.rules[1]: {again}"),
        ),
        (
            format!("firewall.rules = [{{ {deny}, rate = \"1/s\" }}]"),
            "gateway.toml:1: firewall.rules[0].rate: expected no rate with action \"deny\", got one".into(),
        ),
        (
            "firewall.rules = [{ remote = \"any\" }]".into(),
            "gateway.toml:1: firewall.rules[0].action: missing, expected \"accept\" or \"deny\"".into(),
        ),
        (
            "firewall.rules = [{ action = \"accept\" }]".into(),
            format!("gateway.toml:1: firewall.rules[0].remote: missing, {whom}"),
        ),
        (
            "firewall.rules = [{ action = \"drop\", remote = \"any\" }]".into(),
            "gateway.toml:1: firewall.rules[0].action: expected \"accept\" or \"deny\", got \"drop\"".into(),
        ),
        (
            "firewall.accept = [{ from = \"bob\" }]".into(),
            format!("gateway.toml:1: firewall.accept[0].from: {whom}, got \"bob\""),
        ),
        (
            "firewall.accept = [{ protocol = \"tcp\" }]".into(),
            format!("gateway.toml:1: firewall.accept[0].from: missing, {whom}"),
        ),
        (
            "firewall.accept = [{ from = \"any\" }, { from = \"any\" }]".into(),
            "gateway.toml:1: firewall.accept[1]: expected a different one each time, got the one of firewall.accept[0] again".into(),
        ),
        ("contacts = 1".into(), "gateway.toml:1: contacts: expected a table, got 1".into()),
        (
            "contacts.bob = \"AB\"".into(),
            "gateway.toml:1: contacts.bob: expected the address of a remote, 16 groups of 4 hexadecimal digits joined by '-', got \"AB\"".into(),
        ),
        (format!("contacts.any = \"{KEY}\""), format!("gateway.toml:1: contacts.any: {name}, got \"any\"")),
        (format!("contacts.\"a b\" = \"{KEY}\""), format!("gateway.toml:1: contacts.a b: {name}, got \"a b\"")),
        (
            "limit = [{ remote = \"bob\", up = \"1 Mbit/s\" }]".into(),
            format!("gateway.toml:1: limit[0].remote: {whom}, got \"bob\""),
        ),
        (
            "limit = [{ remote = \"any\", up = \"1 MB/s\" }]".into(),
            format!("gateway.toml:1: limit[0].up: {bandwidth}, got \"1 MB/s\""),
        ),
        (
            "limit = [{ remote = \"any\", down = \"7 kbit/s\" }]".into(),
            format!("gateway.toml:1: limit[0].down: {bandwidth}, got \"7 kbit/s\""),
        ),
        (
            "limit = [{ remote = \"any\", down = \"33 Gbit/s\" }]".into(),
            format!("gateway.toml:1: limit[0].down: {bandwidth}, got \"33 Gbit/s\""),
        ),
        (
            "limit = [{ remote = \"any\" }]".into(),
            "gateway.toml:1: limit[0].up: expected up or down, got neither".into(),
        ),
        (
            "limit = [{ remote = \"any\", up = \"1 Mbit/s\" }, { remote = \"any\", down = \"1 Mbit/s\" }]".into(),
            "gateway.toml:1: limit[1]: expected a different one each time, got the one of limit[0] again".into(),
        ),
    ] {
        assert_eq!(error(&text), expected);
    }
}

#[test]
fn rules_of_both_forms_together_have_a_limit() {
    let rule = |number| format!("{{ action = \"deny\", remote = \"any\", ports = [{number}] }}");
    let rules: Vec<_> = (1..=256).map(rule).collect();
    let text = format!("firewall.rules = [{}]\n", rules.join(", "));
    assert_eq!(Config::from_text("full", &text).unwrap().firewall_rules.len(), 256);
    let more = format!("{text}firewall.accept = [{{ from = \"any\" }}]");
    assert_eq!(
        error(&more),
        "gateway.toml:2: firewall.accept: expected at most 256 rules, those of firewall.accept included, got 1"
    );
}

#[test]
fn the_examples_of_the_defaults_are_right() {
    let examples = DEFAULTS.lines().filter_map(|line| line.strip_prefix("#   "));
    let is_rule = |line: &&str| line.starts_with("  {") || line.starts_with("rules = [") || *line == "]";
    let text: String = examples.filter(is_rule).map(|line| format!("{line}\n")).collect();
    let config =
        Config::from_text("examples", &format!("contacts.alice = \"{KEY}\"\nfirewall.{text}")).unwrap();
    let names: Vec<_> = config.firewall_rules.iter().map(|rule| &*rule.name).collect();
    assert_eq!(
        names,
        ["ssh", "self", "lan", "mail", "exit"],
        "the exit's prefixes cover what is denied before"
    );
    assert_eq!(
        (config.firewall_rules[1].action, &config.firewall_rules[1].to),
        (Action::Deny, &To::Ourselves)
    );
}
