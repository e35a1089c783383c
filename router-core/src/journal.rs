// SPDX-License-Identifier: AGPL-3.0-or-later
//! What lies in the journal, by name and by recipient, and what has to leave it: the index of the durable store, in
//! memory. It holds no blocks and does no IO; whoever drives it carries out what it decides.
//!
//! Things that belong together form a [`Group`]: the blocks of one stream, or the frames that are carried for one. A group is
//! opened, filled, and removed as a whole; numbers within it follow each other, so that the store writes in order.

mod group;
mod shares;

use core::ops::Bound;
use std::collections::{BTreeMap, BTreeSet};

use ratman_types::{Address, ByteCount, Recipient, RouterId, WallTime};
use ratman_wire::stream::StreamId;

pub use group::{Entry, Group, GroupKey, GroupNumber, Hold, Role};
use shares::Shares;

use crate::DropReason;

/// Blocks and frames in all. Each takes about 100 bytes of memory here; with blocks of 32 KiB these are 8 GiB.
pub const MAX_ENTRIES: usize = 262_144;
/// Groups in all: as many streams may be unfinished, undelivered or carried at a time.
pub const MAX_GROUPS: usize = 65_536;
/// What an entry costs beside its bytes: its place in the store and here.
const OVERHEAD: u64 = 160;

/// Why something is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalFull {
    /// What is there must stay, and leaves no room.
    #[error("the journal is full")]
    Bytes,
    /// What is kept for this reason takes its whole share.
    #[error("the journal holds as much as it may of what is {0}")]
    Share(Role),
    /// The neighbour that brings it brought as much of what is carried as it may.
    #[error("the journal holds as much as it may of what one neighbour brought for others")]
    Neighbour,
    /// There are as many blocks and frames as fit.
    #[error("the journal holds {MAX_ENTRIES} blocks and frames, and no more")]
    Entries,
    /// There are as many streams as fit.
    #[error("the journal holds {MAX_GROUPS} streams, and no more")]
    Groups,
}

impl JournalFull {
    /// Why a frame is dropped that is not taken.
    pub const fn drop_reason(self) -> DropReason {
        match self {
            Self::Neighbour => DropReason::CarriedShare,
            Self::Bytes | Self::Share(_) | Self::Entries | Self::Groups => DropReason::JournalFull,
        }
    }
}

/// How often the journal had to say no or let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalCounters {
    /// Groups that made room for others.
    pub evicted: u64,
    /// Things that found no room.
    pub refused: u64,
    /// Those of them that would have gone beyond the share of the neighbour that brought them.
    pub beyond_share: u64,
    /// Groups whose time had passed.
    pub expired: u64,
}

/// The index of the journal.
#[derive(Debug)]
pub struct Journal {
    quota: ByteCount,
    groups: BTreeMap<GroupNumber, Group>,
    // INVARIANT: these four say of every group what `groups` says.
    by_key: BTreeMap<GroupKey, GroupNumber>,
    by_end: BTreeSet<(WallTime, GroupNumber)>,
    by_recipient: BTreeSet<(Recipient, GroupNumber)>,
    /// Groups that may go, with who brought them.
    loose: BTreeMap<Option<RouterId>, Loose>,
    /// What is carried, by neighbour.
    shares: Shares,
    /// Groups by role.
    groups_of: [usize; Role::COUNT],
    /// Entries by role.
    entries: [usize; Role::COUNT],
    /// Bytes by role, costs included.
    used: [u64; Role::COUNT],
    next: GroupNumber,
    counters: JournalCounters,
}

/// What may go does not suffice.
#[derive(Debug)]
struct NoRoom;

/// What one neighbour brought and may go again.
#[derive(Debug, Default)]
struct Loose {
    groups: BTreeSet<GroupNumber>,
    bytes: u64,
}

impl Journal {
    /// An empty journal of at most so many bytes, costs included.
    pub fn new(quota: ByteCount) -> Self {
        Self {
            quota,
            groups: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_end: BTreeSet::new(),
            by_recipient: BTreeSet::new(),
            loose: BTreeMap::new(),
            shares: Shares::default(),
            groups_of: [0; Role::COUNT],
            entries: [0; Role::COUNT],
            used: [0; Role::COUNT],
            next: GroupNumber::default(),
            counters: JournalCounters::default(),
        }
    }

    /// Opens a group, or finds it; a new one may go until it is [held](Journal::hold).
    ///
    /// `brought_by` is the neighbour at whose expense it is kept, nobody for what local clients send.
    ///
    /// # Errors
    /// [`JournalFull::Groups`], [`JournalFull::Neighbour`].
    pub fn open(
        &mut self,
        key: GroupKey,
        brought_by: Option<RouterId>,
        end: WallTime,
    ) -> Result<GroupNumber, JournalFull> {
        if let Some(number) = self.by_key.get(&key) {
            return Ok(*number);
        }
        let is_ours = matches!(key.role, Role::Sent | Role::Shared);
        let most = if is_ours { MAX_GROUPS } else { MAX_GROUPS / 8 * 7 };
        let of_neighbour = self.loose.get(&brought_by).map_or(0, |loose| loose.groups.len());
        let too_many = !is_ours && of_neighbour >= MAX_GROUPS / 4;
        let takes_share = self.groups_of[key.role.index()] >= key.role.share_of_groups();
        if self.groups.len() >= most || too_many || takes_share {
            return Err(self.refuse(JournalFull::Groups));
        }
        if !self.shares.may_open(key.role, brought_by) {
            return Err(self.refuse(JournalFull::Neighbour));
        }
        let number = self.next;
        self.next = number.following();
        self.restore(number, Group::new(key, brought_by, end));
        Ok(number)
    }

    /// Puts a group back that was read from the store; numbers given later are above it.
    pub fn restore(&mut self, number: GroupNumber, group: Group) {
        self.remove(number);
        self.next = self.next.max(number.following());
        self.by_key.insert(group.key, number);
        self.by_end.insert((group.end, number));
        self.by_recipient.insert((group.key.recipient, number));
        self.groups_of[group.key.role.index()] += 1;
        self.entries[group.key.role.index()] += group.len();
        self.used[group.key.role.index()] += group.cost();
        self.shares.add(&group);
        if group.hold == Hold::Loose {
            let loose = self.loose.entry(group.brought_by).or_default();
            loose.groups.insert(number);
            loose.bytes += group.cost();
        }
        self.groups.insert(number, group);
    }

    /// Gives this number to no group from now on.
    pub fn keep_number(&mut self, number: GroupNumber) {
        self.next = self.next.max(number.following());
    }

    /// Puts an entry back that was read from the store; false if its group is not there.
    pub fn restore_entry(&mut self, number: GroupNumber, entry: u32, name: [u8; 32], bytes: u32) -> bool {
        self.change(number, |group| group.restore(entry, name, bytes)).is_some()
    }

    /// The groups that are kept for this reason, the oldest first.
    pub fn of_role(&self, role: Role) -> Vec<GroupNumber> {
        let groups = self.groups.iter().filter(|(_, group)| group.key.role == role);
        groups.map(|(number, _)| *number).collect()
    }

    /// The oldest group that may go, of those that are kept for this reason at one's expense: a look at each of its older ones that may.
    pub fn oldest_loose(&self, role: Role, brought_by: Option<RouterId>) -> Option<GroupNumber> {
        let loose = &self.loose.get(&brought_by)?.groups;
        loose.iter().find(|number| self.groups[number].key.role == role).copied()
    }

    /// The groups of one stream that are kept for this reason, whoever they are for, the oldest first: a look for each recipient that has
    /// anything of the kind.
    pub fn of_stream(&self, role: Role, sender: Address, stream: StreamId) -> Vec<GroupNumber> {
        let [none, all] = [0, u8::MAX].map(|byte| Address::from_bytes([byte; 32]));
        let first = GroupKey { role, recipient: Recipient::Address(none), sender: none, stream: None };
        let (mut from, mut found) = (Bound::Included(first), Vec::new());
        while let Some((key, _)) = self.by_key.range((from, Bound::Unbounded)).next()
            && key.role == role
        {
            let recipient = key.recipient;
            found.extend(self.find(&GroupKey { role, recipient, sender, stream: Some(stream) }));
            let last = Some(StreamId::from_bytes([u8::MAX; 32]));
            from = Bound::Excluded(GroupKey { role, recipient, sender: all, stream: last });
        }
        found.sort_unstable();
        found
    }

    /// Makes room for one more entry of `bytes` in a group: says which groups have to be removed first, in the store and by
    /// [`Journal::remove`]. Only groups that may go are among them: of the neighbour that fills most the newest.
    ///
    /// # Errors
    /// Where that does not suffice; nothing is to be removed then.
    pub fn room_for(&mut self, number: GroupNumber, bytes: u64) -> Result<Vec<GroupNumber>, JournalFull> {
        let Some(group) = self.groups.get(&number) else { return Err(self.refuse(JournalFull::Groups)) };
        // What is put into it first has the costs of the group to bear, too.
        let overhead = if group.cost() == 0 { 2 * OVERHEAD } else { OVERHEAD };
        let (role, brought_by, cost) = (group.key.role, group.brought_by, bytes.saturating_add(overhead));
        if !self.shares.may_add((role, brought_by), cost, self.quota) {
            return Err(self.refuse(JournalFull::Neighbour));
        }
        // First what takes the share of this role, then what takes the whole.
        let share = self.used[role.index()].saturating_add(cost).saturating_sub(role.share_of(self.quota));
        let entries = (self.entries[role.index()] + 1).saturating_sub(role.share_of_entries());
        let mut leaving = BTreeSet::new();
        let asking = (number, brought_by);
        self.free(share, entries, Some(role), asking, &mut leaving)
            .map_err(|_| self.refuse(JournalFull::Share(role)))?;
        let freed: u64 = leaving.iter().map(|number| self.groups[number].cost()).sum();
        let gone: usize = leaving.iter().map(|number| self.groups[number].len()).sum();
        let total: u64 = self.used.iter().sum();
        let excess = (total.saturating_add(cost)).saturating_sub(self.quota.0).saturating_sub(freed);
        let all: usize = self.entries.iter().sum();
        let too_many = (all + 1).saturating_sub(MAX_ENTRIES).saturating_sub(gone);
        let why = if excess > 0 { JournalFull::Bytes } else { JournalFull::Entries };
        self.free(excess, too_many, None, asking, &mut leaving).map_err(|_| self.refuse(why))?;
        let leaving: Vec<GroupNumber> = leaving.into_iter().collect();
        self.counters.evicted += u64::try_from(leaving.len()).unwrap_or(u64::MAX);
        Ok(leaving)
    }

    /// Adds groups to `leaving` until so many bytes and entries are free, of one role or of any.
    fn free(
        &self,
        mut bytes: u64,
        mut entries: usize,
        role: Option<Role>,
        asking: (GroupNumber, Option<RouterId>),
        leaving: &mut BTreeSet<GroupNumber>,
    ) -> Result<(), NoRoom> {
        while bytes > 0 || entries > 0 {
            let newest = self.next_to_leave(leaving, role, asking).ok_or(NoRoom)?;
            let group = &self.groups[&newest];
            bytes = bytes.saturating_sub(group.cost());
            entries = entries.saturating_sub(group.len());
            leaving.insert(newest);
        }
        Ok(())
    }

    /// The newest group of the neighbour that fills most; nothing if that is the one that asks, and this its newest.
    fn next_to_leave(
        &self,
        leaving: &BTreeSet<GroupNumber>,
        role: Option<Role>,
        (asking, asked_by): (GroupNumber, Option<RouterId>),
    ) -> Option<GroupNumber> {
        let may_leave = |number: &GroupNumber| {
            let of_role = role.is_none_or(|role| self.groups[number].key.role == role);
            of_role && !leaving.contains(number)
        };
        let left = |loose: &Loose| {
            let gone = leaving.iter().filter(|number| loose.groups.contains(number));
            loose.bytes - gone.map(|number| self.groups[number].cost()).sum::<u64>()
        };
        let newest_of = |loose: &Loose| loose.groups.iter().rev().find(|number| may_leave(number)).copied();
        let (neighbour, _, newest) = self
            .loose
            .iter()
            .filter_map(|(neighbour, loose)| Some((neighbour, left(loose), newest_of(loose)?)))
            .max_by_key(|(_, left, _)| *left)?;
        let is_own_newest = *neighbour == asked_by && newest <= asking;
        (!is_own_newest && newest != asking).then_some(newest)
    }

    /// Adds a block or a frame of `bytes` to a group and says its number there; nothing if it is there already, or the
    /// group is not. [`Journal::room_for`] comes first.
    pub fn insert(&mut self, number: GroupNumber, name: [u8; 32], bytes: u32) -> Option<Entry> {
        let group = self.groups.get_mut(&number)?;
        let before = group.cost();
        let entry = group.insert(name, bytes)?;
        let more = group.cost() - before;
        let (role, hold, brought_by) = (group.key.role, group.hold, group.brought_by);
        self.entries[role.index()] += 1;
        self.used[role.index()] += more;
        self.shares.grow((role, brought_by), more);
        if hold == Hold::Loose
            && let Some(loose) = self.loose.get_mut(&brought_by)
        {
            loose.bytes += more;
        }
        Some(entry)
    }

    /// Removes one entry of a group, which is to be removed from the store as well.
    pub fn remove_entry(&mut self, number: GroupNumber, name: &[u8; 32]) -> Option<Entry> {
        self.change(number, |group| group.remove(name))?
    }

    /// So many bytes are stored of a group beside its entries.
    pub fn note_record(&mut self, number: GroupNumber, bytes: u32) {
        self.change(number, |group| group.record = bytes);
    }

    /// A group is called otherwise from now on; nothing happens where another is called so.
    pub fn rename(&mut self, number: GroupNumber, key: GroupKey) {
        if !self.by_key.contains_key(&key) {
            self.change(number, |group| group.key = key);
        }
    }

    /// From now on a group must stay until it is removed, or its time has passed: its sender or a neighbour was told that we
    /// have it.
    pub fn hold(&mut self, number: GroupNumber) {
        self.change(number, |group| group.hold = Hold::Firm);
    }

    /// From now on a group may go again: others answer for it.
    pub fn loosen(&mut self, number: GroupNumber) {
        self.change(number, |group| group.hold = Hold::Loose);
    }

    /// Changes what all else is counted by; nothing if the group is not there.
    fn change<R>(&mut self, number: GroupNumber, act: impl FnOnce(&mut Group) -> R) -> Option<R> {
        let mut group = self.remove(number)?;
        let done = act(&mut group);
        self.restore(number, group);
        Some(done)
    }

    /// Forgets a group, which is to be removed from the store as well.
    pub fn remove(&mut self, number: GroupNumber) -> Option<Group> {
        let group = self.groups.remove(&number)?;
        self.by_key.remove(&group.key);
        self.by_end.remove(&(group.end, number));
        self.by_recipient.remove(&(group.key.recipient, number));
        self.groups_of[group.key.role.index()] -= 1;
        self.entries[group.key.role.index()] -= group.len();
        self.used[group.key.role.index()] -= group.cost();
        self.shares.remove(&group);
        if let Some(loose) = self.loose.get_mut(&group.brought_by)
            && loose.groups.remove(&number)
        {
            loose.bytes -= group.cost();
            if loose.groups.is_empty() {
                self.loose.remove(&group.brought_by);
            }
        }
        Some(group)
    }

    /// Removes a group whose time has passed, one at a time.
    pub fn take_expired(&mut self, now: WallTime) -> Option<(GroupNumber, Group)> {
        let (_, number) = self.by_end.first().copied().filter(|(end, _)| *end <= now)?;
        self.counters.expired += 1;
        Some((number, self.remove(number)?))
    }

    /// When the next group expires.
    pub fn next_end(&self) -> Option<WallTime> {
        self.by_end.first().map(|(end, _)| *end)
    }

    /// A group.
    pub fn get(&self, number: GroupNumber) -> Option<&Group> {
        self.groups.get(&number)
    }

    /// The number of a group, if it is there.
    pub fn find(&self, key: &GroupKey) -> Option<GroupNumber> {
        self.by_key.get(key).copied()
    }

    /// The groups for a recipient, the newest first.
    pub fn of_recipient(&self, recipient: Recipient) -> impl Iterator<Item = (GroupNumber, &Group)> {
        let first = Bound::Included((recipient, GroupNumber::default()));
        let last = Bound::Included((recipient, GroupNumber::LAST));
        self.by_recipient
            .range((first, last))
            .rev()
            .filter_map(|(_, number)| Some((*number, self.groups.get(number)?)))
    }

    /// The names of the groups for a recipient that are kept for one reason and have the name of a stream, in the order of their
    /// senders and streams, from a place in it on.
    pub fn named_to(
        &self,
        role: Role,
        recipient: Recipient,
        from: Bound<(Address, StreamId)>,
    ) -> impl Iterator<Item = &GroupKey> {
        let name = |(sender, stream)| GroupKey { role, recipient, sender, stream: Some(stream) };
        let [first, last] = [0, u8::MAX]
            .map(|byte| name((Address::from_bytes([byte; 32]), StreamId::from_bytes([byte; 32]))));
        let from = match from {
            Bound::Unbounded => Bound::Included(first),
            Bound::Included(_) | Bound::Excluded(_) => from.map(name),
        };
        self.by_key.range((from, Bound::Included(last))).map(|(key, _)| key)
    }

    /// Bytes in use, costs included.
    pub fn used(&self) -> ByteCount {
        ByteCount(self.used.iter().sum())
    }

    /// What was refused and let go so far.
    pub const fn counters(&self) -> JournalCounters {
        self.counters
    }

    fn refuse(&mut self, why: JournalFull) -> JournalFull {
        self.counters.refused += 1;
        self.counters.beyond_share += u64::from(why == JournalFull::Neighbour);
        why
    }
}

#[cfg(test)]
mod tests;
