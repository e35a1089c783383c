// SPDX-License-Identifier: AGPL-3.0-or-later
//! Deficit round robin with sparse members first (RFC 8290), for groups among each other and for flows in a group.
//!
//! Each member may spend one quantum per round, which it is granted when its turn comes. Until then it may go
//! first with what is left of the last one, so long as it empties in between. Where this differs from RFC 8290, it is
//! because items may be many times larger than the quantum, so that rounds last long and debts are large:
//!
//! - A member that empties keeps its place in the round until a whole round has passed in which it spent nothing,
//!   so leaving and coming back gains it neither a second quantum nor the remission of a debt.
//! - If it gets an item before that, and has credit left, it goes first again. A ping in every round
//!   is thus always served next, while a member that sends more than its share is not.

use super::chain::{Chain, Links};
use super::sizes::Sizes;

#[derive(Debug)]
struct Member<X> {
    data: X,
    /// What it may still spend in this round, in bytes; the next item may overdraw it.
    credit: i64,
    /// Bytes held by its items, 0 if it has none.
    backlog: usize,
    /// Whether it is among those that go first.
    fresh: bool,
    /// Whether its turn has come, and with it the quantum.
    granted: bool,
}

/// The slots of all members of one kind, whichever round they are in.
#[derive(Debug)]
pub(super) struct Members<X> {
    slots: Vec<Member<X>>,
    turns: Vec<Links>,
    fresh: Vec<Links>,
    sizes: Vec<Links>,
    free: Vec<usize>,
}

impl<X> Members<X> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), turns: Vec::new(), fresh: Vec::new(), sizes: Vec::new(), free: Vec::new() }
    }

    /// Members that there are now.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Members that there were at once; their slots stay until the queue is made anew.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn get(&self, id: usize) -> &X {
        &self.slots[id].data
    }

    pub(super) fn get_mut(&mut self, id: usize) -> &mut X {
        &mut self.slots[id].data
    }

    /// Lets a member pay for what it sent.
    pub(super) fn charge(&mut self, id: usize, bytes: u32) {
        self.slots[id].credit -= i64::from(bytes);
    }

    fn add(&mut self, member: Member<X>) -> usize {
        if let Some(id) = self.free.pop() {
            self.slots[id] = member;
            return id;
        }
        self.slots.push(member);
        self.turns.push(Links::default());
        self.fresh.push(Links::default());
        self.sizes.push(Links::default());
        self.slots.len() - 1
    }
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// This member's next item.
    Serve(usize),
    /// This member has neither items nor debts and can be removed; ask again then.
    Retire(usize),
}

/// The order of the members of one level.
#[derive(Debug)]
pub(super) struct Round {
    /// Everybody, whoever's turn it is first.
    turns: Chain,
    /// Those that go before the first of all turns.
    fresh: Chain,
    sizes: Sizes,
}

impl Round {
    pub(super) fn new() -> Self {
        Self { turns: Chain::default(), fresh: Chain::default(), sizes: Sizes::new() }
    }

    /// Adds a member, without items as yet, behind the other fresh ones.
    pub(super) fn join<X>(&mut self, members: &mut Members<X>, data: X, quantum: u32) -> usize {
        let member = Member { data, credit: quantum.into(), backlog: 0, fresh: true, granted: false };
        let id = members.add(member);
        self.turns.append(&mut members.turns, id);
        self.fresh.append(&mut members.fresh, id);
        id
    }

    /// Removes a member without items.
    pub(super) fn leave<X>(&mut self, members: &mut Members<X>, id: usize) {
        self.turns.remove(&mut members.turns, id);
        if members.slots[id].fresh {
            self.fresh.remove(&mut members.fresh, id);
        }
        members.free.push(id);
    }

    /// Some member, as long as there is one.
    pub(super) fn any(&self) -> Option<usize> {
        self.turns.first()
    }

    /// One of the members that hold the most bytes.
    pub(super) fn fattest(&self) -> Option<usize> {
        self.sizes.largest()
    }

    /// Takes note that a member holds `memory` bytes more.
    pub(super) fn grow<X>(&mut self, members: &mut Members<X>, id: usize, memory: usize) {
        let member = &mut members.slots[id];
        let before = member.backlog;
        member.backlog += memory;
        self.sizes.resize(&mut members.sizes, id, before, member.backlog);
        if before == 0 && member.credit > 0 && !member.fresh {
            member.fresh = true;
            self.fresh.append(&mut members.fresh, id);
        }
    }

    /// Takes note that a member holds `memory` bytes less.
    pub(super) fn shrink<X>(&mut self, members: &mut Members<X>, id: usize, memory: usize) {
        let backlog = &mut members.slots[id].backlog;
        let before = *backlog;
        *backlog -= memory;
        self.sizes.resize(&mut members.sizes, id, before, *backlog);
    }

    /// Whose turn it is; the same until that member is charged, emptied or removed, or a fresh one comes.
    pub(super) fn next<X>(&mut self, members: &mut Members<X>, quantum: u32) -> Option<Turn> {
        while let Some(id) = self.fresh.first() {
            let member = &mut members.slots[id];
            if member.backlog > 0 && member.credit > 0 {
                return Some(Turn::Serve(id));
            }
            member.fresh = false;
            self.fresh.remove(&mut members.fresh, id);
        }
        let quantum = i64::from(quantum);
        while let Some(id) = self.turns.first() {
            let member = &mut members.slots[id];
            if !member.granted {
                if member.backlog == 0 && member.credit >= quantum {
                    return Some(Turn::Retire(id));
                }
                member.credit = quantum.min(member.credit + quantum);
                member.granted = true;
            }
            if member.backlog > 0 && member.credit > 0 {
                return Some(Turn::Serve(id));
            }
            member.granted = false;
            self.turns.remove(&mut members.turns, id);
            self.turns.append(&mut members.turns, id);
        }
        None
    }
}

#[cfg(test)]
mod tests;
