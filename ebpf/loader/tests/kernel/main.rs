// SPDX-License-Identifier: AGPL-3.0-or-later
//! The probes in a real kernel: what they count of crafted packets (BPF_PROG_TEST_RUN) and on a veth pair, and what they
//! leave behind.
//!
//! They need the capabilities of root outside of a user namespace, iproute2, and a build that found the object. Where one
//! is missing the tests say so and pass, as everything else works without probes, but fail where `IRDEST_PROBES_REQUIRED=1` says
//! that they are to be had, as `cargo xtask bpf` does.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod crafted;
mod full;
mod life;
mod namespace;
mod packets;
mod probes;
mod round_trips;
mod route;
mod test_run;
mod traffic;
