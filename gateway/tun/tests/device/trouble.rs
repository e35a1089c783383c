// SPDX-License-Identifier: AGPL-3.0-or-later
//! What an operator, another program or the kernel can do to us: an error or a fallback that says so, and recovery.
#![allow(unsafe_code, reason = "TUNSETSNDBUF on the device of another owner, and capset(2)")]

use std::fs;
use std::os::fd::RawFd;

use gateway_tun::{IoError, Offload, RECV_BUFFER, Tun, TunConfig, TunError, VirtioNetHeader};
use nix::errno::Errno;
use nix::libc::{self, c_int};
use tokio::net::{TcpListener, UdpSocket};

use crate::cases::{NAME, any_whole, config, echo, open, open_as, tcp_both_ways};
use crate::namespace::{await_ipv6, ip, ip_says, run_program, saying, up};
use crate::remote::Remote;
use crate::seccomp;

async fn echoes(tun: &Tun, payload: &[u8]) {
    let socket = UdpSocket::bind("10.9.0.1:7").await.unwrap();
    let mut remote = Remote::new(tun, "10.9.0.2", socket.local_addr().unwrap());
    echo(&mut remote, &socket, payload).await;
}

/// USO came with Linux 6.2.
pub(crate) async fn a_kernel_without_udp_offload_gets_udp_in_datagrams() {
    seccomp::refuse_offloads(0x60);
    let tun = open(true);
    assert!(matches!(tun.offload(), Offload::Tcp), "{}", tun.offload());
    let listener = TcpListener::bind("10.9.0.1:80").await.unwrap();
    assert!(any_whole(&tcp_both_ways(&tun, "10.9.0.2", listener).await));
    let socket = UdpSocket::bind("10.9.0.1:53").await.unwrap();
    let remote = Remote::new(&tun, "10.9.0.2", socket.local_addr().unwrap());
    remote.send(remote.udp(&[7; 1_000], 400)).await;
    let mut buffer = [0; 2_000];
    for length in [400, 400, 200] {
        assert_eq!(socket.recv(&mut buffer).await.unwrap(), length);
    }
    assert_eq!(tun.counters().segmented, 1);
}

async fn packets_pass_one_by_one(errno: Errno) {
    let (tun, said) = saying(|| Tun::open(&TunConfig { queues: 2, ..config(true) }).unwrap());
    assert!(said.contains("WARN") && said.contains("no segmentation offload"), "{said}");
    let Offload::Refused(source) = tun.offload() else { panic!("{}", tun.offload()) };
    assert_eq!(source.raw_os_error(), std::io::Error::from(errno).raw_os_error());
    assert!(tun.offload().to_string().contains("refused by the kernel"));
    assert_eq!(tun.queues(), 2);
    up(NAME, "10.9.0.1/24", "fd09::1/64");
    await_ipv6(NAME, "fd09::/64");
    let listener = TcpListener::bind("10.9.0.1:80").await.unwrap();
    assert!(!any_whole(&tcp_both_ways(&tun, "10.9.0.2", listener).await));
}

pub(crate) async fn a_kernel_that_refuses_offload_gets_packets_one_by_one() {
    seccomp::refuse_offloads(0x7f);
    packets_pass_one_by_one(Errno::EINVAL).await;
}

pub(crate) async fn a_kernel_without_features_gets_packets_one_by_one() {
    seccomp::refuse_ioctl(seccomp::FEATURES, Errno::ENOTTY);
    packets_pass_one_by_one(Errno::ENOTTY).await;
}

/// Everything about the device that outlives its maker is set anew.
pub(crate) async fn a_persistent_device_with_other_flags_is_taken(offload: bool) {
    for flags in [
        "one_queue",
        "pi",
        "vnet_hdr",
        "pi vnet_hdr one_queue",
        "multi_queue pi",
        "multi_queue vnet_hdr",
        "user 4242 group 4242",
    ] {
        ip(&format!("tuntap add {NAME} mode tun {flags}"));
        for queues in [1, 2] {
            let tun = open_as(&TunConfig { queues, ..config(offload) });
            echoes(&tun, flags.as_bytes()).await;
            drop(tun);
            assert!(ip_says("-o link").contains(NAME), "{flags}");
            ip(&format!("link set {NAME} down"));
            ip(&format!("addr flush dev {NAME}"));
        }
        ip(&format!("link del {NAME}"));
    }
}

/// Runs `task` as a process without CAP_NET_ADMIN would; the capability stays permitted and is taken back.
fn without_net_admin<T>(task: impl FnOnce() -> T) -> T {
    const NET_ADMIN: u32 = 1 << 12;
    /// Version 3: two words each of effective, permitted and inheritable (source: capget(2)).
    const HEADER: [u32; 2] = [0x2008_0522, 0];
    let mut sets = [0_u32; 6];
    // SAFETY: header and sets are of the size that version 3 has, and outlive the call.
    let got = unsafe { libc::syscall(libc::SYS_capget, HEADER.as_ptr(), sets.as_mut_ptr()) };
    assert_eq!(Errno::result(got), Ok(0));
    let set = |sets: &[u32; 6]| {
        // SAFETY: as above.
        let set = unsafe { libc::syscall(libc::SYS_capset, HEADER.as_ptr(), sets.as_ptr()) };
        assert_eq!(Errno::result(set), Ok(0));
    };
    let mut fewer = sets;
    fewer[0] &= !NET_ADMIN;
    set(&fewer);
    let result = task();
    set(&sets);
    result
}

pub(crate) async fn without_the_capability_it_says_so(offload: bool) {
    for add in ["", "user 4242", "multi_queue user 4242"] {
        if !add.is_empty() {
            ip(&format!("tuntap add {NAME} mode tun {add}"));
        }
        let answer = without_net_admin(|| Tun::open(&config(offload)));
        let Err(error @ TunError::Permission { .. }) = answer else { panic!("{answer:?}") };
        assert!(error.to_string().contains("CAP_NET_ADMIN"));
        drop(Tun::open(&config(offload)).unwrap());
        if !add.is_empty() {
            ip(&format!("link del {NAME}"));
        }
    }
}

/// Down and up by hand beside a reader that waits all the time.
pub(crate) async fn an_interface_that_goes_down_is_counted_and_recovers(offload: bool) {
    let tun = open(offload);
    let socket = UdpSocket::bind("10.9.0.1:7").await.unwrap();
    let mut remote = Remote::new(&tun, "10.9.0.2", socket.local_addr().unwrap());
    echo(&mut remote, &socket, b"before").await;
    for round in 1..=3 {
        let here = remote.here;
        let (header, packet) = remote.udp(b"lost", 0);
        let reading = remote.receive();
        let by_hand = async {
            tokio::task::yield_now().await;
            ip(&format!("link set {NAME} down"));
            for _ in 0..3 {
                assert!(matches!(tun.try_send(0, &header, &packet), Err(IoError::Down)));
            }
            assert_eq!(tun.counters().down, round * 3);
            ip(&format!("link set {NAME} up"));
            socket.send_to(b"again", here).await.unwrap();
        };
        let (arrived, ()) = tokio::join!(reading, by_hand);
        assert_eq!(arrived.payload, b"again");
        echo(&mut remote, &socket, b"after").await;
    }
}

mod ioctl {
    use nix::libc::c_int;
    nix::ioctl_write_ptr!(set_send_buffer, b'T', 212, c_int);
}

/// Limits what written packets may occupy, on every open device.
fn set_send_buffer(bytes: c_int) {
    let mut devices = 0;
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        let path = entry.unwrap().path();
        if fs::read_link(&path).is_ok_and(|target| target.as_os_str() == "/dev/net/tun") {
            let descriptor: RawFd = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            // SAFETY: cases run one by one, and this one keeps its device open; the pointer is to a c_int that outlives
            // the call.
            unsafe { ioctl::set_send_buffer(descriptor, &raw const bytes) }.unwrap();
            devices += 1;
        }
    }
    assert!(devices > 0);
}

/// Packets that the kernel keeps occupy the send buffer: here they wait behind a link that passes one byte per second.
pub(crate) async fn a_full_send_buffer_drops_counts_and_recovers(offload: bool) {
    let tun = open(offload);
    set_send_buffer(10_000);
    ip("link add slow type veth peer name end");
    ip("link set slow up");
    ip("link set end up");
    let tc = |arguments: &str| run_program("tc", arguments);
    tc("qdisc add dev slow root tbf rate 8bit burst 2000 limit 1000000");
    tc(&format!("qdisc add dev {NAME} ingress"));
    tc(&format!(
        "filter add dev {NAME} parent ffff: protocol all u32 match u32 0 0 action mirred egress redirect dev slow"
    ));
    let remote = Remote::new(&tun, "10.9.0.2", "10.9.0.1:7".parse().unwrap());
    let (header, packet) = remote.udp(&[7; 1_000], 0);
    let mut written = 0;
    while tun.try_send(0, &header, &packet).is_ok() {
        written += 1;
        assert!(written < 100, "the send buffer never fills");
    }
    assert!(written > 1);
    for _ in 0..2 {
        assert!(matches!(tun.try_send(0, &header, &packet), Err(IoError::WouldBlock)));
    }
    let counters = tun.counters();
    assert_eq!((counters.sent, counters.would_block, counters.refused), (written, 3, 0));
    // Once the link lets go of them, everything passes again.
    tc(&format!("qdisc del dev {NAME} ingress"));
    tc("qdisc del dev slow root");
    echoes(&tun, b"again").await;
}

pub(crate) async fn a_kernel_without_memory_is_counted_and_recovers(offload: bool) {
    let tun = open(offload);
    for errno in [Errno::ENOBUFS, Errno::ENOMEM] {
        let remote = Remote::new(&tun, "10.9.0.2", "10.9.0.1:7".parse().unwrap());
        let (header, packet) = remote.udp(b"lost", 0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                seccomp::refuse_writes(errno);
                assert!(matches!(tun.try_send(0, &header, &packet), Err(IoError::NoMemory)));
            });
        });
        echoes(&tun, b"again").await;
    }
    assert_eq!(tun.counters().no_memory, 2);
}

/// What deleting by hand does to every queue, and that the name can be opened again at once.
pub(crate) async fn every_queue_notices_that_the_interface_was_deleted(offload: bool) {
    let tun = open_as(&TunConfig { queues: 3, ..config(offload) });
    ip(&format!("link del {NAME}"));
    let mut buffer = vec![0; RECV_BUFFER];
    for queue in 0..3 {
        let end = loop {
            tun.readable(queue).await.unwrap();
            match tun.try_recv(queue, &mut buffer) {
                Ok(_) | Err(IoError::WouldBlock) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(end, IoError::Gone), "{end}");
        let answer = tun.try_send(queue, &VirtioNetHeader::NONE, &[0x45; 20]);
        assert!(matches!(answer, Err(IoError::Gone)));
    }
    echoes(&open(offload), b"again").await;
}
