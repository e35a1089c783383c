// SPDX-License-Identifier: AGPL-3.0-or-later
//! How values lie in the pages of the database.
//!
//! A value that does not share its page gets one whose size is a power of two, with the key and a few bytes of the
//! database's in it: a block of 32 KiB would take 64 KiB. What is beyond 32 KiB with them is cut off and kept in a table of
//! such ends, where many share a page (decisions/store.md).

use std::ops::Bound;

use redb::{ReadTransaction, TableDefinition, TableHandle, WriteTransaction};

use super::change::{Change, Key, MAX_KEY, MAX_VALUE, Table};
use super::error::{Fault, StoreError};

/// The page that a block with its key is to fill.
const PAGE: usize = 32 * 1024;

/// What the database writes beside key and value in a page of one entry: its kind and count, and where key and value end
/// (redb, `docs/design.md`, leaf pages).
const OVERHEAD: usize = 12;

const ENDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("ends");

const fn definition(table: Table) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table.name())
}

/// As much of a value as fills a page: all of it that is shorter.
const fn head(table: Table) -> usize {
    PAGE - OVERHEAD - table.key_length()
}

/// The key of the end of a value, or its beginning.
fn end_key(table: Table, key: &Key) -> ([u8; MAX_KEY + 1], usize) {
    let mut bytes = [0; MAX_KEY + 1];
    let key = key.as_bytes();
    bytes[0] = table.code();
    bytes[1..=key.len()].copy_from_slice(key);
    (bytes, key.len() + 1)
}

/// All keys that begin with `prefix` and are beyond `after`.
fn bounds<'a>(
    prefix: &'a [u8],
    after: Option<&'a [u8]>,
    past: &'a [u8],
) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
    (from, if past.is_empty() { Bound::Unbounded } else { Bound::Excluded(past) })
}

/// The first key that is beyond all that begin with `prefix`; empty where there is none.
fn past(prefix: &[u8]) -> Vec<u8> {
    let length = prefix.iter().rposition(|byte| *byte != u8::MAX).map_or(0, |last| last + 1);
    let mut past = prefix[..length].to_vec();
    if let Some(last) = past.last_mut() {
        *last += 1;
    }
    past
}

/// The tables of a transaction that writes.
pub(super) struct Tables<'txn> {
    tables: Vec<redb::Table<'txn, &'static [u8], &'static [u8]>>,
    ends: redb::Table<'txn, &'static [u8], &'static [u8]>,
}

impl<'txn> Tables<'txn> {
    /// Opens all of them, and makes those that are not there.
    pub(super) fn open(transaction: &'txn WriteTransaction) -> Result<Self, Fault> {
        let open = |table: Table| transaction.open_table(definition(table));
        let tables = Table::ALL.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { tables, ends: transaction.open_table(ENDS)? })
    }

    /// Makes one change.
    pub(super) fn apply(&mut self, change: &Change) -> Result<(), Fault> {
        match change {
            Change::Put { table, key, value } => self.put(*table, key, value),
            Change::Remove { table, key } => self.remove(*table, key),
            Change::RemovePrefix { table, prefix } => self.remove_prefix(*table, prefix),
        }
    }

    fn table(&mut self, table: Table) -> &mut redb::Table<'txn, &'static [u8], &'static [u8]> {
        let index =
            Table::ALL.iter().position(|one| *one == table).expect("invariant: all tables are in `ALL`");
        &mut self.tables[index]
    }

    fn put(&mut self, table: Table, key: &Key, value: &[u8]) -> Result<(), Fault> {
        let (first, rest) = value.split_at(value.len().min(head(table)));
        let old = self.table(table).insert(key.as_bytes(), first)?;
        let had_end = old.is_some_and(|old| old.value().len() == head(table));
        let (end, length) = end_key(table, key);
        if !rest.is_empty() {
            self.ends.insert(&end[..length], rest)?;
        } else if had_end {
            self.ends.remove(&end[..length])?;
        }
        Ok(())
    }

    fn remove(&mut self, table: Table, key: &Key) -> Result<(), Fault> {
        let old = self.table(table).remove(key.as_bytes())?;
        if old.is_some_and(|old| old.value().len() == head(table)) {
            let (end, length) = end_key(table, key);
            self.ends.remove(&end[..length])?;
        }
        Ok(())
    }

    fn remove_prefix(&mut self, table: Table, prefix: &Key) -> Result<(), Fault> {
        let prefix_bytes = prefix.as_bytes();
        self.table(table)
            .retain_in::<&[u8], _>(bounds(prefix_bytes, None, &past(prefix_bytes)), |_, _| false)?;
        let (end, length) = end_key(table, prefix);
        self.ends.retain_in::<&[u8], _>(bounds(&end[..length], None, &past(&end[..length])), |_, _| false)?;
        Ok(())
    }
}

/// Whether all tables are there, so that reading needs no care.
pub(super) fn is_complete(transaction: &ReadTransaction) -> Result<bool, Fault> {
    let there: Vec<_> = transaction.list_tables()?.map(|table| table.name().to_owned()).collect();
    let mut ours = Table::ALL.iter().map(|table| table.name()).chain([ENDS.name()]);
    Ok(ours.all(|name| there.iter().any(|there| there == name)))
}

/// The value under a key.
pub(super) fn get(transaction: &ReadTransaction, table: Table, key: &Key) -> Result<Option<Vec<u8>>, Fault> {
    let found = transaction.open_table(definition(table))?.get(key.as_bytes())?;
    let Some(found) = found else { return Ok(None) };
    whole(transaction, table, key, found.value()).map(Some)
}

/// Entries whose keys begin with `prefix` and are beyond `after`, in order: `most` bytes of them, and the one that is beyond.
pub(super) fn list(
    transaction: &ReadTransaction,
    table: Table,
    prefix: &Key,
    after: Option<&Key>,
    most: usize,
) -> Result<Vec<(Key, Vec<u8>)>, Fault> {
    let (past, opened) = (past(prefix.as_bytes()), transaction.open_table(definition(table))?);
    let range = bounds(prefix.as_bytes(), after.map(Key::as_bytes), &past);
    let (mut entries, mut bytes) = (Vec::new(), 0);
    for entry in opened.range::<&[u8]>(range)? {
        let (key, value) = entry?;
        let key = Key::new(key.value()).ok_or_else(|| Fault::Damaged("a key is too long".to_owned()))?;
        let value = whole(transaction, table, &key, value.value())?;
        bytes += size_of::<Key>() + value.len();
        entries.push((key, value));
        if bytes >= most {
            break;
        }
    }
    Ok(entries)
}

/// A value with its end, if it has one.
fn whole(transaction: &ReadTransaction, table: Table, key: &Key, first: &[u8]) -> Result<Vec<u8>, Fault> {
    if first.len() < head(table) {
        return Ok(first.to_vec());
    }
    let (end, length) = end_key(table, key);
    let rest = transaction.open_table(ENDS)?.get(&end[..length])?;
    let rest = rest.as_ref().map_or(&[][..], |rest| rest.value());
    Ok([first, rest].concat())
}

/// Whether the key of a value, or what keys begin with, can be one of the table.
pub(super) fn check_key(table: Table, key: &Key, whole: bool) -> Result<(), StoreError> {
    let (length, wanted) = (key.as_bytes().len(), table.key_length());
    if length == wanted || (!whole && length < wanted) {
        return Ok(());
    }
    Err(StoreError::KeyLength { table, length })
}

/// Whether a change can be made at all.
pub(super) fn check(change: &Change) -> Result<(), StoreError> {
    match change {
        Change::Put { value, .. } if value.len() > MAX_VALUE => {
            Err(StoreError::TooLong { length: value.len() })
        }
        Change::Put { table, key, .. } | Change::Remove { table, key } => check_key(*table, key, true),
        Change::RemovePrefix { table, prefix } => check_key(*table, prefix, false),
    }
}
