// SPDX-License-Identifier: AGPL-3.0-or-later
//! The cases; each gets the wanted backend and must hold on both.

use gateway_tun::{InnerMtu, IoError, Offload, RECV_BUFFER, Tun, TunConfig, TunError, VirtioNetHeader};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::namespace::{Behind, await_ipv6, ip, ip_says, up};
use crate::remote::{Arrived, Remote};

pub(crate) const NAME: &str = "irdest7";

pub(crate) fn config(offload: bool) -> TunConfig {
    TunConfig { offload, ..TunConfig::new(NAME.parse().unwrap()) }
}

/// An open device with its addresses, up.
pub(crate) fn open(offload: bool) -> Tun {
    open_as(&config(offload))
}

pub(crate) fn open_as(config: &TunConfig) -> Tun {
    let tun = Tun::open(config).unwrap();
    assert_eq!(tun.offload().is_on(), config.offload, "{}", tun.offload());
    up(NAME, "10.9.0.1/24", "fd09::1/64");
    await_ipv6(NAME, "fd09::/64");
    tun
}

pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 7 + at / 256) % 256).unwrap()).collect()
}

pub(crate) async fn echo(remote: &mut Remote<'_>, socket: &UdpSocket, payload: &[u8]) {
    remote.send(remote.udp(payload, 0)).await;
    let mut buffer = [0; 2_000];
    let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
    assert_eq!((&buffer[..length], from), (payload, remote.here));
    socket.send_to(&buffer[..length], from).await.unwrap();
    assert_eq!(remote.receive().await.payload, payload);
}

pub(crate) async fn a_datagram_is_echoed_by_the_kernels_stack(offload: bool) {
    let tun = open(offload);
    for (here, there) in [("10.9.0.2", "10.9.0.1:7"), ("fd09::2", "[fd09::1]:7")] {
        let socket = UdpSocket::bind(there).await.unwrap();
        let mut remote = Remote::new(&tun, here, socket.local_addr().unwrap());
        echo(&mut remote, &socket, b"ping").await;
        echo(&mut remote, &socket, &pattern(1_301)).await;
    }
    assert_eq!(tun.counters().sent, 4);
    assert!(tun.counters().received >= 4);
}

/// 10 007 bytes each way: more than one segment, less than a first window.
pub(crate) async fn tcp_both_ways(tun: &Tun, here: &str, listener: TcpListener) -> Vec<Arrived> {
    let sent = pattern(10_007);
    let mut remote = Remote::new(tun, here, listener.local_addr().unwrap());
    let mut tcp = remote.connect().await;
    let (mut socket, from) = listener.accept().await.unwrap();
    assert_eq!(from, remote.here);
    remote.send_tcp(&mut tcp, &sent, 1_000).await;
    let mut received = vec![0; sent.len()];
    socket.read_exact(&mut received).await.unwrap();
    assert!(received == sent);
    socket.write_all(&sent).await.unwrap();
    let (received, packets) = remote.receive_tcp(&tcp, sent.len()).await;
    assert!(received == sent);
    if tun.offload().is_on() {
        assert_eq!(tun.counters().segmented, 0);
    } else {
        assert!(
            packets.iter().all(|arrived| arrived.header == VirtioNetHeader::NONE && arrived.is_verified())
        );
        assert!(tun.counters().segmented > 0);
    }
    packets
}

/// Whether the device took a super-packet of this host whole.
pub(crate) fn any_whole(packets: &[Arrived]) -> bool {
    packets.iter().any(|arrived| arrived.packet.len() > 1_420 && arrived.header.gso_size > 0)
}

pub(crate) async fn tcp_super_packets_reach_a_socket_and_return(offload: bool) {
    let tun = open(offload);
    let listener = TcpListener::bind("10.9.0.1:80").await.unwrap();
    assert_eq!(any_whole(&tcp_both_ways(&tun, "10.9.0.2", listener).await), offload);
}

pub(crate) async fn tcp_super_packets_over_ipv6(offload: bool) {
    let tun = open(offload);
    let listener = TcpListener::bind("[fd09::1]:80").await.unwrap();
    assert_eq!(any_whole(&tcp_both_ways(&tun, "fd09::2", listener).await), offload);
}

/// A receiver on this host takes a partial checksum on trust; one behind a bare veth sees what really left.
pub(crate) async fn segments_survive_a_receiver_that_verifies(offload: bool) {
    let tun = open(offload);
    let behind = Behind::a_veth();
    for (here, there) in [("10.9.0.2", "10.8.0.2:80"), ("fd09::2", "[fd08::2]:80")] {
        let listener = behind.enter(|| std::net::TcpListener::bind(there)).unwrap();
        listener.set_nonblocking(true).unwrap();
        tcp_both_ways(&tun, here, TcpListener::from_std(listener).unwrap()).await;
    }
}

fn udp_behind(behind: &Behind, there: &str) -> UdpSocket {
    let socket = behind.enter(|| std::net::UdpSocket::bind(there)).unwrap();
    socket.set_nonblocking(true).unwrap();
    UdpSocket::from_std(socket).unwrap()
}

pub(crate) async fn udp_super_packets_become_datagrams(offload: bool) {
    let tun = open(offload);
    let behind = Behind::a_veth();
    for (here, there) in [("10.9.0.2", "10.8.0.2:53"), ("fd09::2", "[fd08::2]:53")] {
        let socket = udp_behind(&behind, there);
        let remote = Remote::new(&tun, here, socket.local_addr().unwrap());
        // The control: this receiver drops what has a wrong checksum.
        let (_, mut broken) = remote.udp(b"broken", 0);
        let last = broken.len() - 1;
        broken[last] ^= 1;
        remote.send((VirtioNetHeader::NONE, broken)).await;
        let sent = pattern(4_100);
        remote.send(remote.udp(&sent, 500)).await;
        let mut buffer = [0; 2_000];
        for datagram in sent.chunks(500) {
            let length = socket.recv(&mut buffer).await.unwrap();
            assert!(buffer[..length] == *datagram);
        }
    }
}

pub(crate) async fn more_datagrams_than_every_kernel_takes(offload: bool) {
    let tun = open(offload);
    let socket = UdpSocket::bind("10.9.0.1:53").await.unwrap();
    let remote = Remote::new(&tun, "10.9.0.2", socket.local_addr().unwrap());
    for datagrams in [65, 128, 150] {
        let sent = pattern(datagrams * 100);
        remote.send(remote.udp(&sent, 100)).await;
        let mut buffer = [0; 2_000];
        for datagram in sent.chunks(100) {
            let length = socket.recv(&mut buffer).await.unwrap();
            assert!(buffer[..length] == *datagram);
        }
    }
    assert_eq!(tun.counters().segmented, 3);
    assert_eq!(tun.counters().sent, 65 + 128 + 150);
}

pub(crate) async fn a_deleted_interface_is_noticed(offload: bool) {
    let tun = open(offload);
    let mut buffer = vec![0; RECV_BUFFER];
    let deleted = async {
        loop {
            tun.readable(0).await.unwrap();
            match tun.try_recv(0, &mut buffer) {
                Ok(_) | Err(IoError::WouldBlock) => {}
                Err(IoError::Gone) => break,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let delete = async {
        tokio::task::yield_now().await;
        ip(&format!("link del {NAME}"));
    };
    tokio::join!(deleted, delete);
    let answer = tun.try_send(0, &VirtioNetHeader::NONE, &[0x45; 20]);
    assert!(matches!(answer, Err(IoError::Gone)));
    assert_eq!(tun.counters().refused, 1);
}

pub(crate) async fn a_busy_name_is_refused_and_free_again_after(offload: bool) {
    let tun = open(offload);
    for second in [true, false] {
        assert!(matches!(Tun::open(&config(second)), Err(TunError::Busy { .. })));
    }
    drop(tun);
    assert!(!ip_says("-o link").contains(NAME), "the interface outlives the device");
    open(offload);
}

pub(crate) async fn a_name_of_another_kind_is_refused(offload: bool) {
    for add in [format!("link add {NAME} type veth peer name other"), format!("tuntap add {NAME} mode tap")] {
        ip(&add);
        assert!(matches!(Tun::open(&config(offload)), Err(TunError::OtherKind { .. })), "{add}");
        ip(&format!("link del {NAME}"));
    }
}

/// Offloads stay with a persistent device: whoever opens it next must set its own.
pub(crate) async fn a_persistent_device_takes_either_backend(offload: bool) {
    ip(&format!("tuntap add {NAME} mode tun"));
    for first in [!offload, offload] {
        drop(Tun::open(&config(first)).unwrap());
        let tun = open(offload);
        let listener = TcpListener::bind("10.9.0.1:80").await.unwrap();
        assert_eq!(any_whole(&tcp_both_ways(&tun, "10.9.0.2", listener).await), offload);
        drop(tun);
        assert!(ip_says("-o link").contains(NAME));
        ip(&format!("link set {NAME} down"));
        ip(&format!("addr flush dev {NAME}"));
    }
}

pub(crate) async fn the_mtu_is_set(offload: bool) {
    let tun = open(offload);
    assert!(ip_says(&format!("-o link show {NAME}")).contains("mtu 1420 "));
    for mtu in [576, 9_000, 65_535] {
        tun.set_mtu(InnerMtu::new(mtu).unwrap()).unwrap();
        assert!(ip_says(&format!("-o link show {NAME}")).contains(&format!("mtu {mtu} ")));
    }
    assert_eq!(tun.name().as_str(), NAME);
    assert!(matches!(tun.offload(), Offload::TcpAndUdp | Offload::Tcp | Offload::Disabled));
}

pub(crate) async fn a_short_buffer_is_refused(offload: bool) {
    let tun = open(offload);
    let answer = tun.try_recv(0, &mut vec![0; RECV_BUFFER - 1]);
    assert!(matches!(answer, Err(IoError::BufferTooShort { len: 65_549, expected: RECV_BUFFER })));
}

pub(crate) async fn many_packets_are_drained(offload: bool) {
    let tun = open(offload);
    let socket = UdpSocket::bind("10.9.0.1:7").await.unwrap();
    let mut remote = Remote::new(&tun, "10.9.0.2", socket.local_addr().unwrap());
    for round in 0..3_u8 {
        for number in 0..100 {
            socket.send_to(&[round, number], remote.here).await.unwrap();
        }
        for number in 0..100 {
            assert_eq!(remote.receive().await.payload, [round, number]);
        }
    }
    assert!(matches!(tun.try_recv(0, &mut vec![0; RECV_BUFFER]), Err(IoError::WouldBlock)));
}
