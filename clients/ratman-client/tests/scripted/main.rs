// SPDX-License-Identifier: AGPL-3.0-or-later
//! The library against a router that says exactly what a test wants it to say.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::large_futures,
    reason = "a test fails where something else comes than it says"
)]

mod blocking;
mod receiving;
mod requests;
mod resuming;
mod script;
mod sending;
mod subscriptions;
mod tasks;
