// SPDX-License-Identifier: AGPL-3.0-or-later
//! Groups and their flows: finds the flow of a key, and the flow whose turn it is.

use core::hash::{BuildHasherDefault, Hasher};
use std::collections::HashMap;

use super::QueueKey;
use super::codel::Codel;
use super::items::Fifo;
use super::limits::{MAX_FLOWS, MAX_GROUPS, SHARED_FLOWS};
use super::round::{Members, Round, Turn};

/// Flows and groups whose slots an empty queue keeps: what a link sees in quiet times.
const KEPT_FLOWS: usize = 256;
const KEPT_GROUPS: usize = 8;

/// What a flow is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum FlowName {
    Own(QueueKey),
    /// For flows beyond [`MAX_FLOWS`] of the group in this slot.
    Shared {
        group: usize,
        bucket: u64,
    },
}

#[derive(Debug)]
pub(super) struct Flow {
    pub(super) fifo: Fifo,
    pub(super) codel: Codel,
    group: usize,
    name: FlowName,
}

#[derive(Debug)]
struct Group {
    round: Round,
    /// None for the one that groups beyond [`MAX_GROUPS`] share.
    name: Option<u32>,
    own_flows: usize,
    shared_flows: usize,
}

type Names<K> = HashMap<K, usize, BuildHasherDefault<Mix>>;

/// Two levels of rounds over the flows that have items, or had some a moment ago.
#[derive(Debug)]
pub(super) struct Tree {
    quantum: u32,
    round: Round,
    groups: Members<Group>,
    flows: Members<Flow>,
    // INVARIANT: each flow is here under its name, and in the round of its group.
    flow_names: Names<FlowName>,
    // INVARIANT: each group is here under its name, or is `shared_group`.
    group_names: Names<u32>,
    shared_group: Option<usize>,
}

impl Tree {
    pub(super) fn new(quantum: u32) -> Self {
        Self {
            quantum,
            round: Round::new(),
            groups: Members::new(),
            flows: Members::new(),
            flow_names: Names::default(),
            group_names: Names::default(),
            shared_group: None,
        }
    }

    pub(super) fn flows(&self) -> usize {
        self.flows.len()
    }

    pub(super) fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Whether more slots are held than an empty queue should.
    pub(super) fn is_large(&self) -> bool {
        self.flows.slots() > KEPT_FLOWS || self.groups.slots() > KEPT_GROUPS
    }

    pub(super) fn flow(&self, id: usize) -> &Flow {
        self.flows.get(id)
    }

    pub(super) fn flow_mut(&mut self, id: usize) -> &mut Flow {
        self.flows.get_mut(id)
    }

    /// The flow that an item of this key belongs to. A key stays with a flow as long as that has items, so its items
    /// stay in order.
    pub(super) fn flow_of(&mut self, key: QueueKey) -> usize {
        let own = FlowName::Own(key);
        if let Some(&id) = self.flow_names.get(&own) {
            return id;
        }
        let group = self.group_of(key.group);
        let shared = FlowName::Shared { group, bucket: key.flow % SHARED_FLOWS };
        let Group { own_flows, shared_flows, .. } = self.groups.get(group);
        // Earlier items of this key may wait there.
        if *shared_flows > 0
            && let Some(&id) = self.flow_names.get(&shared)
        {
            return id;
        }
        let name = if *own_flows < MAX_FLOWS { own } else { shared };
        self.add_flow(group, name)
    }

    fn add_flow(&mut self, group: usize, name: FlowName) -> usize {
        let place = self.groups.get_mut(group);
        *place.flows_like(name) += 1;
        let flow = Flow { fifo: Fifo::default(), codel: Codel::default(), group, name };
        let id = place.round.join(&mut self.flows, flow, self.quantum);
        self.flow_names.insert(name, id);
        id
    }

    fn group_of(&mut self, name: u32) -> usize {
        if let Some(id) = self.group_names.get(&name).copied().or(self.shared_group) {
            return id;
        }
        let own = self.group_names.len() < MAX_GROUPS;
        let group = Group { round: Round::new(), name: own.then_some(name), own_flows: 0, shared_flows: 0 };
        let id = self.round.join(&mut self.groups, group, self.quantum);
        if own {
            self.group_names.insert(name, id);
        } else {
            self.shared_group = Some(id);
        }
        id
    }

    /// Takes note that a flow holds `memory` bytes more.
    pub(super) fn grow(&mut self, flow: usize, memory: usize) {
        let group = self.flows.get(flow).group;
        self.groups.get_mut(group).round.grow(&mut self.flows, flow, memory);
        self.round.grow(&mut self.groups, group, memory);
    }

    /// Takes note that a flow holds `memory` bytes less.
    pub(super) fn shrink(&mut self, flow: usize, memory: usize) {
        let group = self.flows.get(flow).group;
        self.groups.get_mut(group).round.shrink(&mut self.flows, flow, memory);
        self.round.shrink(&mut self.groups, group, memory);
    }

    /// Lets a flow and its group pay for what the flow sent.
    pub(super) fn charge(&mut self, flow: usize, bytes: u32) {
        self.groups.charge(self.flows.get(flow).group, bytes);
        self.flows.charge(flow, bytes);
    }

    /// A flow that holds most, of a group that holds most, each to within a fifth.
    pub(super) fn fattest(&self) -> Option<usize> {
        self.groups.get(self.round.fattest()?).round.fattest()
    }

    /// The flow whose turn it is; it has an item.
    pub(super) fn next(&mut self) -> Option<usize> {
        loop {
            match self.round.next(&mut self.groups, self.quantum)? {
                Turn::Retire(group) => self.retire_group(group),
                Turn::Serve(group) => {
                    match self.groups.get_mut(group).round.next(&mut self.flows, self.quantum)? {
                        Turn::Retire(flow) => self.retire_flow(flow),
                        Turn::Serve(flow) => return Some(flow),
                    }
                }
            }
        }
    }

    fn retire_flow(&mut self, id: usize) {
        let Flow { group, name, .. } = *self.flows.get(id);
        self.flow_names.remove(&name);
        let place = self.groups.get_mut(group);
        *place.flows_like(name) -= 1;
        place.round.leave(&mut self.flows, id);
    }

    fn retire_group(&mut self, id: usize) {
        while let Some(flow) = self.groups.get(id).round.any() {
            self.retire_flow(flow);
        }
        match self.groups.get(id).name {
            Some(name) => _ = self.group_names.remove(&name),
            None => self.shared_group = None,
        }
        self.round.leave(&mut self.groups, id);
    }
}

impl Group {
    /// The number of flows of this name's kind.
    fn flows_like(&mut self, name: FlowName) -> &mut usize {
        match name {
            FlowName::Own(_) => &mut self.own_flows,
            FlowName::Shared { .. } => &mut self.shared_flows,
        }
    }
}

/// Spreads names over the map. Flow numbers are keyed hashes already and group numbers are our own, so nobody outside
/// can choose what meets here.
#[derive(Clone, Copy, Debug, Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
