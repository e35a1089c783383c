// SPDX-License-Identifier: AGPL-3.0-or-later
//! Real traffic over a veth pair: counted to the byte, and timed.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ebpf_loader::{Conversation, Hook, Probes};
use nix::ifaddrs::getifaddrs;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, GetSockOpt, MsgFlags, SockFlag, SockProtocol, SockType, sendto, socket, sockopt,
};
use ratman_types::{Hop, LinkId, LinkSample, RouterId, Timestamp};

use crate::crafted::{self, IPV4, TCP, UDP, ethernet, ipv4, turned, udp};
use crate::namespace::{Far, NEAR, at, interface, program, run};
use crate::test_run::possible;

pub(crate) fn hop(link: u32) -> Hop {
    Hop { link: LinkId(link), neighbour: RouterId::from_bytes([1; 32]) }
}

pub(crate) fn seconds(seconds: u64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

/// The sample of the only hop.
fn sample(probes: &mut Probes, now: u64) -> Option<LinkSample> {
    let samples = probes.samples(seconds(now));
    assert!(samples.len() <= 1, "{samples:?}");
    samples.into_iter().next().map(|(_, sample)| sample)
}

/// Sends datagrams both ways, and expects every byte of the wire to be counted.
fn datagrams_are_counted(hook: Hook, near: UdpSocket, far: UdpSocket) {
    let interface = interface(NEAR);
    let mut probes = Probes::load_for(hook).unwrap();
    assert!(probes.watch(std::slice::from_ref(&interface)).is_empty());
    let (local, remote) = (near.local_addr().unwrap(), far.local_addr().unwrap());
    let conversation = Conversation { interface: interface.index, local, remote, protocol: UDP };
    let stranger = Conversation { remote: SocketAddr::new(remote.ip(), 1), ..conversation };
    probes.follow(&[(hop(1), conversation), (hop(2), stranger)]).unwrap();
    assert_eq!(probes.samples(seconds(1)), [], "where counting begins");

    let mut buffer = [0; 2000];
    let mut expected = (0, 0);
    let ip_header = if local.is_ipv4() { 20 } else { 40 };
    for len in (1..1400).step_by(100) {
        near.send_to(&buffer[..len], remote).unwrap();
        far.recv_from(&mut buffer).unwrap();
        far.send_to(&buffer[..len / 2], local).unwrap();
        near.recv_from(&mut buffer).unwrap();
        let wire = |len| u64::try_from(len).unwrap() + 8 + ip_header + 14;
        expected = (expected.0 + wire(len), expected.1 + wire(len / 2));
    }
    let samples = probes.samples(seconds(3));
    let [(counted, sample)] = &samples[..] else { panic!("the other one on the same address: {samples:?}") };
    let traffic = sample.traffic.unwrap();
    assert_eq!((*counted, traffic.over), (hop(1), Duration::from_secs(2)));
    assert_eq!((traffic.sent.0, traffic.received.0), expected);
}

/// Datagram sockets at both ends.
pub(crate) fn sockets(far: &Far, near: &str, away: &str) -> (UdpSocket, UdpSocket) {
    let near = UdpSocket::bind(at(near)).unwrap();
    let away = far.enter(|| UdpSocket::bind(at(away)).unwrap());
    for socket in [&near, &away] {
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    }
    (near, away)
}

#[test]
fn datagrams_are_counted_to_the_byte() {
    if !possible() {
        return;
    }
    run(|| {
        let far = Far::new();
        for hook in [Hook::Tcx, Hook::Clsact] {
            for (near, away) in [("10.8.0.1:0", "10.8.0.2:0"), ("[fd08::1]:0", "[fd08::2]:0")] {
                let (near, away) = sockets(&far, near, away);
                datagrams_are_counted(hook, near, away);
            }
        }
    });
}

/// Puts a frame onto an interface of this thread's namespace.
fn send_frame(interface: &str, frame: &[u8]) {
    let packets =
        socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), SockProtocol::EthAll).unwrap();
    let mut addresses = getifaddrs().unwrap().filter(|one| one.interface_name == interface);
    let address = addresses.find_map(|one| one.address?.as_link_addr().copied()).unwrap();
    sendto(packets.as_raw_fd(), frame, &address, MsgFlags::empty()).unwrap();
}

#[test]
fn what_a_vlan_carries_is_not_credited_to_the_interface_below() {
    if !possible() {
        return;
    }
    run(|| {
        let far = Far::new();
        let near = interface(NEAR);
        let followed = Conversation { interface: near.index, ..crafted::conversation(false, UDP) };
        let packet = ipv4(UDP, &udp(&[1; 100]));
        let frame = |tags: &[(u16, u16)]| ethernet(tags, IPV4, &packet);
        let len = u64::try_from(frame(&[]).len()).unwrap();
        let mut probes = Probes::load().unwrap();
        assert!(probes.watch(&[near]).is_empty());
        probes.follow(&[(hop(1), followed)]).unwrap();
        assert_eq!(sample(&mut probes, 1), None);
        // The kernel takes the tags out of the bytes before the probes see them. One without a number is no VLAN.
        far.enter(|| {
            for tags in [&[(0x8100, 5)][..], &[(0x88a8, 5)], &[(0x8100, 0xe005)], &[(0x8100, 0xe000)], &[]] {
                send_frame("far", &frame(tags));
            }
        });
        send_frame(NEAR, &ethernet(&[(0x8100, 5)], IPV4, &turned(packet.clone())));
        send_frame(NEAR, &ethernet(&[], IPV4, &turned(packet.clone())));
        let traffic = sample(&mut probes, 2).unwrap().traffic.unwrap();
        assert_eq!((traffic.sent.0, traffic.received.0), (len, 2 * len));
    });
}

/// A TCP connection over the veth pair.
fn connection(far: &Far) -> (TcpStream, TcpStream) {
    let listener = far.enter(|| TcpListener::bind(at("10.8.0.2:0")).unwrap());
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let away = listener.accept().unwrap().0;
    for socket in [&near, &away] {
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    }
    (near, away)
}

/// What the kernel says of a connection (tcp(7)).
fn told(stream: &TcpStream) -> libc::tcp_info {
    TcpInfo.get(stream).unwrap()
}

#[derive(Clone, Copy, Debug)]
struct TcpInfo;

nix::getsockopt_impl!(
    TcpInfo,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    libc::tcp_info,
    sockopt::GetStruct<libc::tcp_info>
);

/// Probes that follow a connection from its near end.
fn following(near: &TcpStream) -> Probes {
    let mut probes = Probes::load().unwrap();
    let interface = interface(NEAR);
    let conversation = Conversation {
        interface: interface.index,
        local: near.local_addr().unwrap(),
        remote: near.peer_addr().unwrap(),
        protocol: TCP,
    };
    assert!(probes.watch(&[interface]).is_empty());
    probes.follow(&[(hop(1), conversation)]).unwrap();
    probes
}

#[test]
fn round_trips_are_near_what_ping_says() {
    if !possible() {
        return;
    }
    run(|| {
        let far = Far::new();
        let (mut near, mut away) = connection(&far);
        let mut probes = following(&near);
        let began = Instant::now();
        let mut byte = [0];
        // Each tick of the stamps gives a round trip.
        while began.elapsed() < Duration::from_millis(500) {
            near.write_all(&byte).unwrap();
            away.read_exact(&mut byte).unwrap();
            away.write_all(&byte).unwrap();
            near.read_exact(&mut byte).unwrap();
        }
        let measured = sample(&mut probes, 1).unwrap().round_trips.unwrap();
        let truth = ping();
        let difference = measured.p10.abs_diff(truth);
        assert!(difference <= (truth / 20).max(Duration::from_micros(200)), "{measured:?}, ping: {truth:?}");
        assert!(measured.count > 20, "{measured:?}");
        assert!(sample(&mut probes, 2).unwrap().round_trips.is_none(), "nothing since");
    });
}

/// The median of some pings, in steps of a microsecond.
fn ping() -> Duration {
    let said = program("ping", "-n -i 0.01 -c 30 10.8.0.2");
    let times = said.lines().filter_map(|line| line.split_once("time=")?.1.split_whitespace().next());
    let mut times: Vec<f64> = times.map(|time| time.parse().unwrap()).collect();
    times.sort_by(f64::total_cmp);
    Duration::from_secs_f64(times[times.len() / 2] / 1000.0)
}

#[test]
fn a_bulk_transfer_is_counted_as_it_is_on_the_wire() {
    if !possible() {
        return;
    }
    run(|| {
        let far = Far::new();
        let (mut near, mut away) = connection(&far);
        let mut probes = following(&near);
        assert_eq!(sample(&mut probes, 1), None);
        let before = told(&near);
        let total = 8_000_000;
        let writer = std::thread::spawn(move || near.write_all(&vec![7; total]).map(|()| near));
        let mut read = vec![0; total];
        away.read_exact(&mut read).unwrap();
        let near = writer.join().unwrap().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut after = told(&near);
        while after.tcpi_unacked > 0 {
            assert!(Instant::now() < deadline, "{} segments are not acknowledged", after.tcpi_unacked);
            std::thread::yield_now();
            after = told(&near);
        }
        let sent = sample(&mut probes, 2).unwrap().traffic.unwrap().sent.0;
        // Every segment has 66 bytes of headers, those sent again included.
        let segments = u64::from(after.tcpi_segs_out - before.tcpi_segs_out);
        assert_eq!(sent, after.tcpi_bytes_sent - before.tcpi_bytes_sent + 66 * segments);
        assert!(segments >= u64::try_from(total / 1448).unwrap(), "{segments}");
    });
}

#[test]
fn what_the_programs_say_reaches_the_log() {
    if !possible() {
        return;
    }
    run(|| {
        let far = Far::new();
        let (mut near, mut away) = connection(&far);
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let mut probes = following(&near);
            near.write_all(b"x").unwrap();
            away.read_exact(&mut [0]).unwrap();
            away.write_all(b"x").unwrap();
            near.read_exact(&mut [0]).unwrap();
            probes.samples(seconds(1));
        });
        let said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let line = said.lines().find(|line| line.contains("round trip")).unwrap_or_else(|| panic!("{said}"));
        assert!(line.contains("TRACE") && line.contains("ebpf_loader"), "{line}");
    });
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
