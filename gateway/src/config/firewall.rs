// SPDX-License-Identifier: AGPL-3.0-or-later
//! `[firewall]`: who may open connections, which way and how often.

use core::ops::RangeInclusive;
use core::time::Duration;

use gateway_core::firewall::{Action, Carrying, FlowRate, MAX_RULES, Rule, To, Whom};
use gateway_core::packet::Direction;
use ipnet::IpNet;

use super::contacts::Contacts;
use super::error::ConfigError;
use super::layer::{Node, Value};
use super::only;
use super::section::{Form, Limit, Section};
use super::value::{FLAG, text};

const RULES: Limit =
    Limit { most: MAX_RULES, expected: "at most 256 rules, those of firewall.accept included" };
/// A rule that names more is better written as ranges.
const PORTS: Limit = Limit { most: 64, expected: "at most 64 ports or ranges" };
/// A rule about more is better written as several, or by longer prefixes.
const PREFIXES: Limit = Limit { most: 64, expected: "at most 64 prefixes" };
/// The longest name of a rule: it stands in every line of the log about it.
const NAME_LIMIT: usize = 64;

const NAME: Form<String> = Form {
    expected: "a name of 1 to 64 visible characters",
    parse: |value| {
        let name = text(value).filter(|name| (1..=NAME_LIMIT).contains(&name.len()))?;
        name.chars().all(|char| char == ' ' || char.is_ascii_graphic()).then(|| name.to_owned())
    },
};

const ACTION: Form<Action> = Form {
    expected: "\"accept\" or \"deny\"",
    parse: |value| match text(value)? {
        "accept" => Some(Action::Accept),
        "deny" => Some(Action::Deny),
        _ => None,
    },
};

const DIRECTION: Form<Direction> = Form {
    expected: "\"in\" or \"out\"",
    parse: |value| match text(value)? {
        "in" => Some(Direction::Inbound),
        "out" => Some(Direction::Outbound),
        _ => None,
    },
};

const PROTOCOL: Form<Carrying> = Form {
    expected: "\"tcp\", \"udp\", \"icmp\", \"all\" or a protocol number from 0 to 255",
    parse: |value| match value {
        Value::Integer(6) => Some(Carrying::Tcp),
        Value::Integer(17) => Some(Carrying::Udp),
        Value::Integer(number) => u8::try_from(*number).ok().map(Carrying::Number),
        Value::Text(name) => match name.as_str() {
            "tcp" => Some(Carrying::Tcp),
            "udp" => Some(Carrying::Udp),
            "icmp" => Some(Carrying::Icmp),
            "all" => Some(Carrying::All),
            _ => None,
        },
        Value::Flag(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => None,
    },
};

const PORT: Form<RangeInclusive<u16>> = Form {
    expected: "a port from 1 to 65535 or a range such as \"8000-8099\"",
    parse: |value| {
        let ports = match value {
            Value::Integer(port) => u16::try_from(*port).ok().map(|port| port..=port),
            Value::Text(range) => {
                range.split_once('-').and_then(|(first, last)| Some(first.parse().ok()?..=last.parse().ok()?))
            }
            Value::Flag(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => None,
        };
        ports.filter(|ports| *ports.start() > 0 && !ports.is_empty())
    },
};

const DESTINATION: Form<IpNet> = Form {
    expected: "an IP prefix without host bits, such as \"192.168.7.0/24\"",
    parse: |value| text(value)?.parse().ok().filter(|net: &IpNet| *net == net.trunc()),
};

const OURSELVES: Form<()> = Form {
    expected: "\"self\" or a list of prefixes, for \"out\" a list of prefixes",
    parse: |value| (text(value)? == "self").then_some(()),
};

const RATE: Form<(u32, Duration)> = Form {
    expected: "flows per time from 1 to 1000000, such as \"20/s\", \"100/min\" or \"500/h\"",
    parse: |value| {
        let (flows, unit) = text(value)?.split_once('/')?;
        let period = match unit {
            "s" => 1,
            "min" => 60,
            "h" => 3600,
            _ => return None,
        };
        let flows = flows.parse().ok().filter(|flows| (1..=1_000_000).contains(flows))?;
        Some((flows, Duration::from_secs(period)))
    },
};

const BURST: Form<u32> = Form {
    expected: "an integer from 1 to 1000000",
    parse: |value| match value {
        Value::Integer(flows) => u32::try_from(*flows).ok().filter(|flows| (1..=1_000_000).contains(flows)),
        Value::Text(_) | Value::Flag(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => None,
    },
};

/// Reads all rules: those of `rules` in their order, then those of `accept`.
pub(super) fn rules(firewall: &mut Section<'_>, contacts: &Contacts) -> Result<Vec<Rule>, ConfigError> {
    let mut rules = firewall.list("rules", RULES, |key, node| full_rule(key, node, contacts), Named::name)?;
    let limit = Limit { most: MAX_RULES.saturating_sub(rules.len()), ..RULES };
    rules.extend(firewall.list(
        "accept",
        limit,
        |key, node| short_rule(key, node, contacts),
        Named::facts,
    )?);
    Ok(rules.into_iter().map(|Named(rule)| rule).collect())
}

/// A rule, and what makes two of a list the same.
struct Named(Rule);

impl Named {
    fn name(&self) -> String {
        self.0.name.to_string()
    }

    fn facts(&self) -> Rule {
        Rule { name: "".into(), ..self.0.clone() }
    }
}

/// One of `rules`: its name is its number unless it has one of its own.
fn full_rule(key: String, node: &Node, contacts: &Contacts) -> Result<Named, ConfigError> {
    let number = number_of(&key);
    only(Section::open(key, node)?, |rule| {
        let name = rule.get_optional("name", &NAME)?.unwrap_or(number);
        let action = rule.get("action", &ACTION)?;
        let direction = rule.get_optional("direction", &DIRECTION)?.unwrap_or(Direction::Inbound);
        let remote = rule.read("remote", Contacts::EXPECTED_WHOM, |key, node| contacts.whom(key, node))?;
        let log = rule.get_optional("log", &FLAG)?.unwrap_or(false);
        parts(rule, Rule { log, ..blank(&name, action, direction, remote) })
    })
}

/// One of `accept`.
fn short_rule(key: String, node: &Node, contacts: &Contacts) -> Result<Named, ConfigError> {
    let name = format!("accept {}", number_of(&key));
    only(Section::open(key, node)?, |rule| {
        let remote = rule.read("from", Contacts::EXPECTED_WHOM, |key, node| contacts.whom(key, node))?;
        parts(rule, blank(&name, Action::Accept, Direction::Inbound, remote))
    })
}

/// The number of a list's element, counted from 1.
fn number_of(key: &str) -> String {
    let index = key.rsplit_once('[').and_then(|(_, index)| index.trim_end_matches(']').parse::<usize>().ok());
    (index.expect("a list numbers its elements") + 1).to_string()
}

fn blank(name: &str, action: Action, direction: Direction, remote: Whom) -> Rule {
    Rule {
        name: name.into(),
        action,
        direction,
        remote,
        carrying: Carrying::TcpAndUdp,
        ports: Vec::new(),
        to: To::Ourselves,
        rate: None,
        log: false,
    }
}

/// Reads what both kinds of rule have in common.
fn parts(section: &mut Section<'_>, mut rule: Rule) -> Result<Named, ConfigError> {
    rule.carrying = section.get_optional("protocol", &PROTOCOL)?.unwrap_or(Carrying::TcpAndUdp);
    rule.ports = section.get_list_or_none("ports", PORTS, &PORT)?;
    let has_ports = matches!(rule.carrying, Carrying::TcpAndUdp | Carrying::Tcp | Carrying::Udp);
    if !rule.ports.is_empty() && !has_ports {
        return Err(section.refuse("ports", "no ports with this protocol", "some"));
    }
    rule.to = destinations(section, rule.direction)?;
    rule.rate = rate(section)?;
    if rule.rate.is_some() && rule.action == Action::Deny {
        return Err(section.refuse("rate", "no rate with action \"deny\"", "one"));
    }
    Ok(Named(rule))
}

fn destinations(section: &mut Section<'_>, direction: Direction) -> Result<To, ConfigError> {
    let is_list = matches!(section.value("to"), Some(Value::List(_)));
    if is_list {
        return section.get_list("to", PREFIXES, &DESTINATION).map(To::Prefixes);
    }
    match (section.get_optional("to", &OURSELVES)?, direction) {
        (None | Some(()), Direction::Inbound) => Ok(To::Ourselves),
        (None, Direction::Outbound) => Ok(To::Anywhere),
        (Some(()), Direction::Outbound) => Err(section.refuse("to", OURSELVES.expected, "\"self\"")),
    }
}

/// Without `burst`, as many flows as the rate names may come at once.
fn rate(section: &mut Section<'_>) -> Result<Option<FlowRate>, ConfigError> {
    let rate = section.get_optional("rate", &RATE)?;
    let burst = section.get_optional("burst", &BURST)?;
    match (rate, burst) {
        (Some((flows, per)), burst) => Ok(Some(FlowRate { flows, per, burst: burst.unwrap_or(flows) })),
        (None, Some(burst)) => Err(section.refuse("burst", "a rate too", &burst.to_string())),
        (None, None) => Ok(None),
    }
}
