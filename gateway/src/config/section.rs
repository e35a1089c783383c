// SPDX-License-Identifier: AGPL-3.0-or-later
//! Reading one table of the merged layers: each key by the [`Form`] its value must have, and no key left over.

use std::collections::BTreeMap;

use super::error::{ConfigError, Place};
use super::layer::{Node, Value};

/// What a value must be: in words for the operator, and as a parser.
pub(super) struct Form<T> {
    pub(super) expected: &'static str,
    pub(super) parse: fn(&Value) -> Option<T>,
}

impl<T> Form<T> {
    pub(super) fn read(&self, key: &str, node: &Node) -> Result<T, ConfigError> {
        (self.parse)(&node.value).ok_or_else(|| ConfigError::Value {
            place: node.place.clone(),
            key: key.to_owned(),
            expected: self.expected,
            got: node.value.to_string(),
        })
    }
}

/// A table that is being read; [`Section::finish`] refuses the keys that nobody asked for.
pub(super) struct Section<'a> {
    path: String,
    place: &'a Place,
    table: &'a BTreeMap<String, Node>,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// `node` as a table; `path` is its full name, empty for the whole.
    pub(super) fn open(path: String, node: &'a Node) -> Result<Self, ConfigError> {
        if let Value::Table(table) = &node.value {
            return Ok(Self { path, place: &node.place, table, asked: Vec::new() });
        }
        let got = node.value.to_string();
        Err(ConfigError::Value { place: node.place.clone(), key: path, expected: "a table", got })
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn find(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.push(key);
        self.table.get(key)
    }

    fn need(&mut self, key: &'static str, expected: &'static str) -> Result<&'a Node, ConfigError> {
        let missing = ConfigError::Missing { place: self.place.clone(), key: self.full(key), expected };
        self.find(key).ok_or(missing)
    }

    /// A key that must be there, in a default if nowhere else.
    pub(super) fn get<T>(&mut self, key: &'static str, form: &Form<T>) -> Result<T, ConfigError> {
        let node = self.need(key, form.expected)?;
        form.read(&self.full(key), node)
    }

    /// A key that may be absent.
    pub(super) fn get_optional<T>(
        &mut self,
        key: &'static str,
        form: &Form<T>,
    ) -> Result<Option<T>, ConfigError> {
        let node = self.find(key);
        node.map(|node| form.read(&self.full(key), node)).transpose()
    }

    /// A key that must be there, as `read` reads it.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str, &'a Node) -> Result<T, ConfigError>,
    ) -> Result<T, ConfigError> {
        let node = self.need(key, expected)?;
        read(&self.full(key), node)
    }

    /// The value of a key that may be absent, for what depends on its kind.
    pub(super) fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.find(key).map(|node| &node.value)
    }

    /// What to say of a key that does not go with the others.
    pub(super) fn refuse(&self, key: &'static str, expected: &'static str, got: &str) -> ConfigError {
        let place = self.table.get(key).map_or(self.place, |node| &node.place).clone();
        ConfigError::Value { place, key: self.full(key), expected, got: got.to_owned() }
    }

    /// A table within this one.
    pub(super) fn section(&mut self, key: &'static str) -> Result<Section<'a>, ConfigError> {
        let node = self.need(key, "a table")?;
        Section::open(self.full(key), node)
    }

    /// A list of at most `limit` values, each as `read` reads it, none twice by what `same` compares.
    pub(super) fn list<T, K: PartialEq>(
        &mut self,
        key: &'static str,
        limit: Limit,
        read: impl Fn(String, &'a Node) -> Result<T, ConfigError>,
        same: impl Fn(&T) -> K,
    ) -> Result<Vec<T>, ConfigError> {
        let node = self.need(key, "a list")?;
        let name = self.full(key);
        let refuse = |node: &Node, key: String, expected, got| {
            Err(ConfigError::Value { place: node.place.clone(), key, expected, got })
        };
        let Value::List(items) = &node.value else {
            return refuse(node, name, "a list", node.value.to_string());
        };
        if items.len() > limit.most {
            return refuse(node, name, limit.expected, format!("{}", items.len()));
        }
        let mut values: Vec<T> = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let value = read(format!("{name}[{index}]"), item)?;
            if let Some(first) = values.iter().position(|other| same(other) == same(&value)) {
                let got = format!("the one of {name}[{first}] again");
                return refuse(item, format!("{name}[{index}]"), "a different one each time", got);
            }
            values.push(value);
        }
        Ok(values)
    }

    /// A list of plain values.
    pub(super) fn get_list<T: PartialEq + Clone>(
        &mut self,
        key: &'static str,
        limit: Limit,
        form: &Form<T>,
    ) -> Result<Vec<T>, ConfigError> {
        self.list(key, limit, |name, node| form.read(&name, node), T::clone)
    }

    /// A list of plain values that may be absent, which is as good as empty.
    pub(super) fn get_list_or_none<T: PartialEq + Clone>(
        &mut self,
        key: &'static str,
        limit: Limit,
        form: &Form<T>,
    ) -> Result<Vec<T>, ConfigError> {
        self.list_or_none(key, limit, |name, node| form.read(&name, node), T::clone)
    }

    /// A [`Section::list`] that may be absent, which is as good as empty.
    pub(super) fn list_or_none<T, K: PartialEq>(
        &mut self,
        key: &'static str,
        limit: Limit,
        read: impl Fn(String, &'a Node) -> Result<T, ConfigError>,
        same: impl Fn(&T) -> K,
    ) -> Result<Vec<T>, ConfigError> {
        if self.table.contains_key(key) {
            return self.list(key, limit, read, same);
        }
        self.asked.push(key);
        Ok(Vec::new())
    }

    /// Refuses what was not asked for.
    pub(super) fn finish(mut self) -> Result<(), ConfigError> {
        let Some((key, node)) = self.table.iter().find(|(key, _)| !self.asked.contains(&key.as_str())) else {
            return Ok(());
        };
        self.asked.sort_unstable();
        self.asked.dedup();
        Err(ConfigError::Unknown { place: node.place.clone(), key: self.full(key), known: self.asked })
    }
}

/// The most entries of a list, as a number and in words.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    pub(super) most: usize,
    pub(super) expected: &'static str,
}
