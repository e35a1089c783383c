// SPDX-License-Identifier: AGPL-3.0-or-later
//! What we ask of the kernel for our sockets.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};

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
    let only_v6 = all.contains(&everywhere_v4(address.port()));
    let bound = bind(address, only_v6).or_else(|error| match without_ipv6(address, only_v6, &error) {
        Some(address) => bind(address, false),
        None => Err(error),
    });
    bound.map_err(|error| {
        if error.kind() == ErrorKind::AddrInUse {
            InetError::AddressInUse { address }
        } else {
            InetError::Listen { address, error }
        }
    })
}

fn everywhere_v4(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)
}

/// What `[::]` means to a kernel without IPv6: all that is left of it.
fn without_ipv6(address: SocketAddr, only_v6: bool, error: &io::Error) -> Option<SocketAddr> {
    let everywhere = address.is_ipv6() && address.ip().is_unspecified() && !only_v6;
    let unsupported = error.raw_os_error() == Some(libc::EAFNOSUPPORT);
    (everywhere && unsupported).then(|| everywhere_v4(address.port()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_ipv6_everywhere_means_ipv4() {
        let (unsupported, in_use) = (libc::EAFNOSUPPORT, libc::EADDRINUSE);
        let table = [
            ("[::]:5860", false, unsupported, Some("0.0.0.0:5860")),
            ("[::]:5860", true, unsupported, None),
            ("[::]:5860", false, in_use, None),
            ("[::1]:5860", false, unsupported, None),
            ("0.0.0.0:5860", false, unsupported, None),
        ];
        for (address, only_v6, code, expected) in table {
            let error = io::Error::from_raw_os_error(code);
            let found = without_ipv6(address.parse().unwrap(), only_v6, &error);
            assert_eq!(found, expected.map(|address| address.parse().unwrap()), "{address}, {error}");
        }
    }

    #[tokio::test]
    async fn sockets_are_set_up_as_the_driver_needs_them() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), &[]).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tune(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT);
        assert!(!socket.keepalive().unwrap());
        assert!(bytes_acked(&stream).is_some());
    }
}
