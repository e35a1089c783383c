// SPDX-License-Identifier: AGPL-3.0-or-later
//! `[forward]`: which networks the host connects with the mesh.

use super::error::ConfigError;
use super::layer::Value;
use super::section::{Form, Limit, Section};
use super::value::FLAG;
use crate::host::{Forward, is_plain};

/// Each has its sysctls; who has more bridges them.
const INTERFACES: Limit = Limit { most: 64, expected: "at most 64 interfaces" };

const INTERFACE: Form<String> = Form {
    expected: "an interface name of 1 to 15 letters, digits, '-', '_' and '.'",
    parse: |value| match value {
        Value::Text(name) if is_plain(name) => Some(name.clone()),
        Value::Text(_)
        | Value::Integer(_)
        | Value::Flag(_)
        | Value::List(_)
        | Value::Table(_)
        | Value::Other(_) => None,
    },
};

/// Reads `[forward]`.
pub(super) fn parse(forward: &mut Section<'_>) -> Result<Forward, ConfigError> {
    Ok(Forward {
        interfaces: forward.get_list("interfaces", INTERFACES, &INTERFACE)?,
        exit_interfaces: forward.get_list("exit_interfaces", INTERFACES, &INTERFACE)?,
        nat: forward.get("nat", &FLAG)?,
        exit_nat: forward.get("exit_nat", &FLAG)?,
    })
}
