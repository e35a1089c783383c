// SPDX-License-Identifier: AGPL-3.0-or-later
//! From the mesh into the TUN device: open the frame where it lies, then ask of every packet whether its source belongs to
//! the remote, whether its metadata is true, and whether a flow expects it. The kernel sees only what passed.

use gateway_core::drop_reason::GatewayDrop;
use gateway_core::offload::{VirtioNetHeader, check};
use gateway_core::packet::{Direction, PacketInfo};
use gateway_core::remotes::Remotes;
use gateway_core::session::OpenedPacket;
use ratman_types::{Address, Hop, Timestamp};
use ratman_wire::carrier::SESSION_HEADER;

use super::{DataHalf, TARGET};
use crate::forward::LocalSessions;

impl LocalSessions for DataHalf {
    fn receive_data(&self, from: Hop, arrived: Timestamp, frame: &mut [u8]) {
        let Some(payload) = frame.get_mut(SESSION_HEADER..) else { return };
        let sessions = self.sessions.load();
        let remotes = self.remotes.load();
        let opened = sessions.open(payload, arrived, &mut |OpenedPacket { remote, metadata, bytes }| {
            self.deliver(&remotes, remote, VirtioNetHeader::from_wire(metadata), &bytes, arrived);
        });
        match opened {
            Ok(opened) if opened.first => {
                let _ = self.confirmed.try_send(opened.remote);
            }
            Ok(_) => {}
            Err(reason) => {
                tracing::trace!(target: TARGET, link = %from.link, %reason, "session frame dropped");
            }
        }
    }
}

impl DataHalf {
    fn deliver(
        &self,
        remotes: &Remotes,
        remote: Address,
        header: VirtioNetHeader,
        packet: &[u8],
        now: Timestamp,
    ) {
        match self.admit_inbound(remotes, remote, &header, packet, now) {
            Ok(header) => {
                // The device counts what it does not take.
                let _ = self.tun.try_send(0, &header, packet);
            }
            Err(reason) => {
                tracing::trace!(target: TARGET, remote = %remote.short(), %reason, "packet of a remote dropped");
                self.drops.count(reason);
            }
        }
    }

    fn admit_inbound(
        &self,
        remotes: &Remotes,
        remote: Address,
        header: &VirtioNetHeader,
        packet: &[u8],
        now: Timestamp,
    ) -> Result<VirtioNetHeader, GatewayDrop> {
        let info = PacketInfo::parse(packet)?;
        if !remotes.source_allowed(&remote, info.source) {
            return Err(GatewayDrop::SourceNotAllowed);
        }
        let header = check(header, packet).map_err(|error| {
            tracing::trace!(target: TARGET, remote = %remote.short(), %error, "metadata refused");
            GatewayDrop::BadMetadata
        })?;
        self.ask_flows(&info, packet, (remote, Direction::Inbound), now)?;
        Ok(header)
    }
}
