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
        let reader = Reader { source: source.into(), line_ends: Some(line_ends(text)) };
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
        let reader = Reader { source: format!("-s {argument}").into(), line_ends: None };
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
struct Reader {
    source: Arc<str>,
    /// Where the lines end, in ascending order; nothing where lines mean nothing.
    line_ends: Option<Vec<usize>>,
}

fn line_ends(text: &str) -> Vec<usize> {
    text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect()
}

impl Reader {
    fn place(&self, offset: usize) -> Place {
        let line = self.line_ends.as_ref().map(|ends| ends.partition_point(|end| *end < offset) + 1);
        Place { source: self.source.clone(), line }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Counting the lines before each key anew would take minutes here.
    #[test]
    fn every_key_of_a_file_of_a_mebibyte_has_its_line() {
        let text: String = (1..=100_000).map(|line| format!("k{line} = 1\n")).collect();
        let Value::Table(table) = Node::from_file("long", &text).unwrap().value else { panic!("a table") };
        for (key, node) in table {
            assert_eq!(key, format!("k{}", node.place.line.unwrap()));
        }
    }

    #[test]
    fn a_key_after_the_last_line_end_and_an_error_there_have_their_line() {
        let Value::Table(table) = Node::from_file("short", "\n\na = 1").unwrap().value else {
            panic!("a table")
        };
        assert_eq!(table["a"].place.line, Some(3));
        let error = Node::from_file("short", "a = 1\nb").unwrap_err().to_string();
        assert!(error.starts_with("short:2: not TOML: "), "{error}");
    }
}
