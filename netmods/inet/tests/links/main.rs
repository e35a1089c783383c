// SPDX-License-Identifier: AGPL-3.0-or-later
//! Routers on loopback: links that come up, carry frames, end and come back, and those that must not.

mod duplicates;
mod panics;
mod reconnect;
mod reload;
mod routers;
mod stranger;
mod strangers;
mod traffic;
mod trains;
