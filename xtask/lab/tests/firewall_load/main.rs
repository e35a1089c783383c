// SPDX-License-Identifier: AGPL-3.0-or-later
//! The firewall of a daemon under load: limits of bandwidth, and floods of new flows.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may end a test as well")]

mod flood;
mod limits;
#[expect(dead_code, reason = "the tests of rules use the rest")]
#[path = "../firewall/scene.rs"]
mod scene;
