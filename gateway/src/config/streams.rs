// SPDX-License-Identifier: AGPL-3.0-or-later
//! `[streams]`: whether there are messages of any size, what may lie in the journal, and which are taken.

use std::collections::BTreeSet;

use ratman_types::{Address, ByteCount, Namespace, Recipient};
use router_core::streams::StreamFilter;

use super::StreamsConfig;
use super::contacts::Contacts;
use super::error::ConfigError;
use super::layer::{Node, Value};
use super::section::{Form, Limit, Section};
use super::value::{FLAG, STREAM_QUOTA};

/// More senders than there can be names for are a mistake of whatever wrote the file.
const SENDERS: Limit = Limit { most: 4096, expected: "at most 4096 senders" };

/// More than clients may subscribe to.
const NAMESPACES: Limit = Limit { most: 4096, expected: "at most 4096 namespaces" };

/// Any length that a stream can have.
const LENGTH: Form<ByteCount> = Form {
    expected: "a number of bytes",
    parse: |value| match value {
        Value::Integer(number) => u64::try_from(*number).ok().map(ByteCount),
        Value::Text(_) | Value::Flag(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => None,
    },
};

const NAMESPACE: Form<Namespace> = Form {
    expected: "a namespace, as \"namespace:…\"",
    parse: |value| match value {
        Value::Text(text) => match text.parse() {
            Ok(Recipient::Namespace(namespace)) => Some(namespace),
            Ok(Recipient::Address(_)) | Err(_) => None,
        },
        Value::Integer(_) | Value::Flag(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => None,
    },
};

/// Namespaces, none where the key is not there.
fn namespaces(streams: &mut Section<'_>, key: &'static str) -> Result<BTreeSet<Namespace>, ConfigError> {
    let read = |name: String, node: &Node| NAMESPACE.read(&name, node);
    Ok(streams.list_or_none(key, NAMESPACES, read, Namespace::clone)?.into_iter().collect())
}

pub(super) fn parse(streams: &mut Section<'_>, contacts: &Contacts) -> Result<StreamsConfig, ConfigError> {
    let mut senders = |key| -> Result<BTreeSet<Address>, ConfigError> {
        let read = |name: String, node: &_| contacts.remote(&name, node);
        Ok(streams.list_or_none(key, SENDERS, read, Address::clone)?.into_iter().collect())
    };
    let (only_from, not_from) = (senders("only_from")?, senders("not_from")?);
    let (only_to, not_to) = (namespaces(streams, "only_to")?, namespaces(streams, "not_to")?);
    Ok(StreamsConfig {
        enable: streams.get("enable", &FLAG)?,
        quota: streams.get("quota", &STREAM_QUOTA)?,
        notice_above: streams.get("notice_above", &LENGTH)?,
        filter: StreamFilter {
            largest: streams.get_optional("largest", &LENGTH)?,
            only_from: Some(only_from).filter(|only| !only.is_empty()),
            not_from,
            only_to: Some(only_to).filter(|only| !only.is_empty()),
            not_to,
        },
    })
}
