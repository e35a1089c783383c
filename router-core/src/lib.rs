// SPDX-License-Identifier: AGPL-3.0-or-later
//! The mesh router as a value: it learns routes from announcements, scores them by what it measures, and publishes
//! a forwarding table.
//!
//! Nothing here does IO, reads a clock or draws entropy. A driver feeds a [`Router`] with frames, link events and
//! time (`handle_*`), and takes frames, events and the next deadline out of it (`poll_*`). The data plane never
//! calls the router for a session frame: it asks [`forward`] with a snapshot of the [`Fib`].
#![forbid(unsafe_code)]

mod announcing;
mod config;
mod drop_reason;
mod estimator;
mod event;
mod fib;
mod forward;
mod limits;
mod link;
mod link_cost;
mod neighbour;
mod newest;
mod origin_times;
mod prng;
mod rib;
mod router;
mod sign_frame;
mod status;
mod timer;

pub mod clock;
#[doc(hidden)]
pub mod fuzz;
pub mod journal;
pub mod route_ping;
pub mod scorer;
pub mod stream;
pub mod streams;

pub use config::{LEAST_ANNOUNCE_INTERVAL, RouterConfig};
pub use drop_reason::{DropCounters, DropReason};
pub use estimator::Estimate;
pub use event::{Class, CloseReason, Event, LinkEvent, Transmit};
pub use fib::{Fib, Lookup, Via};
pub use forward::{Forward, forward};
pub use link_cost::{CostTooHigh, LinkCost};
pub use router::Router;
pub use sign_frame::{sign_frame, sign_hashed_frame};
pub use status::{Counters, LinkState, LinkStatus, RouteStatus};
pub use timer::Timer;
