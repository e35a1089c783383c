// SPDX-License-Identifier: AGPL-3.0-or-later
//! `[firewall]`: who in the mesh may open connections to this side.

use core::ops::RangeInclusive;

use gateway_core::firewall::{Action, Carrying, MAX_RULES, Rule, To, Whom};
use gateway_core::packet::Direction;

use super::error::ConfigError;
use super::layer::{Node, Value};
use super::only;
use super::section::{Form, Limit, Section};

/// As many as the rules that count.
pub(super) const RULES: Limit = Limit { most: MAX_RULES, expected: "at most 256 rules" };
/// A rule that names more is better written as ranges.
const PORTS: Limit = Limit { most: 64, expected: "at most 64 ports or ranges" };

const FROM: Form<Whom> = Form {
    expected: "\"any\", \"configured\" or the address of a remote",
    parse: |value| match text(value)? {
        "any" => Some(Whom::Any),
        "configured" => Some(Whom::Configured),
        address => address.parse().ok().map(Whom::Remote),
    },
};

const PROTOCOL: Form<Carrying> = Form {
    expected: "\"tcp\" or \"udp\"",
    parse: |value| match text(value)? {
        "tcp" => Some(Carrying::Tcp),
        "udp" => Some(Carrying::Udp),
        _ => None,
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

fn text(value: &Value) -> Option<&str> {
    if let Value::Text(text) = value { Some(text) } else { None }
}

/// Reads one rule; without `protocol` it is for TCP and UDP, without `ports` for all of them.
pub(super) fn rule(name: String, node: &Node) -> Result<Rule, ConfigError> {
    let label = name.as_str().into();
    only(Section::open(name, node)?, |rule| {
        Ok(Rule {
            name: label,
            action: Action::Accept,
            direction: Direction::Inbound,
            remote: rule.get("from", &FROM)?,
            carrying: rule.get_optional("protocol", &PROTOCOL)?.unwrap_or(Carrying::TcpAndUdp),
            ports: rule.get_list_or_none("ports", PORTS, &PORT)?,
            to: To::Ourselves,
            rate: None,
            log: false,
        })
    })
}
