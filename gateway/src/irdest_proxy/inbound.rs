// SPDX-License-Identifier: AGPL-3.0-or-later
//! From the mesh to the TUN device: open all frames of a read where they lie, ask about source, metadata and flow, with
//! the flow table locked once for many packets, and write each packet, or super-packet, once. The kernel sees only
//! what passed.

use gateway_core::drop_reason::GatewayDrop;
use gateway_core::offload::{VirtioNetHeader, check};
use gateway_core::packet::{Direction, PacketInfo};
use gateway_core::remotes::Remotes;
use gateway_core::session::{OpenedBytes, OpenedPacket};
use ratman_types::{Address, Hop, Timestamp};
use ratman_wire::carrier::SESSION_HEADER;

use super::rule_log::RuleLog;
use super::{DataHalf, TARGET};
use crate::forward::LocalSessions;
use crate::ways::Snapshot;

/// Packets that the flow table is asked about under one lock.
const AT_ONCE: usize = 64;

impl LocalSessions for DataHalf {
    fn receive_data(&self, from: Hop, arrived: Timestamp, frames: &mut [&mut [u8]]) {
        let sessions = self.sessions.load();
        let (remotes, ways) = (self.remotes.load(), self.ways.load());
        let mut arrivals = Arrivals::new(self, &remotes, &ways, arrived);
        for frame in frames {
            let Some(payload) = std::mem::take(frame).get_mut(SESSION_HEADER..) else { continue };
            match sessions.open(payload, arrived, &mut |packet| arrivals.take(packet)) {
                Ok(opened) if opened.first => {
                    let _ = self.confirmed.try_send(opened.remote);
                }
                Ok(_) => {}
                Err(reason) => {
                    tracing::trace!(target: TARGET, link = %from.link, %reason, "session frame dropped");
                }
            }
        }
        arrivals.flush();
    }
}

/// A packet that may use its source and tells the truth about itself.
struct Arrival<'f> {
    remote: Address,
    header: VirtioNetHeader,
    info: PacketInfo,
    packet: &'f mut [u8],
    /// The queue of the device that it is written to, once the flow table has let it pass.
    queue: Option<u8>,
}

/// Packets on their way to the device.
struct Arrivals<'a, 'f> {
    data: &'a DataHalf,
    remotes: &'a Remotes,
    ways: &'a Snapshot,
    now: Timestamp,
    packets: [Option<Arrival<'f>>; AT_ONCE],
    len: usize,
}

impl<'a, 'f> Arrivals<'a, 'f> {
    fn new(data: &'a DataHalf, remotes: &'a Remotes, ways: &'a Snapshot, now: Timestamp) -> Self {
        Self { data, remotes, ways, now, packets: core::array::from_fn(|_| None), len: 0 }
    }

    /// Keeps a packet that lies in its frame; a joined one is dealt with at once, behind those that came before it.
    fn take(&mut self, packet: OpenedPacket<'f, '_>) {
        let OpenedPacket { remote, metadata, bytes } = packet;
        match bytes {
            OpenedBytes::InFrame(packet) => {
                self.packets[self.len] = self.examine(remote, metadata, packet);
                self.len += usize::from(self.packets[self.len].is_some());
                if self.len == AT_ONCE {
                    self.flush();
                }
            }
            OpenedBytes::Joined(packet) => {
                self.flush();
                self.data.deliver(&mut [self.examine(remote, metadata, packet)], self.ways, self.now);
            }
        }
    }

    /// What is refused is counted.
    fn examine<'p>(
        &self,
        remote: Address,
        metadata: [u8; VirtioNetHeader::LEN],
        packet: &'p mut [u8],
    ) -> Option<Arrival<'p>> {
        let examined = || {
            let info = PacketInfo::parse(packet)?;
            if !self.remotes.source_allowed(&remote, info.source) {
                return Err(GatewayDrop::SourceNotAllowed);
            }
            let header = check(&VirtioNetHeader::from_wire(metadata), packet).map_err(|error| {
                tracing::trace!(target: TARGET, remote = %remote.short(), %error, "metadata refused");
                GatewayDrop::BadMetadata
            })?;
            Ok((info, header))
        };
        match examined() {
            Ok((info, header)) => Some(Arrival { remote, header, info, packet, queue: None }),
            Err(reason) => {
                self.data.dropped_inbound(&remote, reason);
                None
            }
        }
    }

    /// Decides about what was collected, and writes what passes.
    fn flush(&mut self) {
        let packets = &mut self.packets[..self.len];
        self.len = 0;
        if !packets.is_empty() {
            self.data.deliver(packets, self.ways, self.now);
        }
    }
}

impl DataHalf {
    /// Asks the gate about packets, under one lock, and writes those that pass.
    fn deliver(&self, packets: &mut [Option<Arrival<'_>>], ways: &Snapshot, now: Timestamp) {
        let mut log = RuleLog::new(Direction::Inbound);
        let mut gate = self.gate();
        for arrival in packets.iter_mut().flatten() {
            let Arrival { remote, info, packet, .. } = arrival;
            let verdict = gate.inbound(info, packet, *remote, now);
            log.note(&verdict, gate.flows.firewall(), *remote, info);
            match verdict {
                Ok(passed) => arrival.queue = Some(passed.queue),
                Err(denied) => self.dropped_inbound(&arrival.remote, denied.reason),
            }
        }
        drop(gate);
        for Arrival { remote, header, info, packet, queue } in packets.iter_mut().flatten() {
            let Some(queue) = *queue else { continue };
            self.clamp(ways, remote, header, packet, info);
            // The device counts what it does not take.
            let _ = self.tun.try_send(queue, header, packet);
        }
        log.write();
    }

    fn dropped_inbound(&self, remote: &Address, reason: GatewayDrop) {
        tracing::trace!(target: TARGET, remote = %remote.short(), %reason, "packet of a remote dropped");
        self.drops.count(reason);
    }
}
