// SPDX-License-Identifier: AGPL-3.0-or-later
//! The daemon as a service manager has it: watched, killed and started anew, with a disk and a clock that fail it, and as a
//! user other than root.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests end and report tests, too")]

mod clock;
mod killed;
mod scene;
mod storage;
mod user;
mod watchdog;
