// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a netmod says about the beginning and the end of a link.

use std::io;
use std::sync::Arc;

use ratman_types::{Digest, Hop, Mtu};

use crate::Outbox;

/// A link whose neighbour has proven its router key.
#[derive(Clone, Debug)]
pub struct LinkUp {
    /// The link and the proven neighbour.
    pub hop: Hop,
    /// The driver of the link ([`Netmod::name`](crate::Netmod::name)).
    pub netmod: &'static str,
    /// The way out over this hop; where a medium can only broadcast, every participant hears what is sent.
    pub outbox: Arc<dyn Outbox>,
    /// The largest frame that the link takes.
    pub mtu: Mtu,
    /// Whether we dialled.
    pub dialed: bool,
    /// Our underlay address, for people.
    pub local: String,
    /// The neighbour's underlay address, for people.
    pub remote: String,
    /// `H(dialer's Proof ‖ listener's Proof)`, what one-hop frames of this link are signed over
    /// ([`Frame::hop_signed_bytes`](ratman_wire::Frame::hop_signed_bytes)).
    pub proofs: Digest,
}

/// Why a link is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DownReason {
    /// The neighbour ended it in good order.
    #[error("closed by the peer")]
    ClosedByPeer,
    /// The router asked for it ([`Netmod::close`](crate::Netmod::close)).
    #[error("closed by us")]
    ClosedByUs,
    /// The medium failed.
    #[error("{0}")]
    Io(io::ErrorKind),
    /// A frame longer than any frame may be: where the next one begins cannot be known.
    #[error("bad framing: a frame of {length} bytes")]
    BadFraming {
        /// The length that was claimed, in bytes.
        length: u32,
    },
    /// Another link of the same pair of routers and underlay addresses stays instead (source: wire page, peering).
    #[error("another link to the same router stays instead")]
    Duplicate,
    /// Something panicked while it served the link; the panic itself tells what.
    #[error("the driver failed")]
    Failed,
    /// The driver ends.
    #[error("the driver ends")]
    Stopped,
}
