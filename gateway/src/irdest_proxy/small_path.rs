// SPDX-License-Identifier: AGPL-3.0-or-later
//! What paths ask of packets: connections that are opened learn how large their segments may be, applications are told
//! which packets are too big, and super-packets are cut here where a lost frame must not cost all of them.

use std::sync::Arc;

use gateway_core::drop_reason::GatewayDrop;
use gateway_core::mtu::{Fit, clamp_mss, cuts_super_packets, fit, inner_mtu};
use gateway_core::offload::{Segments, VirtioNetHeader};
use gateway_core::packet::{PacketInfo, Transport};
use ratman_types::{Address, Mtu, Timestamp};
use ratman_wire::session::RecordHeader;

use super::batch::{Gathered, Run};
use super::{DataHalf, TARGET};
use crate::egress::{Egress, OwnPackets, Seal};
use crate::ways::Snapshot;

/// Bytes of packets that are handed over together: beyond, sealing gets no cheaper.
const TOGETHER: usize = 16 * 1024;

/// Whether packets for a path must be looked at one by one.
pub(super) fn is_small(path: Mtu, tun: u16) -> bool {
    inner_mtu(path, tun) < tun || cuts_super_packets(path)
}

impl DataHalf {
    /// The way to a remote and the largest frame that it carries, as announcements and path reports tell.
    pub(super) fn way_to<'a>(&self, ways: &'a Snapshot, remote: &Address) -> Option<(&'a Arc<Egress>, Mtu)> {
        let (egress, path) = ways.to(remote)?;
        let reported = self.sessions.load().path_mtu(remote);
        Some((egress, reported.map_or(path, |reported| reported.min(path))))
    }

    /// Lets neither end of a TCP connection send segments that are too big for the way to `remote`.
    pub(super) fn clamp(
        &self,
        ways: &Snapshot,
        remote: &Address,
        header: &VirtioNetHeader,
        packet: &mut [u8],
        info: &PacketInfo,
    ) {
        if let Transport::Tcp { flags, .. } = info.transport
            && flags.syn
        {
            let path = self.way_to(ways, remote).map_or(Mtu(u32::MAX), |(_, path)| path);
            clamp_mss(header, packet, info, inner_mtu(path, self.tun_mtu));
        }
    }

    /// Sends packets over a path with small frames; whether any wait now.
    pub(super) fn send_over_small_path(
        &self,
        (egress, path): (&Egress, Mtu),
        run: Run<'_>,
        queue: u8,
        sealer: &dyn Seal,
        now: Timestamp,
    ) -> bool {
        let Run { remote, records, packets, flows } = run;
        let mut waits = false;
        // Packets that fit and lie side by side leave together: from which packet on, and where its record starts.
        let (mut first, mut start, mut end) = (0, 0, 0);
        for (at, packet) in packets.iter().enumerate() {
            let record = end..end + packet.record_len();
            end = record.end;
            let bytes = &records[record.start + RecordHeader::LEN..record.end];
            let verdict = fit(&packet.header, bytes, &packet.info, path, self.tun_mtu);
            if verdict == Fit::Fits && record.end - start <= TOGETHER {
                continue;
            }
            if first < at {
                let records = &mut records[start..record.start];
                waits |= egress.send_packets(
                    OwnPackets { remote, records, flows: &flows[first..at] },
                    sealer,
                    now,
                );
            }
            (first, start) = (at, record.start);
            if verdict != Fit::Fits {
                let bytes = &records[record.start + RecordHeader::LEN..record.end];
                waits |= self.send_unfitting(egress, verdict, (packet, bytes), queue, now);
                (first, start) = (at + 1, record.end);
            }
        }
        if first < packets.len() {
            let records = &mut records[start..end];
            waits |= egress.send_packets(OwnPackets { remote, records, flows: &flows[first..] }, sealer, now);
        }
        waits
    }

    /// Deals with a packet that the path does not carry as it is; whether any of it waits now.
    fn send_unfitting(
        &self,
        egress: &Egress,
        verdict: Fit,
        (packet, bytes): (&Gathered, &[u8]),
        queue: u8,
        now: Timestamp,
    ) -> bool {
        let Gathered { header, remote, flow, .. } = packet;
        if let Fit::TooBig { mtu } = verdict {
            self.drops.count(GatewayDrop::TooBig);
            self.answer_too_big(header, bytes, mtu, queue, now);
            return false;
        }
        match Segments::new(header, bytes) {
            Ok(segments) => egress.queue_segments(*remote, flow.unwrap_or(0), segments, now),
            Err(error) => {
                tracing::trace!(target: TARGET, %error, "super-packet of ours not cut");
                self.drops.count(GatewayDrop::BadMetadata);
                return false;
            }
        }
        true
    }
}
