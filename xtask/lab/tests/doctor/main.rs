// SPDX-License-Identifier: AGPL-3.0-or-later
//! What `irdest-gateway doctor` finds: exactly what was broken, and nothing between healthy gateways.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests end and report tests, too")]

mod host;
mod path;
mod scene;
mod state;
