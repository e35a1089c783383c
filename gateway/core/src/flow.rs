// SPDX-License-Identifier: AGPL-3.0-or-later
//! The flow table: what one side starts may be answered, by the remote it went to or came from and by nobody else. Which
//! flows may start is the [firewall](crate::firewall)'s to say; this table remembers them, and stays usable for those
//! that are open while others are opened in masses.

mod fragments;
mod key;
mod local;
mod record;
mod seed;
mod shares;
mod slab;
mod tcp;

use core::hash::BuildHasher;
use std::collections::HashMap;

use ipnet::IpNet;
use ratman_types::{Address, Timestamp};

use crate::drop_reason::GatewayDrop;
use crate::firewall::Firewall;
use crate::packet::{Direction, Fragment, PacketInfo, Transport};
use fragments::{Fragments, Way};
use local::Local;
use shares::Shares;
use slab::FlowSlab;

pub use crate::firewall::{Denied, RuleId};
pub use key::FlowKey;
pub use record::{Flow, FlowKind, Origin, Traffic};
pub use seed::HashSeed;
pub use shares::{MAX_FLOWS_PER_ORIGIN, MAX_FLOWS_PER_REMOTE, NEW_FLOWS_BURST, NEW_FLOWS_PER_SECOND};
pub use tcp::TcpPhase;

/// Flows held at once. A desktop has hundreds and a busy gateway some ten thousand; full, the table takes about
/// 20 MiB.
pub const MAX_FLOWS: usize = 65_536;

/// Expired flows that the creation of a new one removes: more than are created, so that the table shrinks even
/// where nobody calls [`FlowTable::expire`].
const EXPIRE_PER_NEW_FLOW: usize = 4;

/// Why a packet may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowVerdict {
    /// It is the first of a flow.
    New,
    /// It belongs to a flow in the table.
    Known,
    /// It is an ICMP error about a flow in the table.
    Related,
}

/// A packet that may pass, and what is to be known of its flow on the way. Fragments and ICMP errors have those of the
/// flow that they are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Why.
    pub verdict: FlowVerdict,
    /// The seeded hash of the flow, the same for both directions and as long as the flow lives.
    pub hash: u64,
    /// The TUN queue of the flow, see [`Flow::queue`].
    pub queue: u8,
    /// The rule that has just accepted a connection; none for packets of open flows and where the default accepted.
    pub rule: Option<RuleId>,
    /// Whether to write a line about it, as [`Denied::log`].
    pub log: bool,
}

/// What has happened to flows since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowStats {
    /// Flows made.
    pub created: u64,
    /// Flows that were idle for too long.
    pub expired: u64,
    /// Flows pushed out by new ones before their time.
    pub evicted: u64,
    /// Flows not made because the table or the remote's share of it holds none to push out, or because the remote
    /// opens them too fast.
    pub refused: u64,
    /// Fragmented packets whose later fragments were given up for those of a newer packet.
    pub fragments_displaced: u64,
}

/// All flows.
///
/// Flows that our side opened and flows from outside have half of the table each, and one remote at most half of
/// that. Where there is no room, a new flow pushes out one that was never answered, else one that was but is
/// idle for half a minute, the longest idle first; it never pushes out an established connection, and is rather
/// refused.
#[derive(Debug)]
pub struct FlowTable {
    seed: HashSeed,
    // INVARIANT: an index for exactly the flows in `slab`, under their own keys.
    index: HashMap<FlowKey, usize, HashSeed>,
    slab: FlowSlab,
    // INVARIANT: what is counted here sums up to the number of flows.
    shares: Shares,
    fragments: Fragments,
    local: Local,
    queues: u8,
    firewall: Firewall,
    stats: FlowStats,
}

impl FlowTable {
    /// An empty table. The seed keys its hashes and must be random, so that nobody can aim at one bucket; `local`
    /// are our own addresses, which may be pinged and which rules mean by "self", each with the length of its subnet's
    /// prefix; `queues` are those of the TUN device, at least 1.
    pub fn new(seed: HashSeed, local: &[IpNet], queues: u8) -> Self {
        Self {
            seed,
            index: HashMap::with_hasher(seed),
            slab: FlowSlab::default(),
            shares: Shares::new(seed),
            fragments: Fragments::new(seed),
            local: Local::new(local),
            queues: queues.max(1),
            firewall: Firewall::default(),
            stats: FlowStats::default(),
        }
    }

    /// Replaces the rules by which flows may be opened, at first none.
    ///
    /// Open flows go on, even those that the new rules would deny, until they close or are idle for too long; rules of
    /// the same name keep their counts.
    pub fn set_firewall(&mut self, mut firewall: Firewall) {
        firewall.inherit(&self.firewall);
        self.firewall = firewall;
    }

    /// The rules, for status and for the names of rules in the log.
    pub fn firewall(&self) -> &Firewall {
        &self.firewall
    }

    /// Asks whether a packet of our side, read from the queue `via_queue` of the TUN device, may go to `remote`, and
    /// notes that its answers may come.
    ///
    /// `info` is [`PacketInfo::parse`] of `packet`. A flow whose route has moved to another remote starts anew.
    ///
    /// # Errors
    /// [`UnrelatedIcmp`](GatewayDrop::UnrelatedIcmp), [`IcmpType`](GatewayDrop::IcmpType),
    /// [`UnknownFragment`](GatewayDrop::UnknownFragment), [`WrongRemote`](GatewayDrop::WrongRemote) of an ICMP error;
    /// [`MartianSource`](GatewayDrop::MartianSource) and [`MartianDestination`](GatewayDrop::MartianDestination) of
    /// the broadcast address of a subnet of ours; for a new flow [`RuleDenied`](GatewayDrop::RuleDenied), [`RuleRate`](GatewayDrop::RuleRate),
    /// [`RemoteFlows`](GatewayDrop::RemoteFlows), [`FlowTableFull`](GatewayDrop::FlowTableFull).
    pub fn outbound(
        &mut self,
        info: &PacketInfo,
        packet: &[u8],
        remote: Address,
        via_queue: u8,
        now: Timestamp,
    ) -> Result<Passed, Denied> {
        self.local.check(info)?;
        let way = (remote, Direction::Outbound);
        let Some(tuple) = info.tuple() else {
            return self.without_tuple(info, packet, way, now).map_err(Denied::from);
        };
        let key = FlowKey::sent(tuple);
        if let Some(at) = self.live(&key, now) {
            if self.slab.get(at).remote == remote {
                self.pass(at, info, packet, way, now);
                return Ok(self.passed(at, FlowVerdict::Known));
            }
            self.remove(at);
        }
        self.open(key, info, packet, way, Some(via_queue), now)
    }

    /// The hash of the flow of a packet that [`outbound`](Self::outbound) has let pass and that goes to `remote` only now:
    /// nothing is counted again. None if the flow is forgotten, or goes to another remote meanwhile.
    pub fn passed_before(
        &mut self,
        info: &PacketInfo,
        packet: &[u8],
        remote: Address,
        now: Timestamp,
    ) -> Option<u64> {
        let key = match info.tuple() {
            Some(tuple) => FlowKey::sent(tuple),
            None => self.related(info, packet, (remote, Direction::Outbound), now).ok()?.0,
        };
        let at = self.live(&key, now)?;
        let flow = self.slab.get(at);
        (flow.remote == remote).then_some(flow.hash)
    }

    /// Asks whether a packet from `remote` may reach our side. Whether the remote may use its source address was
    /// asked before ([`Remotes::source_allowed`](crate::remotes::Remotes::source_allowed)).
    ///
    /// # Errors
    /// Those of [`outbound`](Self::outbound), and [`SourceIsOurs`](GatewayDrop::SourceIsOurs),
    /// [`NoFlow`](GatewayDrop::NoFlow), [`WrongRemote`](GatewayDrop::WrongRemote),
    /// [`InboundConnection`](GatewayDrop::InboundConnection), [`RemoteFlowRate`](GatewayDrop::RemoteFlowRate).
    pub fn inbound(
        &mut self,
        info: &PacketInfo,
        packet: &[u8],
        remote: Address,
        now: Timestamp,
    ) -> Result<Passed, Denied> {
        self.local.check(info)?;
        if self.local.addresses().contains(&info.source) {
            return Err(GatewayDrop::SourceIsOurs.into());
        }
        let way = (remote, Direction::Inbound);
        let Some(tuple) = info.tuple() else {
            return self.without_tuple(info, packet, way, now).map_err(Denied::from);
        };
        let key = FlowKey::received(tuple);
        let Some(at) = self.live(&key, now) else {
            return self.open(key, info, packet, way, None, now);
        };
        let (rule, log) = self.admit_known(at, info, remote, now)?;
        self.pass(at, info, packet, way, now);
        Ok(Passed { rule, log, ..self.passed(at, FlowVerdict::Known) })
    }

    /// Forgets flows that were idle for too long, at most `limit` of them; returns how many.
    pub fn expire(&mut self, now: Timestamp, limit: usize) -> usize {
        for done in 0..limit {
            match self.slab.first_to_expire() {
                Some(at) if self.slab.get(at).expires() <= now => self.remove(at),
                _ => return done,
            }
            self.stats.expired += 1;
        }
        limit
    }

    /// Every flow, in no order; for status.
    pub fn iter(&self) -> impl Iterator<Item = &Flow> {
        self.slab.iter()
    }

    /// How many flows there are, at most [`MAX_FLOWS`].
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no flow.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// What has happened since the start.
    pub fn stats(&self) -> FlowStats {
        self.stats
    }

    /// The flow under `key` unless its idle time is over.
    fn live(&mut self, key: &FlowKey, now: Timestamp) -> Option<usize> {
        let at = *self.index.get(key)?;
        if self.slab.get(at).expires() > now {
            return Some(at);
        }
        self.remove(at);
        self.stats.expired += 1;
        None
    }

    fn passed(&self, at: usize, verdict: FlowVerdict) -> Passed {
        let Flow { hash, queue, .. } = *self.slab.get(at);
        Passed { verdict, hash, queue, rule: None, log: false }
    }

    /// Whether a packet from `remote` may use this flow. What opens a connection under the ports of another asks the
    /// rules as any new flow does.
    fn admit_known(
        &mut self,
        at: usize,
        info: &PacketInfo,
        remote: Address,
        now: Timestamp,
    ) -> Result<(Option<RuleId>, bool), Denied> {
        let flow = self.slab.get(at);
        if flow.remote != remote {
            return Err(GatewayDrop::WrongRemote.into());
        }
        match info.transport {
            Transport::Tcp { flags, .. } if !flow.admits(flags) => {
                self.ask_firewall(info, (remote, Direction::Inbound), now)
            }
            Transport::Tcp { .. }
            | Transport::Udp { .. }
            | Transport::EchoRequest { .. }
            | Transport::EchoReply { .. }
            | Transport::IcmpError
            | Transport::OtherIcmp(_)
            | Transport::Other
            | Transport::LaterFragment => Ok((None, false)),
        }
    }

    /// Whether a flow may be opened: by the rules, by the pace of its remote, by the rate of its rule. Returns the rule
    /// and whether to log.
    fn ask_firewall(
        &mut self,
        info: &PacketInfo,
        (remote, direction): Way,
        now: Timestamp,
    ) -> Result<(Option<RuleId>, bool), Denied> {
        let rule = self.firewall.judge(info, direction, &remote, self.local.addresses(), now)?;
        // Asked before the rule's bucket: a remote in a hurry must not empty what all remotes share.
        if direction == Direction::Inbound && !self.shares.may_open(&remote, now) {
            self.stats.refused += 1;
            return Err(GatewayDrop::RemoteFlowRate.into());
        }
        let log = rule.map_or(Ok(false), |rule| self.firewall.admit(rule, now))?;
        Ok((rule, log))
    }

    /// Makes a flow, of whose first packet `via_queue` is the TUN queue if it has come from one.
    fn open(
        &mut self,
        key: FlowKey,
        info: &PacketInfo,
        packet: &[u8],
        way: Way,
        via_queue: Option<u8>,
        now: Timestamp,
    ) -> Result<Passed, Denied> {
        let (rule, log) = self.ask_firewall(info, way, now)?;
        let (remote, origin) = (way.0, Origin::of(way.1));
        self.make_room(&remote, origin, now)?;
        let hash = self.seed.hash_one(key);
        let queue = via_queue.unwrap_or_else(|| {
            u8::try_from(hash % u64::from(self.queues)).expect("below the number of queues")
        });
        let at = self.slab.insert(Flow::new(key, info, remote, origin, (hash, queue), now));
        self.index.insert(key, at);
        self.shares.add(remote, origin, now);
        self.stats.created += 1;
        self.pass(at, info, packet, way, now);
        Ok(Passed { rule, log, ..self.passed(at, FlowVerdict::New) })
    }

    /// Counts a packet and keeps its flow alive.
    fn pass(&mut self, at: usize, info: &PacketInfo, packet: &[u8], way: Way, now: Timestamp) {
        let flow = self.slab.get_mut(at);
        flow.pass(info, packet.len(), way.1, now);
        if let Fragment::First { id } = info.fragment {
            let displaced = self.fragments.note(info, way, id, flow.key, now);
            self.stats.fragments_displaced += u64::from(displaced);
        }
        self.slab.touched(at);
    }

    /// Later fragments and ICMP errors pass because of a flow that another packet made; they do not keep it alive
    /// (RFC 5508 REQ-6 for ICMP errors).
    fn without_tuple(
        &mut self,
        info: &PacketInfo,
        packet: &[u8],
        way: Way,
        now: Timestamp,
    ) -> Result<Passed, GatewayDrop> {
        let (key, verdict) = self.related(info, packet, way, now)?;
        let absent = match verdict {
            FlowVerdict::Related => GatewayDrop::UnrelatedIcmp,
            FlowVerdict::Known | FlowVerdict::New => GatewayDrop::UnknownFragment,
        };
        let at = self.live(&key, now).ok_or(absent)?;
        let flow = self.slab.get_mut(at);
        if flow.remote != way.0 {
            return Err(GatewayDrop::WrongRemote);
        }
        flow.count(packet.len(), way.1);
        Ok(self.passed(at, verdict))
    }

    /// The flow that a later fragment or an ICMP error is about, and why it may pass if there is such a flow.
    fn related(
        &mut self,
        info: &PacketInfo,
        packet: &[u8],
        way: Way,
        now: Timestamp,
    ) -> Result<(FlowKey, FlowVerdict), GatewayDrop> {
        if info.transport == Transport::LaterFragment {
            let first = self.fragments.find(info, way, now).ok_or(GatewayDrop::UnknownFragment)?;
            return Ok((first, FlowVerdict::Known));
        }
        if info.transport != Transport::IcmpError {
            return Err(GatewayDrop::IcmpType);
        }
        // An error answers: it quotes what went the other way.
        let quoted = info.quoted(packet).ok_or(GatewayDrop::UnrelatedIcmp)?;
        let key = match way.1 {
            Direction::Outbound => FlowKey::received(quoted),
            Direction::Inbound => FlowKey::sent(quoted),
        };
        Ok((key, FlowVerdict::Related))
    }

    /// Sees to it that a flow may be added without exceeding any limit.
    fn make_room(&mut self, remote: &Address, origin: Origin, now: Timestamp) -> Result<(), GatewayDrop> {
        self.expire(now, EXPIRE_PER_NEW_FLOW);
        let (only, refusal) = if self.shares.of_remote(remote, origin) >= MAX_FLOWS_PER_REMOTE {
            (Some(remote), GatewayDrop::RemoteFlows)
        } else if self.shares.of_origin(origin) >= MAX_FLOWS_PER_ORIGIN {
            (None, GatewayDrop::FlowTableFull)
        } else {
            return Ok(());
        };
        let Some(victim) = self.slab.victim(origin, only, now) else {
            self.stats.refused += 1;
            return Err(refusal);
        };
        self.remove(victim);
        self.stats.evicted += 1;
        Ok(())
    }

    fn remove(&mut self, at: usize) {
        let Flow { key, remote, origin, .. } = *self.slab.get(at);
        self.slab.remove(at);
        self.index.remove(&key);
        self.shares.remove(&remote, origin);
    }
}

#[cfg(test)]
mod tests;
