// SPDX-License-Identifier: AGPL-3.0-or-later
//! A laboratory of routers on one machine: each node is a network namespace, each link a veth pair.
//!
//! The lab starts real daemons and real applications and watches them from outside. Nothing in it can reach
//! the machine's own network, and everything it makes is gone when the [`Lab`] is dropped. Every wait has an
//! end: a [`TimeLimit`] holds for the whole lab, and Ctrl-C ends all waits at once.

mod capture;
mod delay_line;
mod device;
mod gateway;
mod interrupt;
mod lab;
mod lab_name;
mod leftovers;
mod links;
mod moved_clock;
mod neighbours;
mod node;
mod packet_socket;
mod process;
mod programs;
mod relay;
mod sites;
mod stalls;
mod status;
mod stream_socket;
mod streams;
mod tap;
mod three_routers;
mod time_limit;
pub mod traffic;
mod user_namespace;
mod watch;

pub use capture::{Arrivals, Capture, Seen};
pub use delay_line::{DelayLine, LineCounts};
pub use device::Rate;
pub use gateway::{Gateway, GatewayConfig, Identity, Peer};
pub use interrupt::{catch_signals, interrupted};
pub use lab::{Lab, LinkEnd};
pub use lab_name::LabName;
pub use leftovers::{living_labs, remove_leftovers};
pub use links::{CapacityFigure, CapacityKind, Latency, Links, MeasuredLink, Probes, Throughput};
pub use moved_clock::moved_clock;
pub use neighbours::{LinkTraits, Neighbours};
pub use node::Node;
pub use process::Process;
pub use programs::{find_program, gateway_program, shown};
pub use relay::{Conduct, Relay};
pub use sites::Sites;
pub use stalls::Stalls;
pub use status::{Flow, FlowEnd, Link, NextHop, Route, Rule, Session, Status, Streams};
pub use stream_socket::{Message, StreamSocket};
pub use streams::{StreamNews, StreamSender, TakenStream, same_content};
pub use tap::Tap;
pub use three_routers::{Dials, ThreeRouters};
pub use time_limit::TimeLimit;
pub use user_namespace::{enter_lab, isolated};
pub use watch::Watch;

/// How often a test repeats what it shows: 1, or 5 with `cargo xtask test --long` (`IRDEST_LONG=1`).
pub fn rounds() -> u32 {
    repetitions(1, 5)
}

/// How often a test repeats what it shows: `short`, or `long` with `cargo xtask test --long` (`IRDEST_LONG=1`).
pub fn repetitions(short: u32, long: u32) -> u32 {
    if std::env::var_os("IRDEST_LONG").is_some_and(|value| value == "1") { long } else { short }
}
