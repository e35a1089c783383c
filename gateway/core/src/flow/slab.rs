// SPDX-License-Identifier: AGPL-3.0-or-later
//! Where the flows live, in the order in which they were last touched: one list for each idle time, so that the flow
//! that expires first is the head of a list and every step takes constant time.
//!
//! Threads read the clock before they come here, so two packets may come in the other order than their times. A flow
//! then ends late by that little, and never early: its `last_seen` does not go back.

use super::record::{Flow, FlowKind};
use super::tcp::TcpPhase;

/// Lists of equal idle time: TCP established, TCP else, UDP and others, ICMP echo.
const LISTS: usize = 4;

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
    // INVARIANT: each used slot is in exactly the list of its flow's kind, behind all that were touched before it.
    lists: [List; LISTS],
}

fn list_of(kind: FlowKind) -> usize {
    match kind {
        FlowKind::Tcp(TcpPhase::Established) => 0,
        FlowKind::Tcp(TcpPhase::Opening | TcpPhase::Closing) => 1,
        FlowKind::Udp | FlowKind::Other => 2,
        FlowKind::Echo => 3,
    }
}

impl FlowSlab {
    /// Adds a flow as the one seen last.
    pub(super) fn insert(&mut self, flow: Flow) -> usize {
        let slot = Slot { flow, list: list_of(flow.kind), older: None, newer: None };
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

    /// After a change of kind or time, [`touched`](Self::touched) must follow.
    pub(super) fn get_mut(&mut self, at: usize) -> &mut Flow {
        &mut self.slots[at].flow
    }

    /// Puts a flow behind all others of its kind, as the one seen last.
    pub(super) fn touched(&mut self, at: usize) {
        let list = list_of(self.slots[at].flow.kind);
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
