// SPDX-License-Identifier: AGPL-3.0-or-later
//! Packet trains: what an idle link carries, found with a fraction of a second of its time (source: wire page, modes 36
//! and 37; link metrics).
//!
//! A task for each link ([`Runner`]) gathers the neighbour's trains ([`collector`]) and sends its own when the
//! [`schedule`] says so: a [`series`] of them, each judged by the report that comes back ([`verdict`]). The last four know
//! neither socket nor clock. Trains go from the dialer to the listener's port on UDP, and back to where they came from.

mod collector;
mod hub;
mod runner;
mod schedule;
mod series;
mod udp;
mod verdict;

pub(crate) use hub::Hub;
pub(crate) use runner::Runner;
