// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whom a frame is for.

use crate::{Address, Namespace};

/// The recipient of an addressed frame (source: wire page, carrier frame).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipient {
    /// One application.
    Address(Address),
    /// Everybody who subscribed.
    Namespace(Namespace),
}
