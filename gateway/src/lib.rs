// SPDX-License-Identifier: AGPL-3.0-or-later
//! The daemon `irdest-gateway`: the only room with sockets, files, clocks and threads.
//!
//! [`cli`] reads the command line and [`config`] the layers of configuration; [`state`] locks the state directory and
//! [`identity`] opens the secrets in it. Then [`daemon`] runs until SIGTERM, with [`host`] for addresses, routes and forwarding,
//! told over [`netlink`], [`message_plane`] for streams, kept in the [`store`], [`desk`] for [`addresses`] of clients and [`contacts`], and [`control`] for those who ask for
//! its [`status`] or send something; [`doctor`] looks at all of it from outside. No protocol decision is made here.
#![forbid(unsafe_code)]

pub mod addresses;
mod by_address;
mod changing;
pub mod cli;
pub mod client_api;
pub mod clock;
pub mod config;
pub mod contacts;
pub mod control;
pub mod daemon;
pub mod data_threads;
pub mod desk;
pub mod doctor;
pub mod driver;
pub mod egress;
pub mod filters;
pub mod forward;
pub mod hardware;
pub mod host;
pub mod identity;
pub mod irdest_proxy;
pub mod links;
pub mod local_socket;
pub mod memberships;
pub mod message_plane;
pub mod namespace_key;
pub mod netlink;
pub mod notify;
pub mod privilege;
pub mod probing;
mod secret;
pub mod state;
pub mod status;
pub mod store;
pub mod subscriptions;
pub mod telemetry;
pub mod watchdog;
pub mod ways;

#[doc(hidden)]
pub mod fuzz;
