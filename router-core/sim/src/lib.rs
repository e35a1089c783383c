// SPDX-License-Identifier: AGPL-3.0-or-later
//! A deterministic network of routers in virtual time.
//!
//! [`Network`] holds [`Router`](router_core::Router)s as values and moves their frames over [`Medium`]s with delay, jitter,
//! loss and bandwidth; all chance comes from one seed, so that two runs of one seed leave the same [`Trace`]. An
//! [`Adversary`] changes what its router says or speaks wire bytes itself. [`Network::walk`] asks the forwarding
//! tables for a way as they stand, [`Network::send_probe`] sends a frame over the media.
#![forbid(unsafe_code)]

pub mod adversary;
mod medium;
mod network;
mod probe;
mod queue;
mod random;
mod signatures;
pub mod topology;
mod trace;

pub use adversary::{Adversary, Position};
pub use medium::Medium;
pub use network::{CableId, Network, NodeId, Setup};
pub use probe::{Fate, Probe, ProbeId, Walk};
pub use random::Random;
pub use signatures::{Signatures, StandInSigner, StandInVerifier};
pub use trace::Trace;
