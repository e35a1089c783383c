// SPDX-License-Identifier: AGPL-3.0-or-later
//! The flow table and with it the firewall: what our side starts may be answered, by the remote it went to and by
//! nobody else; from outside only ICMP echo requests and what a rule admits are taken, to our own addresses alone.

mod fragments;
mod key;
mod record;
mod seed;
mod slab;
mod tcp;

use core::net::IpAddr;
use std::collections::HashMap;

use ratman_types::{Address, Timestamp};

use crate::admission::Admission;
use crate::drop_reason::GatewayDrop;
use crate::packet::{Fragment, PacketInfo, Transport};
use fragments::Fragments;
use record::Direction;
use slab::FlowSlab;

pub use key::FlowKey;
pub use record::{Flow, FlowKind, Origin, Traffic};
pub use seed::HashSeed;
pub use tcp::TcpPhase;

/// Flows held at once. A desktop has hundreds and a busy gateway some ten thousand; full, the table takes about
/// 20 MiB.
pub const MAX_FLOWS: usize = 65_536;

/// Flows that one remote may hold: half, so that no remote can push out the flows of all others.
pub const MAX_FLOWS_PER_REMOTE: usize = MAX_FLOWS / 2;

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

/// What has happened to flows since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowStats {
    /// Flows made.
    pub created: u64,
    /// Flows that were idle for too long.
    pub expired: u64,
    /// Flows pushed out of a full table before their time.
    pub evicted: u64,
    /// Flows not made because their remote holds its share.
    pub refused: u64,
    /// Fragmented packets whose later fragments were given up for those of a newer packet.
    pub fragments_displaced: u64,
}

/// All flows; full, it forgets the one nearest to the end of its idle time.
#[derive(Debug)]
pub struct FlowTable {
    // INVARIANT: an index for exactly the flows in `slab`, under their own keys.
    index: HashMap<FlowKey, usize, HashSeed>,
    slab: FlowSlab,
    // INVARIANT: sums up to the number of flows; no zeros.
    per_remote: HashMap<Address, usize, HashSeed>,
    fragments: Fragments,
    local: Vec<IpAddr>,
    admission: Admission,
    stats: FlowStats,
}

impl FlowTable {
    /// An empty table. The seed keys its hashes and must be random, so that nobody can aim at one bucket; `local`
    /// are our own addresses, which may be pinged and which rules open flows to.
    pub fn new(seed: HashSeed, local: Vec<IpAddr>) -> Self {
        Self {
            index: HashMap::with_hasher(seed),
            slab: FlowSlab::default(),
            per_remote: HashMap::with_hasher(seed),
            fragments: Fragments::new(seed),
            local,
            admission: Admission::default(),
            stats: FlowStats::default(),
        }
    }

    /// Replaces the rules by which flows may be opened from outside, at first none; flows stay.
    pub fn set_admission(&mut self, admission: Admission) {
        self.admission = admission;
    }

    /// Asks whether a packet of our side may go to `remote`, and notes that its answers may come.
    ///
    /// `info` is [`PacketInfo::parse`] of `packet`. A flow whose route has moved to another remote starts anew.
    ///
    /// # Errors
    /// [`UnrelatedIcmp`](GatewayDrop::UnrelatedIcmp), [`IcmpType`](GatewayDrop::IcmpType),
    /// [`UnknownFragment`](GatewayDrop::UnknownFragment), [`RemoteFlows`](GatewayDrop::RemoteFlows).
    pub fn outbound(
        &mut self,
        info: &PacketInfo,
        packet: &[u8],
        remote: Address,
        now: Timestamp,
    ) -> Result<FlowVerdict, GatewayDrop> {
        let Some(tuple) = info.tuple() else {
            return self.without_tuple(info, packet, remote, Direction::Outbound, now);
        };
        let key = FlowKey::sent(tuple);
        if let Some(at) = self.live(&key, now) {
            if self.slab.get(at).remote == remote {
                self.pass(at, info, packet, Direction::Outbound, now);
                return Ok(FlowVerdict::Known);
            }
            self.remove(at);
        }
        let at = self.create(key, info, remote, Origin::Ours, now)?;
        self.pass(at, info, packet, Direction::Outbound, now);
        Ok(FlowVerdict::New)
    }

    /// Asks whether a packet from `remote` may reach our side. Whether the remote may use its source address was
    /// asked before ([`Remotes::source_allowed`](crate::remotes::Remotes::source_allowed)).
    ///
    /// # Errors
    /// Those of [`outbound`](Self::outbound), and [`SourceIsOurs`](GatewayDrop::SourceIsOurs),
    /// [`NoFlow`](GatewayDrop::NoFlow), [`WrongRemote`](GatewayDrop::WrongRemote),
    /// [`InboundConnection`](GatewayDrop::InboundConnection).
    pub fn inbound(
        &mut self,
        info: &PacketInfo,
        packet: &[u8],
        remote: Address,
        now: Timestamp,
    ) -> Result<FlowVerdict, GatewayDrop> {
        if self.local.contains(&info.source) {
            return Err(GatewayDrop::SourceIsOurs);
        }
        let Some(tuple) = info.tuple() else {
            return self.without_tuple(info, packet, remote, Direction::Inbound, now);
        };
        let key = FlowKey::received(tuple);
        if let Some(at) = self.live(&key, now) {
            self.admit(at, info, remote)?;
            self.pass(at, info, packet, Direction::Inbound, now);
            return Ok(FlowVerdict::Known);
        }
        self.admit_new(info, &remote)?;
        let at = self.create(key, info, remote, Origin::Theirs, now)?;
        self.pass(at, info, packet, Direction::Inbound, now);
        Ok(FlowVerdict::New)
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

    /// Whether a packet from `remote` may use this flow.
    fn admit(&self, at: usize, info: &PacketInfo, remote: Address) -> Result<(), GatewayDrop> {
        let flow = self.slab.get(at);
        if flow.remote != remote {
            return Err(GatewayDrop::WrongRemote);
        }
        if let Transport::Tcp { flags, .. } = info.transport
            && !flow.admits(flags)
            && !self.admission.admits(info, &remote, &self.local)
        {
            return Err(GatewayDrop::InboundConnection);
        }
        Ok(())
    }

    /// Whether a packet from outside may make a flow.
    fn admit_new(&self, info: &PacketInfo, remote: &Address) -> Result<(), GatewayDrop> {
        if self.admission.admits(info, remote, &self.local) {
            return Ok(());
        }
        if let Transport::EchoRequest { .. } = info.transport
            && self.local.contains(&info.destination)
        {
            return Ok(());
        }
        if let Transport::Tcp { flags, .. } = info.transport
            && flags.opens()
        {
            return Err(GatewayDrop::InboundConnection);
        }
        Err(GatewayDrop::NoFlow)
    }

    /// Counts a packet and keeps its flow alive.
    fn pass(&mut self, at: usize, info: &PacketInfo, packet: &[u8], direction: Direction, now: Timestamp) {
        let flow = self.slab.get_mut(at);
        flow.pass(info, packet.len(), direction, now);
        if let Fragment::First { id } = info.fragment {
            let displaced = self.fragments.note(info, id, flow.key, now);
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
        remote: Address,
        direction: Direction,
        now: Timestamp,
    ) -> Result<FlowVerdict, GatewayDrop> {
        let (key, absent, verdict) = if info.transport == Transport::LaterFragment {
            (self.fragments.find(info, now), GatewayDrop::UnknownFragment, FlowVerdict::Known)
        } else if info.transport == Transport::IcmpError {
            // An error answers: it quotes what went the other way.
            let key = info.quoted(packet).map(|tuple| match direction {
                Direction::Outbound => FlowKey::received(tuple),
                Direction::Inbound => FlowKey::sent(tuple),
            });
            (key, GatewayDrop::UnrelatedIcmp, FlowVerdict::Related)
        } else {
            return Err(GatewayDrop::IcmpType);
        };
        let at = key.and_then(|key| self.live(&key, now)).ok_or(absent)?;
        let flow = self.slab.get_mut(at);
        if flow.remote != remote {
            return Err(GatewayDrop::WrongRemote);
        }
        flow.count(packet.len(), direction);
        Ok(verdict)
    }

    fn create(
        &mut self,
        key: FlowKey,
        info: &PacketInfo,
        remote: Address,
        origin: Origin,
        now: Timestamp,
    ) -> Result<usize, GatewayDrop> {
        self.expire(now, EXPIRE_PER_NEW_FLOW);
        if self.per_remote.get(&remote).is_some_and(|&flows| flows >= MAX_FLOWS_PER_REMOTE) {
            self.stats.refused += 1;
            return Err(GatewayDrop::RemoteFlows);
        }
        if self.len() >= MAX_FLOWS {
            let oldest = self.slab.first_to_expire().expect("a full table has flows");
            self.remove(oldest);
            self.stats.evicted += 1;
        }
        let at = self.slab.insert(Flow::new(key, info, remote, origin, now));
        self.index.insert(key, at);
        *self.per_remote.entry(remote).or_default() += 1;
        self.stats.created += 1;
        Ok(at)
    }

    fn remove(&mut self, at: usize) {
        let Flow { key, remote, .. } = *self.slab.get(at);
        self.slab.remove(at);
        self.index.remove(&key);
        let flows = self.per_remote.get_mut(&remote).expect("invariant: every flow is counted");
        *flows -= 1;
        if *flows == 0 {
            self.per_remote.remove(&remote);
        }
    }
}

#[cfg(test)]
mod tests;
