// SPDX-License-Identifier: AGPL-3.0-or-later
//! What `irdest-gateway doctor` finds: exactly what was broken, and nothing between healthy gateways.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may end a test as well")]

mod host;
mod path;
mod scene;
mod state;
