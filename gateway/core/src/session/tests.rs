// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whole sessions: two and three gateways in virtual time, in all weathers.

mod chaos;
mod golden;
mod handshakes;
mod limits;
mod network;
mod paths;
mod replays;
mod traffic;
