// SPDX-License-Identifier: AGPL-3.0-or-later
//! Unmodified applications that send traffic through the lab, and what they measured.

mod datagrams;
mod http;
mod iperf;
mod load;
mod mirror;
mod ping;
mod requests;
mod ssh;
mod tcp;

pub use datagrams::exchange_datagrams;
pub use http::{Download, HttpServer};
pub use iperf::{Figure, IperfServer, Transport, stream_rates};
pub use load::{Load, RunningLoad};
pub use mirror::Mirror;
pub use ping::{Ping, Replies, Reply, ping};
pub use requests::SmallRequests;
pub use ssh::SshServer;
pub use tcp::EchoConnection;
