// SPDX-License-Identifier: AGPL-3.0-or-later
//! What waits for a link.

use gateway_core::packet::mark_congested;
use gateway_core::queue::Queued;
use ratman_types::Address;
use ratman_wire::session::RecordHeader;

use super::pool::Buffer;

/// A packet of ours, or a frame that is ready to go.
#[derive(Debug)]
pub(super) enum Item {
    /// One record (header and packet) for a remote, not sealed yet.
    Packet {
        /// Who gets it.
        remote: Address,
        /// The record.
        buffer: Buffer,
    },
    /// A frame of somebody else's, or of the control plane.
    Frame {
        /// The frame.
        buffer: Buffer,
    },
}

impl Item {
    /// Its buffer, to be used again.
    pub(super) fn into_buffer(self) -> Buffer {
        match self {
            Self::Packet { buffer, .. } | Self::Frame { buffer } => buffer,
        }
    }

    fn buffer(&self) -> &Buffer {
        match self {
            Self::Packet { buffer, .. } | Self::Frame { buffer } => buffer,
        }
    }
}

impl Queued for Item {
    fn len(&self) -> usize {
        self.buffer().bytes().len()
    }

    fn memory(&self) -> usize {
        self.buffer().size()
    }

    /// A frame is sealed: nobody on the way can mark what is in it.
    fn mark_congested(&mut self) -> bool {
        match self {
            Self::Packet { buffer, .. } => {
                buffer.bytes_mut().get_mut(RecordHeader::LEN..).is_some_and(mark_congested)
            }
            Self::Frame { .. } => false,
        }
    }
}

/// The records of a batch, one by one, each with its header.
pub fn records(batch: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = batch;
    std::iter::from_fn(move || {
        let header = RecordHeader::decode(rest.first_chunk()?).ok()?;
        let (record, behind) = rest.split_at_checked(RecordHeader::LEN + usize::from(header.length))?;
        rest = behind;
        Some(record)
    })
}
