// SPDX-License-Identifier: AGPL-3.0-or-later
//! The client API as programs have it that know nothing of us: a client in Python, written from the wire page alone.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests end and report tests, too")]

mod client;
mod crowd;
mod protocol;
mod stopped;
