// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams: messages of any size that arrive, now or later (source: manual, message encoding and delivery; wire page,
//! streams).

mod collector;
mod convergence;
pub(crate) mod noise;
mod receiving;
mod sealed_manifest;
mod sending;
mod window;

pub use collector::{Collector, CollectorCounters, MAX_BYTES as MAX_COLLECTED, SliceError, Whole};
pub use convergence::convergence_secret;
pub use receiving::{Receiving, Step, Unreadable};
pub use sealed_manifest::{EphemeralKey, OpenError, SealError, SealedManifest};
pub use sending::{Ended, Next, Routing, Sending};
pub use window::Window;
