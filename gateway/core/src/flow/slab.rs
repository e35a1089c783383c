// SPDX-License-Identifier: AGPL-3.0-or-later
//! Where the flows live, in the order in which they were last touched: one list for each origin and standing, so that
//! the flow that expires first, and the one that a full table gives up first, is the head of a list.
//!
//! Threads read the clock before they come here, so two packets may come in the other order than their times. A flow
//! then ends late by that little, and never early: its `last_seen` does not go back.

use core::time::Duration;

use ratman_types::{Address, Timestamp};

use super::record::{Flow, Origin, Standing};

/// Standings, and as many lists of either origin.
const STANDINGS: usize = 5;

/// What a flow that both sides have used is worth: not given up within this time, in which most applications that
/// still want it send something.
const RECENT: Duration = Duration::from_secs(30);

/// How many flows of each list are looked at for one of a certain remote. It holds half of those of its origin when it
/// is looked for, so that a few tries find one.
const TRIES: usize = 32;

#[derive(Debug)]
struct Slot {
    flow: Flow,
    list: usize,
    older: Option<usize>,
    newer: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct List {
    oldest: Option<usize>,
    newest: Option<usize>,
}

/// Flows under indices that stay valid until they are removed.
#[derive(Debug, Default)]
pub(super) struct FlowSlab {
    slots: Vec<Slot>,
    free: Vec<usize>,
    // INVARIANT: each used slot is in exactly the list that it names, behind all that were touched before it.
    lists: [List; 2 * STANDINGS],
}

fn list_of(origin: Origin, standing: Standing) -> usize {
    let standing = match standing {
        Standing::HalfOpen => 0,
        Standing::Unanswered => 1,
        Standing::Echo => 2,
        Standing::Answered => 3,
        Standing::Established => 4,
    };
    match origin {
        Origin::Ours => standing,
        Origin::Theirs => STANDINGS + standing,
    }
}

impl FlowSlab {
    /// Adds a flow as the one seen last.
    pub(super) fn insert(&mut self, flow: Flow) -> usize {
        let slot = Slot { flow, list: list_of(flow.origin, flow.standing()), older: None, newer: None };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.append(at);
        at
    }

    pub(super) fn get(&self, at: usize) -> &Flow {
        &self.slots[at].flow
    }

    /// After a change of standing or time, [`touched`](Self::touched) must follow.
    pub(super) fn get_mut(&mut self, at: usize) -> &mut Flow {
        &mut self.slots[at].flow
    }

    /// Puts a flow behind all others of its standing, as the one seen last.
    pub(super) fn touched(&mut self, at: usize) {
        let flow = &self.slots[at].flow;
        let list = list_of(flow.origin, flow.standing());
        if self.lists[list].newest == Some(at) {
            return;
        }
        self.detach(at);
        self.slots[at].list = list;
        self.append(at);
    }

    pub(super) fn remove(&mut self, at: usize) {
        self.detach(at);
        self.free.push(at);
    }

    /// The flow whose idle time ends first.
    pub(super) fn first_to_expire(&self) -> Option<usize> {
        let heads = self.lists.iter().filter_map(|list| list.oldest);
        heads.min_by_key(|&at| self.slots[at].flow.expires())
    }

    /// The flow of this origin that a new one may push out, of all remotes or of `only` one: the longest idle that
    /// nobody has answered, or one that was answered but not used lately. Never an established TCP connection.
    pub(super) fn victim(&self, origin: Origin, only: Option<&Address>, now: Timestamp) -> Option<usize> {
        let first = |standing| self.oldest_of(list_of(origin, standing), only);
        let spare = [Standing::HalfOpen, Standing::Unanswered, Standing::Echo].map(first);
        let spare = spare.into_iter().flatten().min_by_key(|&at| self.slots[at].flow.last_seen);
        let idle = || first(Standing::Answered).filter(|&at| self.slots[at].flow.last_seen + RECENT <= now);
        spare.or_else(idle)
    }

    fn oldest_of(&self, list: usize, only: Option<&Address>) -> Option<usize> {
        let wanted = |at: &usize| only.is_none_or(|remote| self.slots[*at].flow.remote == *remote);
        core::iter::successors(self.lists[list].oldest, |&at| self.slots[at].newer).take(TRIES).find(wanted)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Flow> {
        let slot = |at: usize| &self.slots[at];
        self.lists.iter().flat_map(move |list| {
            let oldest = list.oldest.map(slot);
            core::iter::successors(oldest, move |used| used.newer.map(slot)).map(|used| &used.flow)
        })
    }

    fn append(&mut self, at: usize) {
        let list = &mut self.lists[self.slots[at].list];
        let before = list.newest.replace(at);
        match before {
            Some(before) => self.slots[before].newer = Some(at),
            None => list.oldest = Some(at),
        }
        self.slots[at].older = before;
        self.slots[at].newer = None;
    }

    fn detach(&mut self, at: usize) {
        let Slot { list, older, newer, .. } = self.slots[at];
        match older {
            Some(older) => self.slots[older].newer = newer,
            None => self.lists[list].oldest = newer,
        }
        match newer {
            Some(newer) => self.slots[newer].older = older,
            None => self.lists[list].newest = older,
        }
    }
}
