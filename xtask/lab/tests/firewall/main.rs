// SPDX-License-Identifier: AGPL-3.0-or-later
//! The firewall of a daemon before real applications: each kind of rule, and a stranger.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may end a test as well")]

mod rules;
mod scene;
mod stranger;
