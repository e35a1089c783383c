// SPDX-License-Identifier: AGPL-3.0-or-later
//! What streams say on the wire: slices of blocks and sealed manifests, packed blocks, the manifest itself, notices,
//! requests and receipts (source: manual, Appendix A and B; wire page, streams).
//!
//! Sealing and encoding are not here: this package holds bytes and what must be true of them.

mod auxiliary;
mod letterhead;
mod lifetime;
mod manifest;
mod notice;
mod packed;
mod progress;
mod pull_request;
mod slice;

use core::fmt;

use ratman_eris::ReadCapability;
use ratman_types::blake2b;

pub use auxiliary::Auxiliary;
pub use letterhead::{AuxiliaryData, Letterhead};
pub use lifetime::Lifetime;
pub use manifest::{Contents, InlineContents, MAX_INLINE, MAX_PLAINTEXT, MAX_SEALED, Manifest, SEALING};
pub use notice::{DenyNotice, Outcome, PushNotice, Receipt};
pub use packed::{PackedBlocks, Packing};
pub use progress::Progress;
pub use pull_request::PullRequest;
pub use slice::{MAX_SLICES, Slice, SliceOf, TooManySlices, cut, payload_room};

const SHARED_DOMAIN: &[u8] = b"irdest static stream 1";

/// The name of a stream, random, chosen by its sender, or that of shared content; means something only beside sender and
/// recipient.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId([u8; 32]);

impl StreamId {
    /// Takes a name that was drawn or received.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The name of every stream of shared content: `H("irdest static stream 1" ‖ read capability)`. So whoever is told of a content
    /// twice knows that it is the same, and by the name alone a manifest shows that its blocks are there for anybody.
    pub fn of_shared(capability: &ReadCapability) -> Self {
        Self(*blake2b(&[SHARED_DOMAIN, &capability.to_bytes()[..]]).as_bytes())
    }

    /// The 32 bytes of the name.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamId(")?;
        for byte in &self.0[..8] {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_shared_content_is_that_of_its_read_capability() {
        let capability =
            |byte: u8| ReadCapability::from_bytes(&[&[10, 2], &[byte; 64][..]].concat()).unwrap();
        let golden = blake2b(&[b"irdest static stream 1", &[10, 2], &[0xAB; 64]]);
        assert_eq!(StreamId::of_shared(&capability(0xAB)).as_bytes(), golden.as_bytes());
        assert_ne!(StreamId::of_shared(&capability(0xAB)), StreamId::of_shared(&capability(0xAC)));
    }
}
