// SPDX-License-Identifier: AGPL-3.0-or-later
//! What becomes of packets that wait: they go once their route and session are there, and are answered once it is known
//! that they cannot.

use std::collections::BTreeSet;

use gateway_core::drop_reason::GatewayDrop;
use gateway_core::firewall::Denied;
use gateway_core::icmp::Unreachable;
use gateway_core::packet::PacketInfo;
use gateway_core::pending::{Awaited, Waiting};
use gateway_core::remotes::{Lookup, Remotes, overlay_address};
use gateway_core::session::SessionTable;
use ratman_types::{Address, Now, Timestamp};
use ratman_wire::session::RecordHeader;

use super::ControlHalf;
use crate::irdest_proxy::batch::{Gathered, Run};
use crate::irdest_proxy::outbound::Sealer;
use crate::irdest_proxy::{DataHalf, Held, TARGET};
use crate::ways::Snapshot;

impl ControlHalf {
    /// Packets have come that cannot go at once.
    pub fn handle_waits(&mut self, now: Now) {
        for awaited in self.data.waiting.look() {
            self.handle_awaited(awaited, now);
        }
    }

    /// An address is announced: its overlay address has an owner now.
    pub fn handle_learned(&mut self, address: Address, now: Now) {
        let learned = self.remotes.learn(address);
        tracing::debug!(target: TARGET, address = %address.short(), ?learned, "address learned");
        // Before the data half knows it, too: what comes then has these to wait behind.
        self.admit(Awaited::Overlay(overlay_address(&address)), address, now);
        self.publish_remotes();
    }

    /// An address is announced no more.
    pub fn handle_forgotten(&mut self, address: Address) {
        if self.remotes.forget(&address) {
            self.lost.remove(&address);
            self.publish_remotes();
        }
    }

    /// Changes were lost: `known` is every address that is announced now, and any route may be another.
    pub fn handle_resync(&mut self, known: &BTreeSet<Address>, now: Now) {
        let gone: Vec<Address> = self.remotes.learned().filter(|address| !known.contains(address)).collect();
        for address in &gone {
            self.remotes.forget(address);
        }
        for address in known {
            self.remotes.learn(*address);
        }
        let ways = self.data.ways.load();
        let Self { lost, remotes, .. } = self;
        lost.retain(|address| is_known(remotes, address) && ways.to(address).is_none());
        drop(ways);
        for awaited in self.data.waiting.awaited() {
            self.handle_awaited(awaited, now);
        }
        self.publish_remotes();
    }

    /// An address is reached another way, again, or no more.
    pub fn handle_route(&mut self, address: Address, reachable: bool, now: Now) {
        if reachable {
            if self.lost.remove(&address) {
                self.sessions.renew(address, now);
                self.settle(now);
            }
        } else if is_known(&self.remotes, &address) {
            self.lost.insert(address);
        }
        self.proceed(address, now);
    }

    /// Sends what waits for `remote`, if route and key are there.
    pub(super) fn release(&self, remote: Address, now: Now) {
        let (ways, sessions) = (self.data.ways.load(), self.data.sessions.load_full());
        if sessions.send_key(&remote).is_none() || ways.to(&remote).is_none() {
            return;
        }
        self.data.waiting.let_go(remote, |waiting| {
            if let Err(reason) = self.data.send_waiting(remote, waiting, (&ways, &sessions), now.at) {
                self.data.drops.count(reason);
            }
        });
    }

    /// Answers a packet that has waited for long enough.
    pub(super) fn give_up(&self, waiting: &Waiting<Held>, now: Now) {
        match waiting.awaited {
            Awaited::Remote(_) => {
                self.refuse(waiting, (GatewayDrop::WaitedTooLong, Unreachable::Remote), now);
            }
            Awaited::Overlay(_) => {
                self.refuse(waiting, (GatewayDrop::UnknownOverlay, Unreachable::NoRoute), now);
            }
        }
    }

    fn handle_awaited(&mut self, awaited: Awaited, now: Now) {
        match awaited {
            Awaited::Remote(remote) => self.proceed(remote, now),
            // Its owner may have become known since the data half looked.
            Awaited::Overlay(overlay) => {
                if let Lookup::Remote(owner) = self.remotes.lookup(overlay.into()) {
                    self.admit(awaited, owner, now);
                }
            }
        }
    }

    /// Opens the flows of packets whose remote has become known, and takes the next step for them.
    fn admit(&mut self, awaited: Awaited, remote: Address, now: Now) {
        for Waiting { metadata: held, packet, .. } in self.data.waiting.take(awaited) {
            let verdict = PacketInfo::parse(&packet)
                .map_err(Denied::from)
                .and_then(|info| self.data.gate().outbound(&info, &packet, remote, held.queue, now.at));
            match verdict {
                Ok(_) => self.data.wait(Awaited::Remote(remote), held, &packet, now.at),
                Err(denied) => self.data.drops.count(denied.reason),
            }
        }
        self.proceed(remote, now);
    }

    /// Takes the next step for packets that wait for `remote`: a session once there is a route, then sends them. Where the
    /// route is lost they are answered, and the application need not wait as for one that may come.
    fn proceed(&mut self, remote: Address, now: Now) {
        if !self.data.waiting.awaits(Awaited::Remote(remote)) {
            return;
        }
        if self.data.ways.load().to(&remote).is_none() {
            if self.lost.contains(&remote) {
                for waiting in self.data.waiting.take(Awaited::Remote(remote)) {
                    self.refuse(&waiting, (GatewayDrop::RouteLost, Unreachable::Remote), now);
                }
            }
            return;
        }
        // First, as it takes away a key that is too old.
        if let Err(reason) = self.sessions.connect(remote, now) {
            tracing::debug!(target: TARGET, remote = %remote.short(), %reason, "no session");
        }
        self.settle(now);
        self.release(remote, now);
    }

    fn refuse(&self, waiting: &Waiting<Held>, (reason, why): (GatewayDrop, Unreachable), now: Now) {
        self.data.drops.count(reason);
        self.data.answer_unreachable(&waiting.packet, why, waiting.metadata.queue, now.at);
    }
}

/// Whether packets can be for this remote at all.
fn is_known(remotes: &Remotes, address: &Address) -> bool {
    remotes.lookup(overlay_address(address).into()) == Lookup::Remote(*address)
}

impl DataHalf {
    /// Sends a packet that has waited.
    fn send_waiting(
        &self,
        remote: Address,
        Waiting { metadata: held, packet, .. }: Waiting<Held>,
        (ways, sessions): (&Snapshot, &SessionTable),
        now: Timestamp,
    ) -> Result<(), GatewayDrop> {
        let info = PacketInfo::parse(&packet)?;
        // It passed, was counted, and was charged to its remote's limit when it came.
        let flow = self.gate().flows.passed_before(&info, &packet, remote, now);
        let flow = flow.ok_or(GatewayDrop::NoFlow)?;
        let length = u16::try_from(packet.len()).map_err(|_| GatewayDrop::LengthMismatch)?;
        let header = RecordHeader { length, metadata: held.header.to_wire() }.encode();
        let mut record = [&header[..], &packet].concat();
        let packets = [Gathered::alone(&record, (held.header, info), remote, flow)];
        let run = Run { remote, records: &mut record, packets: &packets, flows: &[flow] };
        let sealer = Sealer { data: self, sessions };
        if let Some(link) = self.send_run(run, held.queue, ways, &sealer, now) {
            link.writable(Some(&sealer), now);
        }
        Ok(())
    }
}
