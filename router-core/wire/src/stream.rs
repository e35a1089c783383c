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

pub use auxiliary::Auxiliary;
pub use letterhead::{AuxiliaryData, Letterhead};
pub use lifetime::Lifetime;
pub use manifest::{Contents, InlineContents, MAX_INLINE, MAX_PLAINTEXT, MAX_SEALED, Manifest, SEALING};
pub use notice::{DenyNotice, Outcome, PushNotice, Receipt};
pub use packed::{PackedBlocks, Packing};
pub use progress::Progress;
pub use pull_request::PullRequest;
pub use slice::{MAX_SLICES, Slice, SliceOf, TooManySlices, cut, payload_room};

/// The name of a stream, random, chosen by its sender; means something only beside sender and recipient.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId([u8; 32]);

impl StreamId {
    /// Takes a name that was drawn or received.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
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
