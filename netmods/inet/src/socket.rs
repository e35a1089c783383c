// SPDX-License-Identifier: AGPL-3.0-or-later
//! What we ask of the kernel for our sockets.

use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{GetSockOpt, SetSockOpt, sockopt};
use ratman_types::ByteCount;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::InetError;
use crate::path::Bounds;
use crate::tcp_info::{TCP_INFO_LEN, TcpInfo};

/// Connections that wait for `accept`; half-open places are fewer.
const BACKLOG: i32 = 128;

/// What the operator wants of every socket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    pub(crate) mark: Option<u32>,
    pub(crate) buffer: Option<ByteCount>,
}

impl Options {
    /// Whether the kernel will let us.
    ///
    /// # Errors
    /// [`InetError::Mark`]. A host without sockets at all says so where we listen and dial.
    pub(crate) fn check(self) -> Result<(), InetError> {
        let Some(mark) = self.mark else { return Ok(()) };
        let Ok(socket) = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)) else { return Ok(()) };
        socket.set_mark(mark).map_err(|error| InetError::Mark { mark, error })
    }

    /// A socket with these options, before it connects or listens: the first packet has the mark, and the window scale
    /// fits the buffer. Accepted connections inherit both.
    fn open(self, address: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        if let Some(mark) = self.mark {
            socket.set_mark(mark)?;
        }
        if let Some(ByteCount(bytes)) = self.buffer {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            socket.set_send_buffer_size(bytes)?;
            socket.set_recv_buffer_size(bytes)?;
        }
        Ok(socket)
    }
}

/// Connects to an address.
pub(crate) async fn connect(address: SocketAddr, options: Options) -> io::Result<TcpStream> {
    TcpSocket::from_std_stream(options.open(address)?.into()).connect(address).await
}

/// Sets up a connected socket.
///
/// No keepalive and no user timeout: the router's echoes find a dead peer sooner, on every medium alike. The
/// congestion control stays what the host chose.
pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(Bounds::NONE.unsent)
}

/// Bounds what the kernel may hold; `fixed` says that the operator has chosen the size of the buffer.
pub(crate) fn bound(stream: &TcpStream, bounds: Bounds, fixed: bool) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_notsent_lowat(bounds.unsent)?;
    match bounds.in_flight {
        // The kernel doubles the number, wants a third of that free before it takes more (tcp_poll), and counts its
        // bookkeeping in: so three quarters let all of it be in flight.
        Some(bytes) if !fixed => {
            socket.set_send_buffer_size(usize::try_from(bytes / 4 * 3).unwrap_or(usize::MAX))
        }
        Some(_) => Ok(()),
        None if fixed => Ok(()),
        None => Ok(BufferLock.set(stream, &0)?),
    }
}

/// Writes as `writev` does; with `sparing` only while the kernel holds less than it may.
pub(crate) fn write(stream: &TcpStream, slices: &[IoSlice<'_>], sparing: bool) -> io::Result<usize> {
    if !sparing {
        return stream.try_write_vectored(slices);
    }
    stream.try_io(Interest::WRITABLE, || {
        ask(stream)?;
        SockRef::from(stream).send_vectored(slices)
    })
}

/// Whether the kernel holds less than it may; if not, [`TcpStream::writable`] waits until it does.
pub(crate) fn has_room(stream: &TcpStream) -> bool {
    // An error is found by whoever writes.
    !stream
        .try_io(Interest::WRITABLE, || ask(stream))
        .is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Fails where the kernel holds as much as it may.
///
/// The kernel itself adds to the last segment that it has not sent, up to 64 KiB, whatever `TCP_NOTSENT_LOWAT` says;
/// `poll` alone goes by it, and arms the wake-up that follows.
fn ask(stream: &TcpStream) -> io::Result<()> {
    let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut fds, PollTimeout::ZERO)? == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
}

/// Listens on `address`; `[::]` takes IPv4 too unless `all` asks for it separately.
///
/// # Errors
/// [`InetError`] names the address.
pub(crate) fn listen(
    address: SocketAddr,
    all: &[SocketAddr],
    options: Options,
) -> Result<TcpListener, InetError> {
    let only_v6 = all.contains(&everywhere_v4(address.port()));
    let bound =
        bind(address, only_v6, options).or_else(|error| match without_ipv6(address, only_v6, &error) {
            Some(address) => bind(address, false, options),
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

fn bind(address: SocketAddr, only_v6: bool, options: Options) -> io::Result<TcpListener> {
    let socket = options.open(address)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // A restarted router takes its port back although old connections are still in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// An address with IPv4 as such, never mapped into IPv6.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        // As it is: a link-local one has a scope beside its bits.
        IpAddr::V6(_) => address,
    }
}

/// What the kernel knows of a connection, if ours tells.
pub(crate) fn info(stream: &TcpStream) -> Option<TcpInfo> {
    RawTcpInfo.get(stream).ok().map(|bytes| TcpInfo::parse(&bytes))
}

/// Whether the congestion control of a connection measures what the path carries and sends at that (`TCP_CONGESTION`), which
/// of those in Linux BBR does.
pub(crate) fn measures_path(stream: &TcpStream) -> bool {
    let name = sockopt::TcpCongestion.get(stream).unwrap_or_default();
    name.as_encoded_bytes().starts_with(b"bbr")
}

/// Reads `TCP_INFO`.
#[derive(Clone, Copy, Debug)]
struct RawTcpInfo;

nix::getsockopt_impl!(
    RawTcpInfo,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    [u8; TCP_INFO_LEN],
    sockopt::GetStruct<[u8; TCP_INFO_LEN]>
);

/// Says whether the size of the send buffer is ours (`SO_BUF_LOCK`, Linux 5.14); 0 gives it back to the autotuning.
#[derive(Clone, Copy, Debug)]
struct BufferLock;

nix::setsockopt_impl!(BufferLock, libc::SOL_SOCKET, libc::SO_BUF_LOCK, u32, sockopt::SetStruct<'_, u32>);

#[cfg(test)]
mod tests {
    use std::time::Duration;

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

    #[test]
    fn mapped_addresses_become_ipv4_and_others_keep_their_scope() {
        let parse = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(canonical(parse("[::ffff:192.0.2.1]:1")), parse("192.0.2.1:1"));
        assert_eq!(canonical(parse("[fe80::1%7]:2")), parse("[fe80::1%7]:2"));
        assert_eq!(canonical(parse("192.0.2.1:3")), parse("192.0.2.1:3"));
    }

    #[tokio::test]
    async fn sockets_are_set_up_as_the_driver_needs_them() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), &[], Options::default()).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tune(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), Bounds::NONE.unsent);
        assert!(!socket.keepalive().unwrap());
        let info = info(&stream).unwrap();
        assert!(info.timestamps && info.segment > 500 && info.timeouts == 0, "{info:?}");
    }

    #[tokio::test]
    async fn bounds_are_kept_and_taken_back() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), &[], Options::default()).unwrap();
        let address = listener.local_addr().unwrap();
        let stream = connect(address, Options::default()).await.unwrap();
        let locked = || SockRef::from(&stream).send_buffer_size().unwrap();
        let free = locked();
        for (bytes, fixed, expected) in
            [(40_000, false, 60_000), (80_000, true, 60_000), (80_000, false, 120_000)]
        {
            bound(&stream, Bounds { unsent: 16_384, in_flight: Some(bytes), ..Bounds::NONE }, fixed).unwrap();
            assert_eq!(locked(), expected);
            assert_eq!(SockRef::from(&stream).tcp_notsent_lowat().unwrap(), 16_384);
        }
        assert!(free > 120_000);
        bound(&stream, Bounds::NONE, false).unwrap();
        assert!(info(&stream).unwrap().min_rtt < Duration::from_secs(1));
    }

    #[tokio::test]
    async fn sparing_writes_stop_before_the_kernel_would() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), &[], Options::default()).unwrap();
        let stream = connect(listener.local_addr().unwrap(), Options::default()).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        stream.writable().await.unwrap();
        assert!(has_room(&stream));
        bound(&stream, Bounds { unsent: 16_384, in_flight: Some(1_000_000), ..Bounds::NONE }, false).unwrap();
        let mut written = 0;
        let piece = [0; 8_192];
        while let Ok(count) = write(&stream, &[IoSlice::new(&piece)], true) {
            written += count;
        }
        let unsent = u32::from_ne_bytes(*RawTcpInfo.get(&stream).unwrap()[144..].first_chunk().unwrap());
        assert!(written > 0 && unsent <= 16_384, "{unsent} of {written}");
        assert_eq!(write(&stream, &[IoSlice::new(&piece)], true).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(!has_room(&stream));
        let drain = async {
            let mut room = vec![0; written];
            loop {
                far.readable().await.unwrap();
                let _ = far.try_read(&mut room);
            }
        };
        tokio::select! {
            () = drain => {}
            writable = stream.writable() => writable.unwrap(),
        }
        assert!(has_room(&stream), "whoever waits learns that there is room again");
    }
}
