// SPDX-License-Identifier: AGPL-3.0-or-later
//! A block that a decoder waits for.

use zeroize::Zeroize;

use crate::Reference;
use crate::secret::Key;

/// What is known of a block before it is there: from its parent, or of the root from the read capability.
#[derive(Zeroize)]
pub(super) struct Pending {
    #[zeroize(skip)] // names are public
    pub(super) reference: Reference,
    pub(super) key: Key,
    /// Where in the content the first leaf below it begins.
    pub(super) start: u64,
    /// 0 is a leaf.
    pub(super) level: u8,
    /// Whether it is on the right edge of the tree, where the content ends.
    pub(super) is_last: bool,
}
