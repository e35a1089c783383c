// SPDX-License-Identifier: AGPL-3.0-or-later
//! The name of a frame, the same at every router that it passes (source: wire page, freshness and custody).

use ratman_types::Digest;

/// `H(what the sender signed)`, made by [`SignedBytes::id`](super::SignedBytes::id): by it a flooded frame is known to have
/// been seen, and a neighbour says which frames it has taken into custody.
///
/// It does not cover the signature: a sender that signs a frame twice has still sent one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId(pub(super) Digest);

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
