// SPDX-License-Identifier: AGPL-3.0-or-later
//! `[contacts]`: names for remotes, to be used wherever the address of one is expected.

use std::collections::BTreeMap;

use gateway_core::firewall::Whom;
use ratman_types::Address;

use super::error::ConfigError;
use super::layer::{Node, Value};
use super::section::Form;
use super::value::{REMOTE, text};

/// More names than there can be sessions are a mistake of whatever wrote them.
pub const MAX_CONTACTS: usize = 4096;

/// The longest name.
const NAME_LIMIT: usize = 63;

/// The table of names.
#[derive(Debug, Default)]
pub(super) struct Contacts(BTreeMap<String, Address>);

impl Contacts {
    /// What [`remote`](Self::remote) expects.
    pub(super) const EXPECTED_REMOTE: &'static str =
        "the address of a remote, 16 groups of 4 hexadecimal digits joined by '-', or a name from [contacts]";

    /// What [`whom`](Self::whom) expects.
    pub(super) const EXPECTED_WHOM: &'static str =
        "\"any\", \"configured\", the address of a remote or a name from [contacts]";

    /// Reads the table.
    pub(super) fn parse(key: &str, node: &Node) -> Result<Self, ConfigError> {
        let refuse = |node: &Node, key: String, expected, got: String| {
            Err(ConfigError::Value { place: node.place.clone(), key, expected, got })
        };
        let Value::Table(table) = &node.value else {
            return refuse(node, key.to_owned(), "a table", node.value.to_string());
        };
        if table.len() > MAX_CONTACTS {
            return refuse(node, key.to_owned(), "at most 4096 contacts", table.len().to_string());
        }
        let mut contacts = BTreeMap::new();
        for (name, node) in table {
            let key = format!("{key}.{name}");
            if !is_contact_name(name) {
                let expected =
                    "a name of 1 to 63 letters, digits, '-' and '_', not \"any\", \"configured\" or \"self\"";
                return refuse(node, key, expected, format!("{name:?}"));
            }
            contacts.insert(name.clone(), REMOTE.read(&key, node)?);
        }
        Ok(Self(contacts))
    }

    /// The names with their addresses.
    pub(super) fn into_names(self) -> BTreeMap<String, Address> {
        self.0
    }

    /// A remote by its address or its name.
    pub(super) fn remote(&self, key: &str, node: &Node) -> Result<Address, ConfigError> {
        self.find(&node.value).ok_or_else(|| wrong(key, node, Self::EXPECTED_REMOTE))
    }

    /// Remotes by address, name, or all of a kind.
    pub(super) fn whom(&self, key: &str, node: &Node) -> Result<Whom, ConfigError> {
        match text(&node.value) {
            Some("any") => Ok(Whom::Any),
            Some("configured") => Ok(Whom::Configured),
            Some(_) | None => {
                self.find(&node.value).map(Whom::Remote).ok_or_else(|| wrong(key, node, Self::EXPECTED_WHOM))
            }
        }
    }

    fn find(&self, value: &Value) -> Option<Address> {
        let Form { parse, .. } = REMOTE;
        self.0.get(text(value)?).copied().or_else(|| parse(value))
    }
}

fn wrong(key: &str, node: &Node, expected: &'static str) -> ConfigError {
    ConfigError::Value {
        place: node.place.clone(),
        key: key.to_owned(),
        expected,
        got: node.value.to_string(),
    }
}

/// Whether a contact can be called so: 1 to 63 letters, digits, `-` and `_`, and no word that stands for several remotes.
pub(crate) fn is_contact_name(name: &str) -> bool {
    (1..=NAME_LIMIT).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && !["any", "configured", "self"].contains(&name)
}
