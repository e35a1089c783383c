// SPDX-License-Identifier: AGPL-3.0-or-later
//! The TUN device: where IP packets of unmodified applications enter and leave.
//!
//! [`Tun`] is one type with two backends. The default opens `/dev/net/tun` with virtio-net headers and moves
//! super-packets of up to 64 KiB whole. Where the kernel refuses that, or where the operator wants it so, a plain device
//! of `tokio-tun` moves packets one by one, and super-packets are cut in software. Callers see no difference: they read
//! and write a [`VirtioNetHeader`] with a packet, and are counted under the same reasons.
//!
//! A device may have several queues, one for each thread that moves data, all with the same offloads.
//!
//! The thread that reads is the one that seals and sends: nothing here buffers, spawns, or hands over to another
//! task. Addresses, routes and the interface's state are set over netlink by the gateway.

mod config;
mod counters;
mod error;
mod found;
mod offload;
mod plain;
mod queue;
mod sys;
mod tun;
mod tx_queue_len;
mod vnet;

pub use config::{
    ConfigError, DEFAULT_TX_QUEUE_LEN, DeviceName, InnerMtu, MAX_QUEUES, MAX_TX_QUEUE_LEN, TunConfig,
};
pub use counters::TunCounters;
pub use error::{IoError, TunError};
pub use gateway_core::offload::VirtioNetHeader;
pub use offload::Offload;
pub use tun::{RECV_BUFFER, Received, Tun};
