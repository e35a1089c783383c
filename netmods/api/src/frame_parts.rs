// SPDX-License-Identifier: AGPL-3.0-or-later
//! A frame that need not lie in one piece.

/// One frame in up to three pieces, in this order, so that sealed bytes are sent from where they lie.
///
/// Empty pieces are fine. Together at most the [`Mtu`](ratman_types::Mtu) of the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameParts<'a> {
    /// Carrier header and what stands before the body.
    pub head: &'a [u8],
    /// The bulk.
    pub body: &'a [u8],
    /// What stands behind the body, such as an authentication tag.
    pub tail: &'a [u8],
}

impl<'a> FrameParts<'a> {
    /// A frame that lies in one piece.
    pub const fn whole(frame: &'a [u8]) -> Self {
        Self { head: frame, body: &[], tail: &[] }
    }

    /// The length of the frame, in bytes.
    pub const fn len(&self) -> usize {
        self.head.len() + self.body.len() + self.tail.len()
    }

    /// Whether there is not a single byte.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces in the order of the wire.
    pub const fn pieces(&self) -> [&'a [u8]; 3] {
        [self.head, self.body, self.tail]
    }
}
