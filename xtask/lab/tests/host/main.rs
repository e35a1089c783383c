// SPDX-License-Identifier: AGPL-3.0-or-later
//! What daemons do for their hosts: an exit to the Internet, sites with networks behind them, and nothing that leaks.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may end a test as well")]

mod exit;
mod sites;
