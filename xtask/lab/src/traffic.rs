// SPDX-License-Identifier: AGPL-3.0-or-later
//! Unmodified applications that send traffic through the lab, and what they measured.

mod http;
mod iperf;
mod mirror;
mod ping;
mod ssh;
mod tcp;

pub use http::{Download, HttpServer};
pub use iperf::{Figure, IperfServer, Transport};
pub use mirror::Mirror;
pub use ping::{Ping, Replies, Reply, ping};
pub use ssh::SshServer;
pub use tcp::EchoConnection;
