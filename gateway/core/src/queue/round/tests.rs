// SPDX-License-Identifier: AGPL-3.0-or-later
//! The order of one level, member by member.

use super::*;

const QUANTUM: u32 = 1000;

struct Level {
    round: Round,
    members: Members<()>,
}

impl Level {
    fn new() -> Self {
        Self { round: Round::new(), members: Members::new() }
    }

    /// A member with `backlog` bytes.
    fn member(&mut self, backlog: usize) -> usize {
        let id = self.round.join(&mut self.members, (), QUANTUM);
        self.round.grow(&mut self.members, id, backlog);
        id
    }

    fn next(&mut self) -> Option<Turn> {
        self.round.next(&mut self.members, QUANTUM)
    }

    /// Serves one item of this many bytes, and says whose it was.
    fn serve(&mut self, bytes: u32) -> usize {
        let Some(Turn::Serve(id)) = self.next() else { panic!("somebody has items") };
        self.members.charge(id, bytes);
        self.round.shrink(&mut self.members, id, usize::try_from(bytes).unwrap());
        id
    }
}

#[test]
fn a_turn_lasts_one_quantum_and_a_debt_is_paid() {
    let mut level = Level::new();
    let (a, b) = (level.member(1_000_000), level.member(1_000_000));
    let small: Vec<_> = (0..8).map(|_| level.serve(500)).collect();
    assert_eq!(small, [a, a, b, b, a, a, b, b]);
    assert_eq!(level.serve(4500), a, "served although it is more than the quantum");
    let meanwhile: Vec<_> = (0..10).map(|_| level.serve(500)).collect();
    assert_eq!(meanwhile, [vec![b; 8], vec![a, b]].concat());
}

#[test]
fn a_fresh_member_goes_first_but_for_one_quantum_only() {
    let mut level = Level::new();
    let old = level.member(1_000_000);
    level.serve(1000);
    assert_eq!(level.serve(10), old);
    let fresh = level.member(1_000_000);
    let order: Vec<_> = (0..4).map(|_| level.serve(500)).collect();
    assert_eq!(order, [fresh, fresh, old, old]);
}

#[test]
fn a_member_that_keeps_emptying_gains_nothing() {
    let mut level = Level::new();
    let bulk = level.member(1_000_000);
    let cheat = level.member(500);
    let mut sent = [0; 2];
    for _ in 0..1000 {
        let id = level.serve(500);
        sent[id] += 1;
        if id == cheat {
            level.round.grow(&mut level.members, cheat, 500);
        }
    }
    assert_eq!(sent[bulk], sent[cheat]);
}

#[test]
fn a_member_with_a_debt_stays_until_it_is_paid() {
    let mut level = Level::new();
    let (bulk, once) = (level.member(1_000_000), level.member(5000));
    level.serve(100);
    level.serve(900);
    assert_eq!(level.serve(5000), once);
    // Five quanta until the other has a whole one again, and the round in which it spends nothing.
    let mut spent = 0;
    while level.next() == Some(Turn::Serve(bulk)) {
        level.serve(500);
        spent += 500;
    }
    assert_eq!(level.next(), Some(Turn::Retire(once)));
    assert_eq!(spent, 6000);
}

#[test]
fn a_member_that_wakes_with_credit_goes_first_and_without_waits() {
    let mut level = Level::new();
    let (bulk, ping) = (level.member(1_000_000), level.member(100));
    level.serve(1000);
    assert_eq!(level.serve(100), ping);
    for _ in 0..9 {
        assert_eq!(level.serve(10), bulk);
        level.round.grow(&mut level.members, ping, 100);
        assert_eq!(level.serve(100), ping);
    }
    level.round.grow(&mut level.members, ping, 100);
    assert_eq!(level.serve(10), bulk, "the quantum of this round is spent");
}

#[test]
fn idle_members_retire_and_their_slots_are_used_again() {
    let mut level = Level::new();
    let only = level.member(100);
    level.serve(100);
    assert_eq!(level.next(), Some(Turn::Retire(only)));
    level.round.leave(&mut level.members, only);
    assert_eq!((level.next(), level.round.any(), level.members.len()), (None, None, 0));
    assert_eq!(level.member(1), only);
    assert_eq!(level.members.slots(), 1);
}
