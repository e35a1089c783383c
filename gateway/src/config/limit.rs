// SPDX-License-Identifier: AGPL-3.0-or-later
//! `[[limit]]`: how much may go to and come from a remote.

use gateway_core::limits::{Limit, MAX_LIMITS};
use ratman_types::Bandwidth;

use super::contacts::Contacts;
use super::error::ConfigError;
use super::layer::Node;
use super::only;
use super::section::{self, Form, Section};
use super::value::text;

pub(super) const LIMITS: section::Limit = section::Limit { most: MAX_LIMITS, expected: "at most 256 limits" };

/// Slower, one super-packet would take more than a minute; faster is not measured.
const BANDWIDTH: Form<Bandwidth> = Form {
    expected: "a bandwidth from \"8 kbit/s\" to \"32 Gbit/s\", such as \"10 Mbit/s\"",
    parse: |value| {
        let (number, unit) = text(value)?.split_once(' ')?;
        let factor: u64 = match unit {
            "kbit/s" => 1_000,
            "Mbit/s" => 1_000_000,
            "Gbit/s" => 1_000_000_000,
            _ => return None,
        };
        let bits = number.parse::<u64>().ok()?.checked_mul(factor)?;
        let bytes = (8_000..=32_000_000_000).contains(&bits).then_some(bits / 8)?;
        u32::try_from(bytes).ok().map(Bandwidth::from_bytes_per_second)
    },
};

/// Reads one limit.
pub(super) fn limit(key: String, node: &Node, contacts: &Contacts) -> Result<Limit, ConfigError> {
    only(Section::open(key, node)?, |limit| {
        let remote = limit.read("remote", Contacts::EXPECTED_WHOM, |key, node| contacts.whom(key, node))?;
        let (up, down) = (limit.get_optional("up", &BANDWIDTH)?, limit.get_optional("down", &BANDWIDTH)?);
        if up.is_none() && down.is_none() {
            return Err(limit.refuse("up", "up or down", "neither"));
        }
        Ok(Limit { remote, up, down })
    })
}
