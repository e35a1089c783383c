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
        let mut waits = false;
        let Run { remote, records, packets, flows } = run;
        let mut rest = records;
        for (packet, flow) in packets.iter().zip(flows) {
            let (record, behind) = std::mem::take(&mut rest).split_at_mut(packet.record_len());
            rest = behind;
            let Gathered { header, info, .. } = packet;
            let bytes = &record[RecordHeader::LEN..];
            match fit(header, bytes, info, path, self.tun_mtu) {
                Fit::Fits => {
                    let packets = OwnPackets { remote, records: record, flows: &[*flow] };
                    waits |= egress.send_packets(packets, sealer, now);
                }
                Fit::TooBig { mtu } => {
                    self.drops.count(GatewayDrop::TooBig);
                    self.answer_too_big(header, bytes, mtu, queue, now);
                }
                Fit::Segment => match Segments::new(header, bytes) {
                    Ok(segments) => {
                        egress.queue_segments(remote, *flow, segments, now);
                        waits = true;
                    }
                    Err(error) => {
                        tracing::trace!(target: TARGET, %error, "super-packet of ours not cut");
                        self.drops.count(GatewayDrop::BadMetadata);
                    }
                },
            }
        }
        waits
    }
}
