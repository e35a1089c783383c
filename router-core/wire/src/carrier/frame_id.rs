// SPDX-License-Identifier: AGPL-3.0-or-later
//! The name of a frame, the same at every router that it passes (source: wire page, freshness and custody).

use ratman_types::{Digest, blake2b};

use super::{Frame, Header};

/// `H(frame with hops_left 0)`: by it a flooded frame is known to have been seen, and a neighbour says which frames it
/// has taken into custody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId(Digest);

impl FrameId {
    /// Takes a name that was stored or received.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Digest::from_bytes(bytes))
    }

    /// The 32 bytes of the name.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl Frame<'_> {
    /// The frame's name; it covers the signature, so it is only worth remembering once that held.
    pub fn id(&self) -> FrameId {
        let mut header = Vec::with_capacity(self.header.encoded_len());
        Header { hops_left: 0, ..self.header }.encode_into(self.payload.len(), &mut header);
        FrameId(blake2b(&[&header, self.payload]))
    }
}
