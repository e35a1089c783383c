// SPDX-License-Identifier: AGPL-3.0-or-later
//! How much of what is carried for others each neighbour brought, and what more it may bring.
//!
//! What is carried stays until it is delivered or its time has passed, so that who fills the journal with it keeps all others
//! out for as long. So a neighbour may hold as much as is still free of what may be carried, and no more: alone half of it,
//! of several each the same, and whoever comes next still finds half of what is left
//! (decisions/what-one-neighbour-may-have-carried.md).

use std::collections::BTreeMap;

use ratman_types::{ByteCount, RouterId};

use super::{Group, Role};

/// Groups, entries and bytes, costs included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    groups: usize,
    entries: usize,
    bytes: u64,
}

/// What is carried, by who brought it.
#[derive(Debug, Default)]
pub(super) struct Shares {
    // INVARIANT: those with groups only, of which there are at most as many as of role `Carried`; their sum is `all`.
    of: BTreeMap<Option<RouterId>, Amount>,
    all: Amount,
}

impl Shares {
    /// A group came into the journal.
    pub(super) fn add(&mut self, group: &Group) {
        if group.key.role == Role::Carried {
            for amount in [self.of.entry(group.brought_by).or_default(), &mut self.all] {
                amount.groups += 1;
                amount.entries += group.len();
                amount.bytes += group.cost();
            }
        }
    }

    /// A group left the journal.
    pub(super) fn remove(&mut self, group: &Group) {
        let Some(of) = self.of.get_mut(&group.brought_by).filter(|_| group.key.role == Role::Carried) else {
            return;
        };
        for amount in [&mut *of, &mut self.all] {
            amount.groups -= 1;
            amount.entries -= group.len();
            amount.bytes -= group.cost();
        }
        if of.groups == 0 {
            self.of.remove(&group.brought_by);
        }
    }

    /// A group that is there has one entry more, which costs so much.
    pub(super) fn grow(&mut self, (role, brought_by): (Role, Option<RouterId>), bytes: u64) {
        if let Some(of) = self.of.get_mut(&brought_by).filter(|_| role == Role::Carried) {
            for amount in [of, &mut self.all] {
                amount.entries += 1;
                amount.bytes += bytes;
            }
        }
    }

    /// Whether a neighbour may bring another group of this role.
    pub(super) fn may_open(&self, role: Role, neighbour: Option<RouterId>) -> bool {
        let free = Role::Carried.share_of_groups().saturating_sub(self.all.groups);
        role != Role::Carried || self.held(neighbour).groups < free
    }

    /// Whether a neighbour may bring another entry of this role, which costs so much.
    pub(super) fn may_add(
        &self,
        (role, neighbour): (Role, Option<RouterId>),
        cost: u64,
        quota: ByteCount,
    ) -> bool {
        let held = self.held(neighbour);
        let entries = Role::Carried.share_of_entries().saturating_sub(self.all.entries);
        let bytes = Role::Carried.share_of(quota).saturating_sub(self.all.bytes);
        role != Role::Carried || held.entries < entries && held.bytes.saturating_add(cost) <= bytes
    }

    fn held(&self, neighbour: Option<RouterId>) -> Amount {
        self.of.get(&neighbour).copied().unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn is_sum_of<'a>(&self, groups: impl Iterator<Item = &'a Group>) -> bool {
        let mut anew = Self::default();
        groups.for_each(|group| anew.add(group));
        (&anew.of, anew.all) == (&self.of, self.all)
    }
}
