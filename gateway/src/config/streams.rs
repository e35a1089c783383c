// SPDX-License-Identifier: AGPL-3.0-or-later
//! `[streams]`: whether there are messages of any size, what may lie in the journal, and which are taken.

use std::collections::BTreeSet;

use ratman_types::{Address, ByteCount};
use router_core::streams::StreamFilter;

use super::StreamsConfig;
use super::contacts::Contacts;
use super::error::ConfigError;
use super::layer::Value;
use super::section::{Form, Limit, Section};
use super::value::{FLAG, STREAM_QUOTA};

/// More senders than there can be names for are a mistake of whatever wrote the file.
const SENDERS: Limit = Limit { most: 4096, expected: "at most 4096 senders" };

/// Any length that a stream can have.
const LENGTH: Form<ByteCount> = Form {
    expected: "a number of bytes",
    parse: |value| match value {
        Value::Integer(number) => u64::try_from(*number).ok().map(ByteCount),
        Value::Text(_) | Value::Flag(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => None,
    },
};

pub(super) fn parse(streams: &mut Section<'_>, contacts: &Contacts) -> Result<StreamsConfig, ConfigError> {
    let mut senders = |key| -> Result<BTreeSet<Address>, ConfigError> {
        let read = |name: String, node: &_| contacts.remote(&name, node);
        Ok(streams.list_or_none(key, SENDERS, read, Address::clone)?.into_iter().collect())
    };
    let (only_from, not_from) = (senders("only_from")?, senders("not_from")?);
    Ok(StreamsConfig {
        enable: streams.get("enable", &FLAG)?,
        quota: streams.get("quota", &STREAM_QUOTA)?,
        notice_above: streams.get("notice_above", &LENGTH)?,
        filter: StreamFilter {
            largest: streams.get_optional("largest", &LENGTH)?,
            only_from: Some(only_from).filter(|only| !only.is_empty()),
            not_from,
        },
    })
}
