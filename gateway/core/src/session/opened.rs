// SPDX-License-Identifier: AGPL-3.0-or-later
//! What opening a frame yields: packets where they lie, and a word about the frame.

use core::ops::{Deref, DerefMut};

use ratman_types::Address;

/// What came of a frame that authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Who sealed it.
    pub remote: Address,
    /// This frame is the first under a key for which we were the responder: tell
    /// [`Sessions::confirmed`](super::Sessions::confirmed), so that we may send under it at once and not only when
    /// the sessions are next looked over. True once per key.
    pub first: bool,
    /// How many packets were delivered.
    pub packets: u64,
}

/// A packet out of an authentic frame; the packet itself is untrusted.
#[derive(Debug)]
pub struct OpenedPacket<'frame, 'call> {
    /// Who sealed it: cryptokey routing asks whether the packet's source belongs to it.
    pub remote: Address,
    /// The virtio-net header that the packet had at the sender, its integers big-endian.
    pub metadata: [u8; 10],
    /// The packet.
    pub bytes: OpenedBytes<'frame, 'call>,
}

/// Where a packet lies, hence how long it may be used. Derefs to the packet.
///
/// Who gathers packets of several frames to decide about all at once keeps those in frames, and deals with what it has
/// gathered and with the packet itself when a joined one comes.
#[derive(Debug)]
pub enum OpenedBytes<'frame, 'call> {
    /// In the frame's own buffer, as long as that is not used again.
    InFrame(&'frame mut [u8]),
    /// Put together from several frames in the remote's join buffer, whose lock is held until the call returns.
    Joined(&'call mut [u8]),
}

impl Deref for OpenedBytes<'_, '_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::InFrame(bytes) => bytes,
            Self::Joined(bytes) => bytes,
        }
    }
}

impl DerefMut for OpenedBytes<'_, '_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::InFrame(bytes) => bytes,
            Self::Joined(bytes) => bytes,
        }
    }
}
