// SPDX-License-Identifier: AGPL-3.0-or-later
//! A TCP time stamp that waits for its echo.

use crate::Conversation;

/// A TSval that was sent, as the peer will show it in TSecr (source: RFC 7323, section 3).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Where it was sent.
    pub conversation: Conversation,
    /// The stamp itself.
    pub value: u32,
}

const _: () = assert!(size_of::<Stamp>() == 48 && align_of::<Stamp>() == 4);
