// SPDX-License-Identifier: AGPL-3.0-or-later
//! One layer of configuration as a tree whose every node knows where it was set, and the laying of one layer over
//! another: tables merge key by key, everything else replaces.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Place};

/// A value and where it was set; an entry of a table stands where its key stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What TOML can say, as far as a key of ours can use it.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Flag(bool),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
    /// A float, a date or an integer out of range, as written: no key takes one.
    Other(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::List(_) => f.write_str("a list"),
            Self::Table(_) => f.write_str("a table"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl Node {
    /// A layer from the text of a file; `source` names it in errors.
    pub(super) fn from_file(source: &str, text: &str) -> Result<Self, ConfigError> {
        let reader = Reader { source: source.into(), text: Some(text) };
        match DeTable::parse(text) {
            Ok(table) => Ok(Self {
                place: Place { source: reader.source.clone(), line: None },
                value: reader.table(table.get_ref()),
            }),
            Err(error) => Err(reader.syntax(&error)),
        }
    }

    /// A layer from one `-s KEY=VALUE`.
    ///
    /// The value is TOML, or else a bare word that stands for itself. No key of ours has a dot in its name, so a dot
    /// separates inside quotes too: `"tun.mtu"=1400` is `tun.mtu=1400`.
    pub(super) fn from_assignment(argument: &str) -> Result<Self, ConfigError> {
        let wrong = || ConfigError::Assignment(argument.to_owned());
        let (key, text) = argument.split_once('=').ok_or_else(wrong)?;
        let reader = Reader { source: format!("-s {argument}").into(), text: None };
        let text = text.trim();
        let value = match DeValue::parse(text) {
            Ok(value) => reader.value(value.get_ref()),
            Err(_) => Value::Text(text.to_owned()),
        };
        let place = Place { source: reader.source, line: None };
        let keys: Vec<String> =
            key.split('.').map(|part| part.trim().trim_matches(['"', '\'']).trim().to_owned()).collect();
        if keys.iter().any(String::is_empty) {
            return Err(wrong());
        }
        let leaf = Self { place: place.clone(), value };
        Ok(keys.into_iter().rev().fold(leaf, |node, key| Self {
            place: place.clone(),
            value: Value::Table(BTreeMap::from([(key, node)])),
        }))
    }

    /// Lays `upper` over this layer.
    pub(super) fn overlay(&mut self, upper: Self) {
        match (&mut self.value, upper.value) {
            (Value::Table(below), Value::Table(above)) => {
                for (key, node) in above {
                    match below.get_mut(&key) {
                        Some(existing) => existing.overlay(node),
                        None => drop(below.insert(key, node)),
                    }
                }
            }
            (below, above) => {
                *below = above;
                self.place = upper.place;
            }
        }
    }
}

/// Turns spans of one text into places.
struct Reader<'a> {
    source: Arc<str>,
    text: Option<&'a str>,
}

impl Reader<'_> {
    fn place(&self, offset: usize) -> Place {
        let before =
            |text: &str| text.as_bytes()[..offset.min(text.len())].iter().filter(|b| **b == b'\n').count();
        Place { source: self.source.clone(), line: self.text.map(|text| before(text) + 1) }
    }

    fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let place = self.place(error.span().map_or(0, |span| span.start));
        ConfigError::Syntax { place, message: error.message().to_owned() }
    }

    fn table(&self, table: &DeTable<'_>) -> Value {
        let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let node = Node { place: self.place(key.span().start), value: self.value(value.get_ref()) };
            (AsRef::<str>::as_ref(key.get_ref()).to_owned(), node)
        };
        Value::Table(table.iter().map(entry).collect())
    }

    fn value(&self, value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Value::Other(number.to_string()), Value::Integer),
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::Float(number) => Value::Other(number.to_string()),
            DeValue::Datetime(date) => Value::Other(date.to_string()),
            DeValue::Array(items) => Value::List(
                items
                    .iter()
                    .map(|item| Node {
                        place: self.place(item.span().start),
                        value: self.value(item.get_ref()),
                    })
                    .collect(),
            ),
            DeValue::Table(table) => self.table(table),
        }
    }
}
