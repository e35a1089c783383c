// SPDX-License-Identifier: AGPL-3.0-or-later

use proptest::prelude::*;

use super::*;
use crate::packet::samples::*;

const FRIEND: Address = Address::from_bytes([1; 32]);
const STRANGER: Address = Address::from_bytes([2; 32]);
const NOW: Timestamp = Timestamp::from_micros(1_000_000);

fn local() -> Vec<IpAddr> {
    ["10.0.0.2", "fd00::2"].map(|address| address.parse().unwrap()).to_vec()
}

fn rule(name: &str, action: Action) -> Rule {
    Rule {
        name: name.into(),
        action,
        direction: Direction::Inbound,
        remote: Whom::Any,
        carrying: Carrying::TcpAndUdp,
        ports: Vec::new(),
        to: To::Ourselves,
        rate: None,
        log: false,
    }
}

fn firewall(rules: impl IntoIterator<Item = Rule>) -> Firewall {
    Firewall::new(rules.into_iter().collect(), BTreeSet::from([FRIEND]))
}

fn info(source: &str, destination: &str, protocol: u8, payload: &[u8]) -> PacketInfo {
    PacketInfo::parse(&ip(source, destination, protocol, payload)).unwrap()
}

fn tcp_to(port: u16, flags: u8) -> PacketInfo {
    info("10.0.0.1", "10.0.0.2", TCP, &tcp(4000, port, flags))
}

fn udp_to(destination: &str, port: u16) -> PacketInfo {
    let source = if destination.contains(':') { "fd00::1" } else { "10.0.0.1" };
    info(source, destination, UDP, &udp(4000, port, b"data"))
}

/// Asks as the flow table does.
fn ask(firewall: &mut Firewall, info: &PacketInfo, remote: Address) -> Result<(), GatewayDrop> {
    ask_at(firewall, info, Direction::Inbound, remote, NOW).map(|_| ()).map_err(|denied| denied.reason)
}

fn ask_at(
    firewall: &mut Firewall,
    info: &PacketInfo,
    direction: Direction,
    remote: Address,
    now: Timestamp,
) -> Result<(Option<RuleId>, bool), Denied> {
    let rule = firewall.judge(info, direction, &remote, &local(), now)?;
    Ok((rule, rule.map_or(Ok(false), |rule| firewall.admit(rule, now))?))
}

fn counts(firewall: &Firewall) -> Vec<(u64, u64, u64)> {
    firewall.status().map(|row| (row.counts.accepted, row.counts.denied, row.counts.limited)).collect()
}

#[test]
fn without_rules_only_pings_come_in_and_everything_goes_out() {
    let mut none = Firewall::default();
    assert_eq!(ask(&mut none, &tcp_to(22, SYN), FRIEND), Err(GatewayDrop::InboundConnection));
    assert_eq!(ask(&mut none, &udp_to("10.0.0.2", 53), FRIEND), Err(GatewayDrop::NoFlow));
    assert_eq!(ask(&mut none, &info("10.0.0.1", "10.0.0.2", ICMP, &echo(8, 1)), STRANGER), Ok(()));
    assert_eq!(ask(&mut none, &info("fd00::1", "fd00::2", ICMPV6, &echo(128, 1)), STRANGER), Ok(()));
    let behind_us = info("10.0.0.1", "10.0.0.3", ICMP, &echo(8, 1));
    assert_eq!(ask(&mut none, &behind_us, FRIEND), Err(GatewayDrop::NoFlow));
    for packet in [tcp_to(22, SYN), tcp_to(22, ACK), udp_to("10.0.0.9", 1), behind_us] {
        assert_eq!(ask_at(&mut none, &packet, Direction::Outbound, STRANGER, NOW), Ok((None, false)));
    }
}

#[test]
fn a_rule_names_who_and_which_ports() {
    let ports = vec![22..=22, 8000..=8099];
    let mut rules = firewall([Rule {
        ports,
        remote: Whom::Configured,
        carrying: Carrying::Tcp,
        ..rule("r", Action::Accept)
    }]);
    for (port, accepted) in
        [(22, true), (23, false), (7999, false), (8000, true), (8099, true), (8100, false)]
    {
        assert_eq!(ask(&mut rules, &tcp_to(port, SYN), FRIEND).is_ok(), accepted, "port {port}");
        assert!(ask(&mut rules, &tcp_to(port, SYN), STRANGER).is_err(), "port {port}");
        assert!(ask(&mut rules, &udp_to("10.0.0.2", port), FRIEND).is_err(), "port {port}");
    }
    let mut one = firewall([Rule { remote: Whom::Remote(STRANGER), ..rule("r", Action::Accept) }]);
    assert!(ask(&mut one, &tcp_to(1, SYN), STRANGER).is_ok());
    assert!(ask(&mut one, &udp_to("fd00::2", 65_535), STRANGER).is_ok());
    assert!(ask(&mut one, &tcp_to(1, SYN), FRIEND).is_err());
}

#[test]
fn a_rule_names_protocols() {
    let packets = [
        tcp_to(22, SYN),
        udp_to("fd00::2", 53),
        info("10.0.0.1", "10.0.0.2", ICMP, &echo(8, 1)),
        info("fd00::1", "fd00::2", ICMPV6, &echo(128, 1)),
        info("10.0.0.1", "10.0.0.2", 47, &[0; 8]),
    ];
    for (carrying, denied) in [
        (Carrying::TcpAndUdp, [true, true, false, false, false]),
        (Carrying::Tcp, [true, false, false, false, false]),
        (Carrying::Udp, [false, true, false, false, false]),
        (Carrying::Icmp, [false, false, true, true, false]),
        (Carrying::Number(47), [false, false, false, false, true]),
        (Carrying::Number(58), [false, false, false, true, false]),
        (Carrying::All, [true; 5]),
    ] {
        let mut rules = firewall([Rule { carrying, ..rule("r", Action::Deny) }]);
        let by_rule = packets.map(|packet| ask(&mut rules, &packet, FRIEND) == Err(GatewayDrop::RuleDenied));
        assert_eq!(by_rule, denied, "{carrying:?}");
    }
}

#[test]
fn a_rule_names_destinations() {
    let to = |to| Rule { to, ..rule("r", Action::Accept) };
    let prefixes = |texts: &[&str]| To::Prefixes(texts.iter().map(|text| text.parse().unwrap()).collect());
    for (rule, open) in [
        (to(To::Ourselves), [true, true, false, false]),
        (to(prefixes(&["192.168.7.0/24"])), [false, false, true, false]),
        (to(prefixes(&["0.0.0.0/0"])), [true, false, true, true]),
        (to(prefixes(&["0.0.0.0/0", "::/0"])), [true; 4]),
    ] {
        let mut rules = firewall([rule]);
        let found = ["10.0.0.2", "fd00::2", "192.168.7.9", "192.0.2.1"]
            .map(|destination| ask(&mut rules, &udp_to(destination, 53), FRIEND).is_ok());
        assert_eq!(found, open);
    }
}

#[test]
fn the_first_rule_that_matches_decides_and_counts() {
    let mut rules = firewall([
        Rule { ports: vec![25..=25], ..rule("no mail", Action::Deny) },
        Rule { remote: Whom::Configured, ..rule("friends", Action::Accept) },
        rule("nobody else", Action::Deny),
    ]);
    assert_eq!(ask(&mut rules, &tcp_to(25, SYN), FRIEND), Err(GatewayDrop::RuleDenied));
    assert_eq!(ask(&mut rules, &tcp_to(26, SYN), FRIEND), Ok(()));
    assert_eq!(ask(&mut rules, &tcp_to(26, SYN), STRANGER), Err(GatewayDrop::RuleDenied));
    assert_eq!(ask(&mut rules, &tcp_to(26, SYN), STRANGER), Err(GatewayDrop::RuleDenied));
    assert_eq!(counts(&rules), [(0, 1, 0), (1, 0, 0), (0, 2, 0)]);
}

#[test]
fn rules_about_one_direction_say_nothing_of_the_other() {
    let out = Rule { direction: Direction::Outbound, to: To::Anywhere, ..rule("out", Action::Deny) };
    let mut rules = firewall([out, rule("in", Action::Accept)]);
    assert_eq!(ask(&mut rules, &tcp_to(22, SYN), FRIEND), Ok(()));
    let denied = ask_at(&mut rules, &tcp_to(22, SYN), Direction::Outbound, FRIEND, NOW).unwrap_err();
    assert_eq!((denied.reason, denied.rule, denied.log), (GatewayDrop::RuleDenied, Some(RuleId(0)), false));
    assert_eq!(rules.name(RuleId(0)).map(AsRef::as_ref), Some("out"));
}

#[test]
fn what_opens_nothing_asks_no_rule() {
    let mut rules = firewall([Rule { carrying: Carrying::All, ..rule("r", Action::Accept) }]);
    for flags in [ACK, SYN | ACK, RST, FIN] {
        assert_eq!(ask(&mut rules, &tcp_to(22, flags), FRIEND), Err(GatewayDrop::NoFlow), "flags {flags:#x}");
    }
    let reply = info("10.0.0.1", "10.0.0.2", ICMP, &echo(0, 1));
    assert_eq!(ask(&mut rules, &reply, FRIEND), Err(GatewayDrop::NoFlow));
    assert_eq!(counts(&rules), [(0, 0, 0)]);
}

#[test]
fn a_rate_is_kept_and_what_exceeds_it_is_counted() {
    let rate = Some(FlowRate { flows: 100, per: Duration::from_secs(60), burst: 3 });
    let mut rules = firewall([Rule { rate, ..rule("r", Action::Accept) }, rule("next", Action::Accept)]);
    let mut tries = |now: Timestamp| {
        let packet = tcp_to(22, SYN);
        let results = (0..5).map(|_| ask_at(&mut rules, &packet, Direction::Inbound, FRIEND, now));
        results.filter(|result| result.map_err(|denied| denied.reason) != Err(GatewayDrop::RuleRate)).count()
    };
    assert_eq!(tries(NOW), 3);
    assert_eq!(tries(NOW + Duration::from_millis(1200)), 2);
    assert_eq!(counts(&rules), [(5, 0, 5), (0, 0, 0)], "no later rule takes what is too much");
}

#[test]
fn counts_and_buckets_outlive_a_reload_by_name() {
    let limited = |name: &str, burst| {
        let rate = Some(FlowRate { flows: 1, per: Duration::from_secs(60), burst });
        Rule { rate, ..rule(name, Action::Accept) }
    };
    let mut before = firewall([rule("gone", Action::Deny), limited("kept", 1)]);
    before.entries[0].rule.ports = vec![1..=1];
    assert!(ask(&mut before, &tcp_to(1, SYN), FRIEND).is_err());
    assert!(ask(&mut before, &tcp_to(2, SYN), FRIEND).is_ok());
    for (rule, again) in [(limited("kept", 1), false), (limited("kept", 2), true), (limited("new", 1), true)]
    {
        let mut after = firewall([rule]);
        after.inherit(&before);
        let kept = u64::from(&*after.entries[0].rule.name == "kept");
        assert_eq!(counts(&after), [(kept, 0, 0)]);
        assert_eq!(ask(&mut after, &tcp_to(2, SYN), FRIEND).is_ok(), again);
    }
}

#[test]
fn a_flood_does_not_fill_the_log() {
    let mut rules = firewall([Rule { log: true, ..rule("r", Action::Deny) }, rule("quiet", Action::Accept)]);
    let mut lines = |now: Timestamp| {
        let packet = tcp_to(22, SYN);
        let denials =
            (0..1000).map(|_| ask_at(&mut rules, &packet, Direction::Inbound, FRIEND, now).unwrap_err());
        denials.filter(|denied| denied.log).count()
    };
    assert_eq!(lines(NOW), 50);
    assert_eq!(lines(NOW + Duration::from_secs(1)), 10);
    assert_eq!(rules.unlogged(), 1940);
    let mut after = firewall([Rule { log: true, ..rule("r", Action::Accept) }]);
    after.inherit(&rules);
    let (id, log) =
        ask_at(&mut after, &tcp_to(22, SYN), Direction::Inbound, FRIEND, NOW + Duration::from_secs(2))
            .unwrap();
    assert_eq!((id, log), (Some(RuleId(0)), true), "what is accepted is logged too");
    assert_eq!(after.unlogged(), 1940);
}

#[test]
fn rules_have_a_limit() {
    let numbered = |port| Rule { ports: vec![port..=port], ..rule(&port.to_string(), Action::Accept) };
    let last = u16::try_from(MAX_RULES).unwrap();
    let mut rules = firewall((1..=last + 1).map(numbered));
    assert!(ask(&mut rules, &tcp_to(last, SYN), FRIEND).is_ok());
    assert!(ask(&mut rules, &tcp_to(last + 1, SYN), FRIEND).is_err());
}

fn some_rule() -> impl Strategy<Value = Rule> {
    let whom = prop_oneof![Just(Whom::Any), Just(Whom::Configured), Just(Whom::Remote(STRANGER))];
    let carrying = prop_oneof![
        Just(Carrying::TcpAndUdp),
        Just(Carrying::Tcp),
        Just(Carrying::Udp),
        Just(Carrying::Icmp),
        Just(Carrying::Number(47)),
        Just(Carrying::All),
    ];
    let to = prop_oneof![
        Just(To::Anywhere),
        Just(To::Ourselves),
        Just(To::Prefixes(vec!["10.0.0.0/30".parse().unwrap()])),
        Just(To::Prefixes(vec!["192.168.0.0/16".parse().unwrap(), "10.0.0.2/32".parse().unwrap()])),
    ];
    let ports =
        prop::collection::vec((0_u16..5, 0_u16..3).prop_map(|(first, more)| first..=first + more), 0..3);
    (any::<(bool, bool)>(), whom, carrying, ports, to).prop_map(
        |((accept, inbound), remote, carrying, ports, to)| Rule {
            action: if accept { Action::Accept } else { Action::Deny },
            direction: if inbound { Direction::Inbound } else { Direction::Outbound },
            remote,
            carrying,
            ports,
            to,
            ..rule("some", Action::Deny)
        },
    )
}

/// A packet by the facts that rules are about: protocol, destination port, destination, remote, direction.
type Facts = (u8, u16, &'static str, Address, Direction);

fn facts() -> impl Strategy<Value = Facts> {
    (
        prop::sample::select(vec![TCP, UDP, ICMP, 47]),
        0_u16..7,
        prop::sample::select(vec!["10.0.0.2", "10.0.0.3", "192.168.1.1", "172.16.0.1"]),
        prop::sample::select(vec![FRIEND, STRANGER, Address::from_bytes([3; 32])]),
        prop::sample::select(vec![Direction::Inbound, Direction::Outbound]),
    )
}

fn packet((protocol, port, destination, _, _): Facts) -> PacketInfo {
    let payload = match protocol {
        TCP => tcp(4000, port, SYN),
        UDP => udp(4000, port, b""),
        ICMP => echo(8, 9),
        _ => vec![0; 4],
    };
    info("10.9.9.9", destination, protocol, &payload)
}

/// The firewall once more, as one would explain it.
fn model(rules: &[Rule], (protocol, port, destination, remote, direction): Facts) -> bool {
    let ours = destination == "10.0.0.2";
    for rule in rules {
        let who = match rule.remote {
            Whom::Any => true,
            Whom::Configured => remote == FRIEND,
            Whom::Remote(address) => remote == address,
        };
        let what = match rule.carrying {
            Carrying::TcpAndUdp => [TCP, UDP].contains(&protocol),
            Carrying::Tcp => protocol == TCP,
            Carrying::Udp => protocol == UDP,
            Carrying::Icmp => protocol == ICMP,
            Carrying::Number(number) => protocol == number,
            Carrying::All => true,
        };
        let has_ports = [TCP, UDP].contains(&protocol);
        let ports = rule.ports.is_empty()
            || has_ports && rule.ports.iter().any(|range| *range.start() <= port && port <= *range.end());
        let place = match &rule.to {
            To::Anywhere => true,
            To::Ourselves => ours,
            To::Prefixes(prefixes) => {
                prefixes.iter().any(|net| net.contains(&destination.parse::<IpAddr>().unwrap()))
            }
        };
        if rule.direction == direction && who && what && ports && place {
            return rule.action == Action::Accept;
        }
    }
    direction == Direction::Outbound || ours && protocol == ICMP
}

proptest! {
    #[test]
    fn the_firewall_agrees_with_a_plain_model(
        rules in prop::collection::vec(some_rule(), 0..6),
        packets in prop::collection::vec(facts(), 1..20),
    ) {
        let mut firewall = firewall(rules.clone());
        for facts in packets {
            let (_, _, _, remote, direction) = facts;
            let verdict = ask_at(&mut firewall, &packet(facts), direction, remote, NOW);
            prop_assert_eq!(verdict.is_ok(), model(&rules, facts), "{:?}", facts);
        }
    }
}
