// SPDX-License-Identifier: AGPL-3.0-or-later
//! The mesh router as a value: what comes in are frames, link events and the time, what comes out are frames,
//! events and a forwarding table. No IO, no clock, no entropy source.
#![forbid(unsafe_code)]

pub mod clock;
pub mod route_ping;
pub mod scorer;
