// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whether one match of a rule holds for a packet of which not everything is known: yes, no, or maybe.

use std::fmt;

use serde_json::Value;

/// What has to pass; it opens a connection or a flow. Neither its addresses are known, nor what else is not said here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// TCP to a port of this host, by any interface but the loopback.
    Connection {
        /// The port.
        port: u16,
    },
    /// Anything from one interface to another.
    Forwarded {
        /// Where it comes in.
        from: String,
        /// Where it leaves.
        to: String,
    },
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection { port } => write!(f, "connections to TCP port {port}"),
            Self::Forwarded { from, to } => write!(f, "what is forwarded from {from} to {to}"),
        }
    }
}

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// That depends on what is not known.
    Maybe,
}

impl Truth {
    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
        }
    }

    /// Of all parts of a rule.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            (Self::Maybe, _) | (_, Self::Maybe) => Self::Maybe,
        }
    }

    /// Of several values.
    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// What is known of a field of a packet.
#[derive(Clone, Copy)]
enum Known<'a> {
    Text(&'a str),
    Number(u64),
    /// Any text but this one.
    NotText(&'a str),
    /// The packet has no such field, so that no match about it holds.
    Absent,
    Nothing,
}

/// Whether a `match` of libnftables-json(5) holds, and whether it names what is special about the packet: its port or its
/// interfaces.
pub(super) fn holds(expression: &Value, packet: &Packet) -> (Truth, bool) {
    let left = &expression["left"];
    let known = field(left, packet);
    if matches!(known, Known::Absent) {
        return (Truth::No, false);
    }
    let special = match packet {
        Packet::Connection { .. } => matches!(known, Known::Number(_)),
        Packet::Forwarded { .. } => matches!(known, Known::Text(_)) && left["meta"].is_object(),
    };
    let among = is_among(known, &expression["right"]);
    match expression["op"].as_str() {
        Some("==" | "in") => (among, special && among == Truth::Yes),
        Some("!=") => (among.not(), false),
        Some(_) | None => (Truth::Maybe, false),
    }
}

/// Whether a field of the packet is this key of a map.
pub(super) fn is_key(field_of_map: &Value, key: &Value, packet: &Packet) -> Truth {
    let known = field(field_of_map, packet);
    if matches!(known, Known::Absent) { Truth::No } else { is_among(known, key) }
}

fn field<'a>(left: &Value, packet: &'a Packet) -> Known<'a> {
    if left["ct"]["key"] == "state" {
        return Known::Text("new");
    }
    let meta = left["meta"]["key"].as_str();
    match packet {
        Packet::Connection { port } => match meta {
            Some("iifname" | "iif") => Known::NotText("lo"),
            Some("oifname" | "oif") => Known::Absent,
            Some("l4proto") => Known::Text("tcp"),
            Some(_) => Known::Nothing,
            None => of_tcp(&left["payload"], *port),
        },
        Packet::Forwarded { from, to } => match meta {
            Some("iifname" | "iif") => Known::Text(from),
            Some("oifname" | "oif") => Known::Text(to),
            Some(_) | None => Known::Nothing,
        },
    }
}

/// What is known of the headers of a TCP segment to a port.
fn of_tcp(payload: &Value, port: u16) -> Known<'static> {
    match (payload["protocol"].as_str(), payload["field"].as_str()) {
        (Some("tcp" | "th"), Some("dport")) => Known::Number(port.into()),
        (Some("ip"), Some("protocol")) | (Some("ip6"), Some("nexthdr")) => Known::Text("tcp"),
        (Some("udp" | "udplite" | "icmp" | "icmpv6" | "sctp" | "dccp" | "esp" | "ah"), _) => Known::Absent,
        (Some(_) | None, _) => Known::Nothing,
    }
}

/// Whether what is known is one of the values on a right side.
fn is_among(known: Known<'_>, right: &Value) -> Truth {
    let any = |values: &[Value]| values.iter().map(|value| is_among(known, value)).fold(Truth::No, Truth::or);
    match right {
        Value::Array(values) => any(values),
        Value::Object(object) => match (object.get("set"), object.get("range"), object.get("elem")) {
            (Some(Value::Array(values)), _, _) => any(values),
            (_, Some(range), _) => is_within(known, range),
            (_, _, Some(element)) => is_among(known, &element["val"]),
            (_, None, None) => Truth::Maybe,
        },
        Value::String(text) => is_text(known, text),
        Value::Number(number) => match (known, number.as_u64()) {
            (Known::Number(known), Some(number)) => (known == number).into(),
            // Protocols may stand there by number: TCP is 6.
            (Known::Text("tcp"), Some(number)) => (number == 6).into(),
            _ => Truth::Maybe,
        },
        Value::Null | Value::Bool(_) => Truth::Maybe,
    }
}

fn is_within(known: Known<'_>, range: &Value) -> Truth {
    match (known, range[0].as_u64(), range[1].as_u64()) {
        (Known::Number(number), Some(first), Some(last)) => (first..=last).contains(&number).into(),
        _ => Truth::Maybe,
    }
}

fn is_text(known: Known<'_>, text: &str) -> Truth {
    match known {
        // A named set, whose content stands elsewhere.
        _ if text.starts_with('@') => Truth::Maybe,
        Known::Text(known) => match text.strip_suffix('*') {
            Some(start) => known.starts_with(start).into(),
            None => (known == text).into(),
        },
        Known::NotText(excluded) if text == excluded => Truth::No,
        Known::NotText(_) | Known::Number(_) | Known::Nothing | Known::Absent => Truth::Maybe,
    }
}
