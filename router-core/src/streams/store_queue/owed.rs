// SPDX-License-Identifier: AGPL-3.0-or-later
//! Removals that the store did not make: they are repeated until it does, as what they were to remove would be there again
//! at the next start.

use std::collections::{BTreeMap, BTreeSet};

use crate::journal::{GroupNumber, MAX_GROUPS};
use crate::streams::Write;

/// So many removals are kept for repetition: of every group that there can be, and of as many single entries beside, in some
/// megabytes. Of more the newest are forgotten: where nothing is stored for long, what is newest never was.
const MOST: usize = 2 * MAX_GROUPS;

/// One repetition removes about so many entries: a commit of some tens of milliseconds, beside which others wait.
const AT_ONCE: u32 = 1024;

/// A group of more goes in parts anyway.
const PART: u32 = 256;

/// A removal that may have to be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// One entry goes.
    Entry(GroupNumber, u32),
    /// A group goes, of so many entries, with what is known of it.
    Group(GroupNumber, u32),
    /// All entries of a group go, and something else is known of it from then on. Only as a whole: what is known of a group
    /// without entries must not be that it has some.
    Replace(GroupNumber, u32, Vec<u8>),
}

impl Removal {
    /// Those among `writes`, in their order.
    pub(super) fn all_of(writes: &[Write]) -> Vec<Self> {
        let record_of = |group: &GroupNumber| {
            writes.iter().rev().find_map(|write| match write {
                Write::Group { group: of, record } if of == group => Some(record.clone()),
                Write::Group { .. } | Write::Entry { .. } => None,
                Write::RemoveEntry { .. } | Write::RemoveGroup { .. } => None,
            })
        };
        let removal = |write: &Write| match write {
            Write::RemoveEntry { group, number } => Some(Self::Entry(*group, *number)),
            Write::RemoveGroup { group, entries, record: true } => Some(Self::Group(*group, *entries)),
            Write::RemoveGroup { group, entries, record: false } => {
                Some(Self::Replace(*group, *entries, record_of(group)?))
            }
            Write::Entry { .. } | Write::Group { .. } => None,
        };
        writes.iter().filter_map(removal).collect()
    }

    fn into_writes(self) -> Vec<Write> {
        match self {
            Self::Entry(group, number) => vec![Write::RemoveEntry { group, number }],
            Self::Group(group, entries) => vec![Write::RemoveGroup { group, entries, record: true }],
            Self::Replace(group, entries, record) => {
                vec![Write::RemoveGroup { group, entries, record: false }, Write::Group { group, record }]
            }
        }
    }

    fn entries(&self) -> u32 {
        match self {
            Self::Entry(..) => 1,
            Self::Group(_, entries) | Self::Replace(_, entries, _) => (*entries).clamp(1, PART),
        }
    }
}

/// What is known of a group whose removal is owed.
#[derive(Debug)]
struct OfGroup {
    entries: u32,
    /// What is known of it instead; nothing where that goes too.
    record: Option<Vec<u8>>,
}

/// All that is to be repeated.
#[derive(Debug, Default)]
pub(super) struct Owed {
    // INVARIANT: at most MOST of both; no entries of groups that go as a whole.
    groups: BTreeMap<GroupNumber, OfGroup>,
    entries: BTreeSet<(GroupNumber, u32)>,
    forgotten: u64,
}

impl Owed {
    /// The store did not do this.
    pub(super) fn add(&mut self, removal: Removal) {
        match removal {
            Removal::Entry(group, number) => {
                if !self.groups.contains_key(&group) {
                    self.entries.insert((group, number));
                }
            }
            Removal::Group(group, entries) => self.add_group(group, OfGroup { entries, record: None }),
            Removal::Replace(group, entries, record) => {
                // What goes for good does not come back as something else.
                if self.groups.get(&group).is_none_or(|owed| owed.record.is_some()) {
                    self.add_group(group, OfGroup { entries, record: Some(record) });
                }
            }
        }
        if self.len() > MOST {
            self.forget_newest();
        }
    }

    fn add_group(&mut self, group: GroupNumber, mut of: OfGroup) {
        let single: Vec<_> = self.entries.range((group, 0)..=(group, u32::MAX)).copied().collect();
        single.iter().for_each(|entry| _ = self.entries.remove(entry));
        of.entries = of.entries.max(u32::try_from(single.len()).unwrap_or(u32::MAX));
        of.entries = of.entries.max(self.groups.get(&group).map_or(0, |before| before.entries));
        self.groups.insert(group, of);
    }

    /// A group is about to go for good: what is owed of it goes with it, and nothing else is to be known of it any more.
    pub(super) fn goes_for_good(&mut self, group: GroupNumber) {
        if let Some(of) = self.groups.get_mut(&group) {
            of.record = None;
        }
    }

    /// The next to be repeated, the oldest first, as many as go at once.
    pub(super) fn take(&mut self) -> Vec<Removal> {
        let (mut taken, mut entries) = (Vec::new(), 0);
        while entries < AT_ONCE
            && let Some(removal) = self.take_oldest()
        {
            entries += removal.entries();
            taken.push(removal);
        }
        taken
    }

    fn take_oldest(&mut self) -> Option<Removal> {
        if let Some((group, OfGroup { entries, record })) = self.groups.pop_first() {
            return Some(match record {
                Some(record) => Removal::Replace(group, entries, record),
                None => Removal::Group(group, entries),
            });
        }
        self.entries.pop_first().map(|(group, number)| Removal::Entry(group, number))
    }

    fn forget_newest(&mut self) {
        let newest_group = self.groups.last_key_value().map(|(group, _)| *group);
        let newest_entry = self.entries.last().map(|(group, _)| *group);
        if newest_group > newest_entry {
            self.groups.pop_last();
        } else {
            self.entries.pop_last();
        }
        if self.forgotten == 0 {
            tracing::warn!(
                "too many removals were not stored: some of what was removed is here again after a restart"
            );
        }
        self.forgotten += 1;
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.groups.len() + self.entries.len()
    }

    /// How many found no room.
    pub(super) const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

/// The changes that make these removals.
pub(super) fn writes_of(removals: &[Removal]) -> Vec<Write> {
    removals.iter().cloned().flat_map(Removal::into_writes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(owed: &mut Owed) -> Vec<Removal> {
        core::iter::repeat_with(|| owed.take()).take_while(|taken| !taken.is_empty()).flatten().collect()
    }

    #[test]
    fn what_goes_as_a_whole_takes_its_entries_along() {
        let mut owed = Owed::default();
        let [one, two] = [1, 2].map(GroupNumber);
        for removal in [
            Removal::Entry(one, 3),
            Removal::Entry(one, 4),
            Removal::Entry(one, 4),
            Removal::Entry(two, 9),
            Removal::Group(one, 1),
            Removal::Entry(one, 5),
        ] {
            owed.add(removal);
        }
        assert_eq!(owed.len(), 2);
        assert_eq!(drain(&mut owed), [Removal::Group(one, 2), Removal::Entry(two, 9)]);
    }

    #[test]
    fn what_goes_for_good_does_not_come_back_as_something_else() {
        let group = GroupNumber(1);
        let replace = || Removal::Replace(group, 7, vec![1]);
        let mut owed = Owed::default();
        owed.add(replace());
        owed.goes_for_good(group);
        assert_eq!(drain(&mut owed), [Removal::Group(group, 7)]);
        owed.add(Removal::Group(group, 0));
        owed.add(replace());
        assert_eq!(drain(&mut owed), [Removal::Group(group, 0)]);
        owed.add(replace());
        owed.add(Removal::Group(group, 0));
        assert_eq!(drain(&mut owed), [Removal::Group(group, 7)], "with the entries that are owed");
    }

    #[test]
    fn one_commit_removes_so_much_and_no_more() {
        let mut owed = Owed::default();
        for group in 0..10 {
            owed.add(Removal::Group(GroupNumber(group), u32::MAX));
        }
        assert_eq!([(); 4].map(|()| owed.take().len()), [4, 4, 2, 0]);
        for number in 0..2_000 {
            owed.add(Removal::Entry(GroupNumber(1), number));
        }
        assert_eq!([(); 3].map(|()| owed.take().len()), [1_024, 976, 0]);
    }

    #[test]
    fn of_too_many_the_newest_are_forgotten_and_counted() {
        let mut owed = Owed::default();
        for number in 0..=u32::try_from(MOST).unwrap() {
            owed.add(Removal::Entry(GroupNumber((number / 4).into()), number));
        }
        owed.add(Removal::Group(GroupNumber(0), 0));
        for group in 0..10 {
            owed.add(Removal::Group(GroupNumber(1_000_000 + group), 1));
        }
        // The first group took four entries along, in the place of which three others came.
        assert_eq!((owed.len(), owed.forgotten()), (MOST, 8));
        let kept = drain(&mut owed);
        assert_eq!(kept.first(), Some(&Removal::Group(GroupNumber(0), 4)));
        assert!(kept.contains(&Removal::Group(GroupNumber(1_000_002), 1)));
        assert!(!kept.contains(&Removal::Group(GroupNumber(1_000_003), 1)));
    }
}
