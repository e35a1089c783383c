// SPDX-License-Identifier: AGPL-3.0-or-later
//! The journal of streams in the daemon's [`store`](crate::store): its layout there, what is handed to the store and when,
//! and how it is read at a start.

use std::collections::{BTreeSet, VecDeque};

use router_core::journal::GroupNumber;
use router_core::streams::{StoreRequest, Streams, Write};
use tracing::{debug, warn};

use crate::store::{Change, Completion, Key, Store, StoreError, StoreStatus, StoreThread, Table};

/// So many entries are removed at once, in a commit of some tens of milliseconds; a group of more goes in parts, and others are
/// stored between them. Numbers of a part differ in their last byte only, the last of a key's.
const PART: u32 = 256;

/// So many groups may go in parts at a time: of more than [`PART`] entries each, as many as the router's index has room for. What
/// is beyond is found without a group at the next start, and goes then.
const MOST_LEAVING: usize = 1024;

/// Of so many groups what they left behind is removed in one commit at a start.
const LEFT_AT_ONCE: usize = 512;

/// What the store calls the removal of a part; the machine counts its requests from the other end.
const PART_ID: u64 = u64::MAX;

/// What the machine is to hear of the store.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// [`Streams::handle_committed`].
    Committed { id: u64, durable: bool },
    /// [`Streams::handle_read`].
    Read { id: u64, entry: Option<Vec<u8>> },
}

/// Hands the machine's requests to the store in their order.
#[derive(Debug)]
pub(super) struct Journal {
    store: StoreThread,
    /// What the store had no room for; whatever comes later waits behind it.
    held: Option<Request>,
    /// Groups that are removed in parts; one part at a time is under way.
    leaving: VecDeque<Leaving>,
    part_under_way: bool,
    /// A part was not removed: it is tried again with the next commit of others, whatever becomes of that.
    part_failed: bool,
}

#[derive(Debug)]
enum Request {
    Commit { id: u64, changes: Vec<Change> },
    Read { id: u64, key: Key },
}

#[derive(Debug)]
struct Leaving {
    group: GroupNumber,
    /// The commit in which it was to go; nothing once that is durable, and with it all that was ever put into the group.
    after: Option<u64>,
}

impl Journal {
    /// In `store`, which tells what it has done to [`Journal::completed`].
    pub(super) const fn new(store: StoreThread) -> Self {
        Self { store, held: None, leaving: VecDeque::new(), part_under_way: false, part_failed: false }
    }

    /// What the store is doing.
    pub(super) fn status(&self) -> StoreStatus {
        self.store.status()
    }

    /// Whether [`Journal::hand_in`] may be called.
    pub(super) const fn has_room(&self) -> bool {
        self.held.is_none()
    }

    /// Hands a request to the store, or keeps it until there is room.
    pub(super) fn hand_in(&mut self, request: StoreRequest) {
        let request = match request {
            StoreRequest::Commit { id, writes } => {
                let changes = writes.into_iter().flat_map(|write| self.changes_of(id, write)).collect();
                Request::Commit { id, changes }
            }
            StoreRequest::Read { id, group, number } => {
                Request::Read { id, key: Key::entry(group.0, number) }
            }
        };
        self.ask(request);
    }

    /// The store has done something, and may have room for what waits.
    pub(super) fn completed(&mut self, completion: Completion) -> Option<Done> {
        let done = match completion {
            Completion::Committed { id: PART_ID, result } => {
                self.part_under_way = false;
                if let Err(error) = result {
                    debug!(%error, "a part of a stream was not removed");
                    self.part_failed = true;
                }
                None
            }
            Completion::Committed { id, result } => {
                self.part_failed = false;
                if result.is_ok() {
                    let of_commit = self.leaving.iter_mut().filter(|group| group.after == Some(id));
                    of_commit.for_each(|group| group.after = None);
                } else {
                    // The machine asks for it again.
                    self.leaving.retain(|group| group.after != Some(id));
                }
                Some(Done::Committed { id, durable: result.is_ok() })
            }
            Completion::Found { id, result } => {
                let found = result.inspect_err(|error| warn!(%error, "the journal cannot be read"));
                Some(Done::Read { id, entry: found.ok().flatten() })
            }
            // Nothing is listed through the store's threads.
            Completion::Listed { .. } => None,
        };
        if let Some(request) = self.held.take() {
            self.ask(request);
        }
        self.remove_a_part();
        done
    }

    fn ask(&mut self, request: Request) {
        self.held = match request {
            Request::Commit { id, changes } => {
                let refused = self.store.commit(id, changes).err();
                refused.map(|(_, changes)| Request::Commit { id, changes })
            }
            Request::Read { id, key } => {
                self.store.get(id, Table::Blocks, key).err().map(|_| Request::Read { id, key })
            }
        };
    }

    /// Removes the next part of a group that goes, behind what the machine wants.
    fn remove_a_part(&mut self) {
        while !self.part_under_way
            && !self.part_failed
            && self.held.is_none()
            && let Some(Leaving { group, after: None }) = self.leaving.front()
        {
            match part_of(&self.store.store(), *group) {
                Ok(Some(part)) if self.store.commit(PART_ID, remove_all(part)).is_ok() => {
                    self.part_under_way = true;
                }
                // As much waits as may: there is another completion then.
                Ok(Some(_)) => return,
                Ok(None) => _ = self.leaving.pop_front(),
                Err(error) => {
                    debug!(%error, "what is to be removed in parts cannot be read");
                    self.part_failed = true;
                }
            }
        }
    }

    fn changes_of(&mut self, id: u64, write: Write) -> Vec<Change> {
        match write {
            Write::Entry { group, number, name, bytes } => {
                let key = Key::entry(group.0, number);
                // A longer one is refused by the store.
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                let reference = [&name[..], &length.to_be_bytes()].concat();
                vec![
                    Change::Put { table: Table::Blocks, key, value: bytes },
                    Change::Put { table: Table::References, key, value: reference },
                ]
            }
            Write::Group { group, record } => {
                vec![Change::Put { table: Table::Streams, key: Key::group(group.0), value: record }]
            }
            Write::RemoveEntry { group, number } => {
                let key = Key::entry(group.0, number);
                [Table::Blocks, Table::References].map(|table| Change::Remove { table, key }).into()
            }
            Write::RemoveGroup { group, entries, record } => {
                let mut changes = Vec::new();
                if record {
                    changes.push(Change::Remove { table: Table::Streams, key: Key::group(group.0) });
                }
                match entries {
                    0 => {}
                    1..=PART => changes.extend(remove_all(Key::group(group.0))),
                    _ if self.leaving.len() < MOST_LEAVING => {
                        self.leaving.push_back(Leaving { group, after: Some(id) });
                    }
                    _ => {
                        warn!(group = group.0, "too many streams go at once: this one goes at the next start")
                    }
                }
                changes
            }
        }
    }
}

/// What the keys of the first [`PART`] numbers begin with that a group has entries of; nothing where it has none.
fn part_of(store: &Store, group: GroupNumber) -> Result<Option<Key>, StoreError> {
    let first = store.list(Table::References, &Key::group(group.0), None, 1)?;
    Ok(first.first().and_then(|(key, _)| Key::new(&key.as_bytes()[..11])))
}

fn remove_all(prefix: Key) -> Vec<Change> {
    [Table::Blocks, Table::References].map(|table| Change::RemovePrefix { table, prefix }).into()
}

/// Gives `streams` all that `store` holds, and removes what a group left behind whose removal was cut short.
pub(super) fn restore(store: &Store, streams: &mut Streams) -> Result<(), StoreError> {
    let (mut groups, mut left) = (BTreeSet::new(), BTreeSet::new());
    for entry in store.scan(Table::Streams, Key::EMPTY) {
        let (key, record) = entry?;
        if let Some(group) = group_of(&key) {
            streams.restore_group(group, &record);
            groups.insert(group);
        }
    }
    for entry in store.scan(Table::References, Key::EMPTY) {
        let (key, value) = entry?;
        match entry_of(&key, &value) {
            Some(((group, number), name, bytes)) if groups.contains(&group) => {
                streams.restore_entry(group, number, name, bytes);
            }
            Some(((group, _), ..)) => _ = left.insert(group),
            None => {}
        }
    }
    let left: Vec<Change> = left.into_iter().flat_map(|group| remove_all(Key::group(group.0))).collect();
    left.chunks(LEFT_AT_ONCE).try_for_each(|changes| store.commit(changes))
}

fn group_of(key: &Key) -> Option<GroupNumber> {
    key.as_bytes().first_chunk().map(|bytes| GroupNumber(u64::from_be_bytes(*bytes)))
}

/// Group and number, name and length of an entry by its reference.
pub(super) fn entry_of(key: &Key, value: &[u8]) -> Option<((GroupNumber, u32), [u8; 32], u32)> {
    let number = u32::from_be_bytes(*key.as_bytes().last_chunk()?);
    let (name, rest) = value.split_first_chunk()?;
    let bytes = u32::from_be_bytes(rest.try_into().ok()?);
    Some(((group_of(key)?, number), *name, bytes))
}

#[cfg(test)]
mod tests;
