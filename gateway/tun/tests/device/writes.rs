// SPDX-License-Identifier: AGPL-3.0-or-later
//! What may be written: every row of the table of writes, at our policy and at the kernel, and what forwarding shows.

use etherparse::TcpHeader;
use gateway_core::offload::{Segments, check};
use gateway_tun::{IoError, Tun, VirtioNetHeader};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::cases::{open, pattern};
use crate::namespace::{Behind, tcp_counter};
use crate::remote::Remote;

type Packet = (VirtioNetHeader, Vec<u8>);

/// What our policy says of a header that came with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    /// Refused: the kernel never sees it.
    Refuses,
    /// Passed on with another header.
    Corrects,
    /// Passed on as it is.
    Passes,
}

fn policy((header, packet): &Packet) -> Policy {
    match check(header, packet) {
        Err(_) => Policy::Refuses,
        Ok(same) if same == *header => Policy::Passes,
        Ok(_) => Policy::Corrects,
    }
}

/// What the kernel does with it, were it written as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    Takes,
    /// With EINVAL.
    Refuses,
    /// One or the other, by its version; the table does not say.
    Either,
}

struct Row {
    name: &'static str,
    policy: Policy,
    kernel: Kernel,
    change: fn(&mut VirtioNetHeader, &mut Vec<u8>),
}

impl Row {
    const fn new(
        name: &'static str,
        policy: Policy,
        kernel: Kernel,
        change: fn(&mut VirtioNetHeader, &mut Vec<u8>),
    ) -> Self {
        Self { name, policy, kernel, change }
    }
}

/// The rows change a good super-packet: IPv4, TCP, 3000 bytes of payload in segments of 1000, headers of 40 bytes.
const ROWS: &[Row] = &[
    Row::new("as it was", Policy::Passes, Kernel::Takes, |_, _| {}),
    Row::new("csum_start beyond", Policy::Refuses, Kernel::Refuses, |header, _| header.csum_start = 4_000),
    Row::new("csum_offset beyond", Policy::Refuses, Kernel::Refuses, |header, _| header.csum_offset = 4_000),
    Row::new("csum_start in the payload", Policy::Refuses, Kernel::Either, |header, _| {
        header.csum_start = 60
    }),
    Row::new("csum_offset of UDP", Policy::Refuses, Kernel::Either, |header, _| header.csum_offset = 6),
    Row::new("gso_size 0", Policy::Refuses, Kernel::Refuses, |header, _| header.gso_size = 0),
    Row::new("hdr_len beyond", Policy::Corrects, Kernel::Refuses, |header, _| header.hdr_len = 4_000),
    Row::new("hdr_len 0", Policy::Corrects, Kernel::Takes, |header, _| header.hdr_len = 0),
    Row::new("hdr_len wrong", Policy::Corrects, Kernel::Takes, |header, _| header.hdr_len = 77),
    Row::new("TCPv6 on IPv4", Policy::Refuses, Kernel::Refuses, |header, _| header.gso_type = 4),
    Row::new("UDP on TCP", Policy::Refuses, Kernel::Either, |header, _| header.gso_type = 5),
    Row::new("UFO", Policy::Refuses, Kernel::Takes, |header, _| header.gso_type = 3),
    Row::new("unknown type", Policy::Refuses, Kernel::Refuses, |header, _| header.gso_type = 9),
    Row::new("ECN", Policy::Passes, Kernel::Takes, |header, _| header.gso_type |= 0x80),
    Row::new("empty", Policy::Refuses, Kernel::Refuses, |_, packet| packet.clear()),
    Row::new("IP version 0", Policy::Refuses, Kernel::Refuses, |_, packet| packet[0] = 0x05),
    Row::new("IP version 15", Policy::Refuses, Kernel::Refuses, |_, packet| packet[0] = 0xf5),
    Row::new("GSO without NEEDS_CSUM", Policy::Refuses, Kernel::Takes, |header, _| header.flags = 0),
    Row::new("DATA_VALID", Policy::Corrects, Kernel::Takes, |header, _| header.flags |= 2),
    Row::new("unknown flags", Policy::Refuses, Kernel::Either, |header, _| header.flags |= 0x80),
    Row::new("one segment", Policy::Corrects, Kernel::Takes, |header, _| header.gso_size = 3_000),
    Row::new("gso_size above the MTU", Policy::Passes, Kernel::Takes, |header, _| header.gso_size = 2_000),
    Row::new("packet above the MTU", Policy::Passes, Kernel::Takes, |header, _| {
        (header.gso_type, header.gso_size) = (0, 0)
    }),
];

/// A super-packet as `ROWS` say; no connection expects it, so that the kernel answers it at most with a reset.
fn good(remote: &Remote<'_>) -> Packet {
    let tcp = TcpHeader::new(remote.here.port(), remote.there.port(), 1, 65_000);
    remote.tcp(&tcp, &pattern(3_000), 1_000)
}

pub(crate) async fn every_row_of_the_table_of_writes(offload: bool) {
    let tun = open(offload);
    let remote = Remote::new(&tun, "10.9.0.2", "10.9.0.1:9".parse().unwrap());
    let mut wrong = Vec::new();
    for row in ROWS {
        let (mut header, mut packet) = good(&remote);
        (row.change)(&mut header, &mut packet);
        let came = (header, packet);
        let said = policy(&came);
        if said != row.policy {
            wrong.push(format!("{}: our policy {said:?}", row.name));
        }
        let before = tun.counters();
        let answer = tun.try_send(0, &came.0, &came.1);
        let after = tun.counters();
        let expected = match (offload, row.kernel) {
            (true, Kernel::Takes) => true,
            (true, Kernel::Refuses) => false,
            (true, Kernel::Either) => answer.is_ok(),
            // Software finishes what arrives there, by the same policy.
            (false, _) => row.policy != Policy::Refuses,
        };
        if answer.is_ok() != expected {
            wrong.push(format!("{}: written as it came: {answer:?}", row.name));
        }
        match answer {
            Ok(()) => assert!(after.sent > before.sent, "{}", row.name),
            Err(IoError::Refused | IoError::Offload(_)) => {
                assert_eq!((after.sent, after.refused), (before.sent, before.refused + 1), "{}", row.name);
            }
            Err(error) => panic!("{}: {error}", row.name),
        }
        // What our policy lets through, the kernel takes.
        if let Ok(header) = check(&came.0, &came.1) {
            tun.try_send(0, &header, &came.1).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

pub(crate) async fn bytes_that_are_no_packet_are_refused(offload: bool) {
    let tun = open(offload);
    for bytes in [&[][..], &[0x00], &[0x55; 40]] {
        assert!(check(&VirtioNetHeader::NONE, bytes).is_err(), "{bytes:?}");
        assert!(matches!(tun.try_send(0, &VirtioNetHeader::NONE, bytes), Err(IoError::Refused)), "{bytes:?}");
    }
    assert_eq!((tun.counters().refused, tun.counters().sent), (3, 0));
}

/// The one row that looks like success: the kernel drops it, and only this counter tells.
pub(crate) async fn a_partial_checksum_without_its_flag_is_dropped(offload: bool) {
    let tun = open(offload);
    let listener = TcpListener::bind("10.9.0.1:80").await.unwrap();
    let mut remote = Remote::new(&tun, "10.9.0.2", listener.local_addr().unwrap());
    let mut tcp = TcpHeader::new(remote.here.port(), 80, 1, 65_000);
    tcp.syn = true;
    let (_, packet) = remote.tcp(&tcp, &[], 0);
    tun.try_send(0, &VirtioNetHeader::NONE, &packet).unwrap();
    assert_eq!(tcp_counter("InCsumErrors"), 1);
    // With its flag it is a connection.
    remote.connect().await;
    assert_eq!(tcp_counter("InCsumErrors"), 1);
}

/// How a super-packet is written.
#[derive(Clone, Copy, Debug)]
enum Way {
    Whole,
    Segments,
}

fn write(tun: &Tun, way: Way, (header, packet): &Packet) {
    match way {
        Way::Whole => tun.try_send(0, header, packet).unwrap(),
        Way::Segments => {
            let mut segments = Segments::new(header, packet).unwrap();
            while let Some(segment) = segments.next_segment() {
                let packet = [segment.headers, segment.payload].concat();
                tun.try_send(0, &VirtioNetHeader::NONE, &packet).unwrap();
            }
        }
    }
}

const MEBIBYTE: usize = 1024 * 1024;

/// Only a stack that gets forwarded packets verifies their checksums; this one is behind a veth without offloads.
async fn moves_a_mebibyte(tun: &Tun, behind: &Behind, way: Way, (here, there): (&str, &str)) {
    let listener = behind.enter(|| std::net::TcpListener::bind(there)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    let mut remote = Remote::new(tun, here, listener.local_addr().unwrap());
    let counters = || behind.enter(|| (tcp_counter("InCsumErrors"), tcp_counter("InSegs")));
    let (errors, segments) = counters();
    let mut tcp = remote.connect().await;
    let (mut socket, _) = listener.accept().await.unwrap();
    // The control: a wrong checksum is noticed there.
    let (header, mut broken) = remote.tcp(&tcp, b"broken", 0);
    let last = broken.len() - 1;
    let mut complete = Segments::new(&header, &broken).unwrap();
    let segment = complete.next_segment().unwrap();
    broken = [segment.headers, segment.payload].concat();
    broken[last] ^= 1;
    tun.try_send(0, &VirtioNetHeader::NONE, &broken).unwrap();
    let sent = pattern(MEBIBYTE);
    let mut received = vec![0; 32_000];
    for part in sent.chunks(received.len()) {
        write(tun, way, &remote.next(&mut tcp, part, 1_000));
        let received = &mut received[..part.len()];
        socket.read_exact(received).await.unwrap();
        assert!(received == part, "{way:?} {there}");
    }
    let (errors_after, segments_after) = counters();
    assert_eq!(errors_after - errors, 1, "{way:?} {there}: more than the control");
    assert!(segments_after - segments > u64::try_from(MEBIBYTE / 1_000).unwrap(), "{way:?} {there}");
}

pub(crate) async fn a_forwarded_mebibyte_has_no_wrong_checksum(offload: bool) {
    let tun = open(offload);
    let behind = Behind::a_veth();
    for way in [Way::Whole, Way::Segments] {
        for path in [("10.9.0.2", "10.8.0.2:80"), ("fd09::2", "[fd08::2]:80")] {
            moves_a_mebibyte(&tun, &behind, way, path).await;
        }
    }
}
