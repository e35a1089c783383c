// SPDX-License-Identifier: AGPL-3.0-or-later
//! An in-memory medium for tests: any number of routers on one bus (two make a pair), of any
//! [`Capabilities`](netmod_api::Capabilities) and MTU, with losses as the test wants them.
//!
//! Nothing waits: a frame is in the inbox of the other end before `send` returns, and a test with one thread sees
//! the same order in every run. A wire takes data unless the test makes it busy. There is no peering; the routers on a medium are who the test says they are.
#![forbid(unsafe_code)]

mod bus;
mod station;

pub use bus::{Bus, Loss};
pub use station::Station;
