// SPDX-License-Identifier: AGPL-3.0-or-later
//! Segmentation and checksum offload: what a TUN device leaves undone, and how to finish it.
//!
//! A TUN device with virtio-net headers hands over *super-packets*: up to 64 KiB of one flow under one IP
//! header, with a partial checksum. The [`VirtioNetHeader`] says what is still to be done and crosses the mesh
//! with the packet. [`check`] decides whether a header that came from elsewhere may reach our kernel;
//! [`Segments`] does the work in software where a device or a path cannot.

mod check;
mod checksum;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod header;
mod layout;
#[cfg(test)]
mod samples;
mod segment;

pub use check::{MAX_SEGMENTS, check};
pub use error::OffloadError;
pub use header::{GsoType, VirtioNetHeader};
pub use layout::MAX_PACKET;
pub use segment::{MAX_HEADERS, Segment, Segments};
