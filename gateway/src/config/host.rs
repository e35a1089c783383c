// SPDX-License-Identifier: AGPL-3.0-or-later
//! `[host]`: how the gateway finds its place among the routes and rules of its host.

use super::error::ConfigError;
use super::layer::Value;
use super::section::{Form, Section};

/// `[host]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostConfig {
    /// The number of our routing table; default 26994.
    pub table: u32,
    /// The priority of the rules that look it up, 1–32765; default 26994.
    pub priority: u32,
    /// The mark of our own sockets, never 0; default 0x69726465.
    pub mark: u32,
    /// What becomes of one family where all of the other goes into the mesh; default [`OtherFamily::Unreachable`].
    pub other_family: OtherFamily,
}

/// What becomes of IPv6 where all of IPv4 goes into the mesh alone, or the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtherFamily {
    /// It reaches the host's own networks and nothing else, so that nothing leaves by the wrong way.
    Unreachable,
    /// It leaves as if there were no mesh.
    Direct,
}

const TABLE: Form<u32> = Form {
    expected: "the number of a routing table of its own, from 1 to 4294967295 without 253 to 255",
    parse: |value| number(value).filter(|table| !(253..=255).contains(table)),
};

const PRIORITY: Form<u32> = Form {
    expected: "an integer from 1 to 32765",
    // The main table is looked up at 32766.
    parse: |value| number(value).filter(|priority| *priority < 32766),
};

const MARK: Form<u32> = Form { expected: "an integer from 1 to 4294967295", parse: number };

const OTHER_FAMILY: Form<OtherFamily> = Form {
    expected: "\"unreachable\" or \"direct\"",
    parse: |value| match value {
        Value::Text(text) if text == "unreachable" => Some(OtherFamily::Unreachable),
        Value::Text(text) if text == "direct" => Some(OtherFamily::Direct),
        Value::Text(_)
        | Value::Integer(_)
        | Value::Flag(_)
        | Value::List(_)
        | Value::Table(_)
        | Value::Other(_) => None,
    },
};

fn number(value: &Value) -> Option<u32> {
    let Value::Integer(number) = value else { return None };
    u32::try_from(*number).ok().filter(|number| *number > 0)
}

impl HostConfig {
    pub(super) fn parse(host: &mut Section<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            table: host.get("table", &TABLE)?,
            priority: host.get("priority", &PRIORITY)?,
            mark: host.get("mark", &MARK)?,
            other_family: host.get("other_family", &OTHER_FAMILY)?,
        })
    }
}
