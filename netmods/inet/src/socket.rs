// SPDX-License-Identifier: AGPL-3.0-or-later
//! What we ask of the kernel for our sockets.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use nix::sys::socket::GetSockOpt;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::InetError;

/// Bytes that the kernel may hold unsent (`TCP_NOTSENT_LOWAT`, tcp(7)): two super-packets of 64 KiB, so that one
/// always leaves by a single `writev`, and little enough that what waits, waits in our queues with their priority.
const UNSENT: u32 = 128 * 1024;
/// Connections that wait for `accept`; half-open places are fewer.
const BACKLOG: i32 = 128;

/// Sets up a connected socket.
///
/// No keepalive and no user timeout: the router's echoes find a dead peer sooner, on every medium alike. The
/// congestion control stays what the host chose.
pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT)
}

/// Listens on `address`; `[::]` takes IPv4 too unless `all` asks for it separately.
///
/// # Errors
/// [`InetError`] names the address.
pub(crate) fn listen(address: SocketAddr, all: &[SocketAddr]) -> Result<TcpListener, InetError> {
    let only_v6 = all.contains(&SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()));
    bind(address, only_v6).map_err(|error| {
        if error.kind() == ErrorKind::AddrInUse {
            InetError::AddressInUse { address }
        } else {
            InetError::Listen { address, error }
        }
    })
}

fn bind(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // A restarted router takes its port back although old connections are still in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Bytes that the peer's kernel acknowledged (`tcpi_bytes_acked`, Linux 4.1), if ours tells.
pub(crate) fn bytes_acked(stream: &TcpStream) -> Option<u64> {
    let info = TcpInfoHead.get(stream).ok()?;
    info.last_chunk().copied().map(u64::from_ne_bytes)
}

/// `struct tcp_info` of linux/tcp.h up to and with `tcpi_bytes_acked`, a part that never changes; what follows
/// grows with the kernel.
const TCP_INFO_HEAD: usize = 128;

/// Reads the head of `TCP_INFO`.
#[derive(Clone, Copy, Debug)]
struct TcpInfoHead;

nix::getsockopt_impl!(
    TcpInfoHead,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    [u8; TCP_INFO_HEAD],
    nix::sys::socket::sockopt::GetStruct<[u8; TCP_INFO_HEAD]>
);
