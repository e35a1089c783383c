// SPDX-License-Identifier: AGPL-3.0-or-later
//! What every packet is asked in both directions, behind one lock that is taken once per batch: may its flow be, and does
//! its remote's bandwidth limit allow it now?

use gateway_core::firewall::Denied;
use gateway_core::flow::{FlowTable, Passed};
use gateway_core::limits::RemoteLimits;
use gateway_core::packet::{Direction, PacketInfo};
use ratman_types::{Address, Timestamp};

/// The flow table, with the firewall in it, and the limits of the remotes.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) flows: FlowTable,
    pub(super) limits: Option<RemoteLimits>,
}

impl Gate {
    /// Whether a packet that was read from the queue `queue` may go to `remote`.
    ///
    /// # Errors
    /// Those of [`FlowTable::outbound`] and [`RemoteLimits::admit`].
    pub(super) fn outbound(
        &mut self,
        info: &PacketInfo,
        packet: &[u8],
        remote: Address,
        queue: u8,
        now: Timestamp,
    ) -> Result<Passed, Denied> {
        let passed = self.flows.outbound(info, packet, remote, queue, now)?;
        self.admit(remote, Direction::Outbound, packet, now)?;
        Ok(passed)
    }

    /// Whether a packet from `remote` may reach our side.
    ///
    /// # Errors
    /// Those of [`FlowTable::inbound`] and [`RemoteLimits::admit`].
    pub(super) fn inbound(
        &mut self,
        info: &PacketInfo,
        packet: &[u8],
        remote: Address,
        now: Timestamp,
    ) -> Result<Passed, Denied> {
        let passed = self.flows.inbound(info, packet, remote, now)?;
        self.admit(remote, Direction::Inbound, packet, now)?;
        Ok(passed)
    }

    fn admit(
        &mut self,
        remote: Address,
        direction: Direction,
        packet: &[u8],
        now: Timestamp,
    ) -> Result<(), Denied> {
        match &mut self.limits {
            Some(limits) => limits.admit(&remote, direction, packet.len(), now).map_err(Denied::from),
            None => Ok(()),
        }
    }
}
