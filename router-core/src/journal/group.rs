// SPDX-License-Identifier: AGPL-3.0-or-later
//! One group of the journal: what it is for, and what it holds.

use core::fmt;
use std::collections::BTreeMap;

use ratman_types::{Address, ByteCount, Recipient, RouterId, WallTime};
use ratman_wire::stream::StreamId;

use super::{MAX_ENTRIES, MAX_GROUPS, OVERHEAD};

/// Why something is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A local client sends it.
    Sent,
    /// It is for a local address.
    Received,
    /// It is for somebody else, and goes on when there is a way.
    Carried,
    /// It is for a namespace, and goes to everybody.
    Flooded,
    /// A local client shares it with whoever it tells of it.
    Shared,
}

impl Role {
    pub(super) const COUNT: usize = 5;

    pub(super) const fn index(self) -> usize {
        match self {
            Self::Sent => 0,
            Self::Received => 1,
            Self::Carried => 2,
            Self::Flooded => 3,
            Self::Shared => 4,
        }
    }

    /// How many entries may be kept for this reason.
    pub(super) const fn share_of_entries(self) -> usize {
        match self {
            Self::Sent => MAX_ENTRIES,
            Self::Received => MAX_ENTRIES / 4 * 3,
            Self::Carried => MAX_ENTRIES / 2,
            // Of each it is remembered who has it.
            Self::Flooded => MAX_ENTRIES / 16,
            Self::Shared => MAX_ENTRIES / 2,
        }
    }

    /// How many groups may be kept for this reason.
    pub(super) const fn share_of_groups(self) -> usize {
        match self {
            Self::Sent => MAX_GROUPS,
            Self::Received => MAX_GROUPS / 2,
            Self::Carried => MAX_GROUPS / 4,
            Self::Flooded => MAX_GROUPS / 8,
            Self::Shared => MAX_GROUPS / 8,
        }
    }

    /// What may be kept for this reason: our own streams always find a place, and what comes for us before what
    /// is carried for others. What is flooded, which anybody may send to everybody, takes the least. What is shared stays for
    /// weeks, and leaves half to what comes and goes.
    pub(super) const fn share_of(self, quota: ByteCount) -> u64 {
        match self {
            Self::Sent => quota.0,
            Self::Received => quota.0 / 4 * 3,
            Self::Carried => quota.0 / 2,
            Self::Flooded => quota.0 / 8,
            Self::Shared => quota.0 / 2,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sent => "sent",
            Self::Received => "received",
            Self::Carried => "carried for others",
            Self::Flooded => "for namespaces",
            Self::Shared => "shared",
        })
    }
}

/// Whether something may leave to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It may: nobody was told that we have it.
    Loose,
    /// It stays until it is delivered, handed on, given up by its sender, or past its time.
    Firm,
}

/// What a group is the only one of. In their order those for one recipient follow each other, by their senders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    /// Why it is kept.
    pub role: Role,
    /// Whom it is for.
    pub recipient: Recipient,
    /// Who sent it.
    pub sender: Address,
    /// The stream; nothing for what came without a stream's name, which only the manifest tells then.
    pub stream: Option<StreamId>,
}

/// The number of a group: never used twice, and in the order of opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupNumber(pub u64);

impl GroupNumber {
    pub(crate) const LAST: Self = Self(u64::MAX);

    /// The one that is given next.
    pub(crate) const fn following(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Where a block or a frame is: its number in the group, and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From 0, in the order of insertion.
    pub number: u32,
    /// Its length in bytes.
    pub bytes: u32,
}

/// The blocks of one stream, or the frames that are carried for one.
#[derive(Clone, Debug)]
pub struct Group {
    /// What it is.
    pub key: GroupKey,
    /// The neighbour at whose expense it is kept.
    pub brought_by: Option<RouterId>,
    /// When it is of no use any more.
    pub end: WallTime,
    /// Whether it may leave.
    pub hold: Hold,
    entries: BTreeMap<[u8; 32], Entry>,
    // INVARIANT: above the number of every entry.
    next: u32,
    bytes: u64,
    /// What is stored of it beside its entries.
    pub(super) record: u32,
}

impl Group {
    /// An empty group that may leave.
    pub const fn new(key: GroupKey, brought_by: Option<RouterId>, end: WallTime) -> Self {
        Self {
            key,
            brought_by,
            end,
            hold: Hold::Loose,
            entries: BTreeMap::new(),
            next: 0,
            bytes: 0,
            record: 0,
        }
    }

    /// Adds something under the next number; nothing if it is there, or no number is left.
    pub fn insert(&mut self, name: [u8; 32], bytes: u32) -> Option<Entry> {
        self.restore(self.next, name, bytes)
    }

    /// Puts an entry back that was read from the store; numbers given later are above its own. Nothing if something of this
    /// name is there, or no number is left.
    pub fn restore(&mut self, number: u32, name: [u8; 32], bytes: u32) -> Option<Entry> {
        if self.entries.contains_key(&name) {
            return None;
        }
        let entry = Entry { number, bytes };
        self.next = self.next.max(number.checked_add(1)?);
        self.entries.insert(name, entry);
        self.bytes += u64::from(bytes);
        Some(entry)
    }

    /// Removes an entry; its number is not used again.
    pub fn remove(&mut self, name: &[u8; 32]) -> Option<Entry> {
        let entry = self.entries.remove(name)?;
        self.bytes -= u64::from(entry.bytes);
        Some(entry)
    }

    /// The names of all entries, and where they are, in the order of their names.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&[u8; 32], Entry)> {
        self.entries.iter().map(|(name, entry)| (name, *entry))
    }

    /// Where something is.
    pub fn find(&self, name: &[u8; 32]) -> Option<Entry> {
        self.entries.get(name).copied()
    }

    /// How many blocks or frames it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes that it holds.
    pub const fn bytes(&self) -> ByteCount {
        ByteCount(self.bytes)
    }

    /// What it takes of the quota: nothing before something is put into it.
    pub(crate) fn cost(&self) -> u64 {
        if self.is_empty() && self.record == 0 {
            return 0;
        }
        let records = u64::try_from(self.entries.len() + 1).unwrap_or(u64::MAX);
        self.bytes + u64::from(self.record) + OVERHEAD * records
    }
}
