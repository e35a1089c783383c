// SPDX-License-Identifier: AGPL-3.0-or-later
//! The bytes of the mesh: the carrier frame (version 2) and every payload that crosses a link.
//!
//! Parsing happens here, once; what comes out are values that hold what the wire page promises. Nothing in this
//! package decides: whether a frame is welcome is the router's matter. Big-endian throughout.
#![forbid(unsafe_code)]

pub mod announcement;
pub mod anycast;
pub mod api;
pub mod carrier;
pub mod carrier_v1;
pub mod codec;
pub mod custody;
pub mod echo;
#[doc(hidden)]
pub mod fuzz;
pub mod leap;
pub mod mode;
pub mod peering;
pub mod router_meta;
pub mod session;
pub mod source;
pub mod stream;
pub mod sync_scope;
pub mod train;

pub use carrier::{Frame, FrameId, Header, MAX_FRAME, MAX_HOPS, MAX_PAYLOAD, SequenceId, SignedBytes};
pub use codec::{DecodeError, Reader, Writer};
pub use mode::{Mode, ModeClass, SignedBy};
