// SPDX-License-Identifier: AGPL-3.0-or-later
//! Several queues: which flow is read from which, how many a device can have, and how long they are.

use std::collections::BTreeMap;

use gateway_tun::{ConfigError, IoError, MAX_QUEUES, RECV_BUFFER, Tun, TunConfig, TunError};
use tokio::net::UdpSocket;

use crate::cases::{NAME, config, echo, open_as};
use crate::namespace::{ip, ip_says, saying, up};
use crate::remote::Remote;

const QUEUES: u8 = 4;

fn several(offload: bool) -> TunConfig {
    TunConfig { queues: QUEUES, ..config(offload) }
}

/// One numbered datagram each way, then a burst: all on the queue of the flow, in order.
pub(crate) async fn a_flow_is_read_where_it_is_written(offload: bool) {
    let tun = open_as(&several(offload));
    assert_eq!(tun.queues(), QUEUES);
    for (here, there) in [("10.9.0.2", "10.9.0.1:7"), ("fd09::2", "[fd09::1]:7")] {
        let socket = UdpSocket::bind(there).await.unwrap();
        for flow in 0..16 {
            let queue = flow % QUEUES;
            let mut remote = Remote::on_queue(queue, &tun, here, socket.local_addr().unwrap());
            echo(&mut remote, &socket, &[flow]).await;
            for number in 0..50 {
                socket.send_to(&[flow, number], remote.here).await.unwrap();
            }
            for number in 0..50 {
                assert_eq!(remote.receive().await.payload, [flow, number]);
            }
        }
    }
    assert_eq!(tun.counters().sent, 32);
}

/// What waits on a queue, as the last byte of each datagram.
fn waiting(tun: &Tun, queue: u8) -> Vec<u8> {
    let mut buffer = vec![0; RECV_BUFFER];
    let mut bytes = Vec::new();
    loop {
        match tun.try_recv(queue, &mut buffer) {
            Ok(received) if buffer[9] == 17 && buffer[0] >> 4 == 4 => bytes.push(buffer[received.len - 1]),
            Ok(_) => {}
            Err(IoError::WouldBlock) => return bytes,
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) async fn flows_of_this_host_spread_over_the_queues(offload: bool) {
    let (flows, packets) = (64, 3);
    let tun = open_as(&several(offload));
    let mut sockets = Vec::new();
    for _ in 0..flows {
        sockets.push(UdpSocket::bind("10.9.0.1:0").await.unwrap());
    }
    for _ in 0..packets {
        for (number, socket) in (0_u8..).zip(&sockets) {
            socket.send_to(&[number], "10.9.0.2:9").await.unwrap();
        }
    }
    let mut queues = BTreeMap::new();
    for queue in 0..QUEUES {
        // Each queue has something: of 64 flows that a hash spreads, none gets nothing less than once in 10^7.
        tun.readable(queue).await.unwrap();
        for flow in waiting(&tun, queue) {
            let (first, count) = queues.entry(flow).or_insert((queue, 0));
            assert_eq!(*first, queue, "flow {flow} is on two queues");
            *count += 1;
        }
    }
    assert_eq!(queues.len(), flows);
    assert!(queues.values().all(|(_, count)| *count == packets));
}

async fn echoes_on_every_queue(tun: &Tun) {
    let socket = UdpSocket::bind("10.9.0.1:7").await.unwrap();
    for queue in 0..tun.queues() {
        let mut remote = Remote::on_queue(queue, tun, "10.9.0.2", socket.local_addr().unwrap());
        echo(&mut remote, &socket, &[queue]).await;
    }
}

pub(crate) async fn a_device_made_for_one_queue_has_one(offload: bool) {
    ip(&format!("tuntap add {NAME} mode tun"));
    let (tun, said) = saying(|| open_as(&several(offload)));
    assert_eq!(tun.queues(), 1);
    assert!(said.contains("WARN") && said.contains("made with a single queue"), "{said}");
    echoes_on_every_queue(&tun).await;
}

pub(crate) async fn a_device_made_for_several_queues_takes_as_many_as_asked(offload: bool) {
    ip(&format!("tuntap add {NAME} mode tun multi_queue"));
    for queues in [1, QUEUES, 1, MAX_QUEUES] {
        let (tun, said) = saying(|| open_as(&TunConfig { queues, ..config(offload) }));
        assert_eq!(tun.queues(), queues);
        assert_eq!(said.contains("made for several queues"), queues == 1, "{said}");
        echoes_on_every_queue(&tun).await;
        drop(tun);
        assert!(ip_says("-o link").contains(NAME));
        ip(&format!("link set {NAME} down"));
        ip(&format!("addr flush dev {NAME}"));
    }
}

/// The kernel itself would let a second reader in, where there are several queues.
pub(crate) async fn a_device_with_another_reader_is_busy(offload: bool) {
    for persistent in [false, true] {
        if persistent {
            ip(&format!("tuntap add {NAME} mode tun multi_queue"));
        }
        let tun = Tun::open(&several(!offload)).unwrap();
        for queues in [1, QUEUES] {
            let answer = Tun::open(&TunConfig { queues, ..config(offload) });
            assert!(matches!(answer, Err(TunError::Busy { .. })));
        }
        up(NAME, "10.9.0.1/24", "fd09::1/64");
        echoes_on_every_queue(&tun).await;
        drop(tun);
        assert_eq!(ip_says("-o link").contains(NAME), persistent);
    }
    Tun::open(&several(offload)).unwrap();
}

pub(crate) async fn numbers_out_of_range_are_refused(offload: bool) {
    let answer = Tun::open(&TunConfig { queues: MAX_QUEUES + 1, ..config(offload) });
    assert!(matches!(answer, Err(TunError::Config(ConfigError::Queues(_)))));
    let answer = Tun::open(&TunConfig { tx_queue_len: Some(0), ..config(offload) });
    assert!(matches!(answer, Err(TunError::Config(ConfigError::TxQueueLen(0)))));
    assert!(!ip_says("-o link").contains(NAME));
}

fn has_queue_len(len: u32) {
    let said = ip_says(&format!("-o link show {NAME}"));
    assert!(said.contains(&format!("qlen {len}\\")), "{said}");
}

/// The length of the ring, seen by filling it: the newest are dropped.
pub(crate) async fn the_queue_length_is_set(offload: bool) {
    for (configured, len) in [(Some(1_000), 1_000), (None, 500), (Some(40), 40)] {
        let tun = open_as(&TunConfig { tx_queue_len: configured, ..several(offload) });
        has_queue_len(len);
        let queue = 1;
        let socket = UdpSocket::bind("10.9.0.1:7").await.unwrap();
        let mut remote = Remote::on_queue(queue, &tun, "10.9.0.2", socket.local_addr().unwrap());
        echo(&mut remote, &socket, b"steers").await;
        // Nothing is left of what the kernel said of its own when the interface came up.
        waiting(&tun, queue);
        for _ in 0..len + 100 {
            socket.send_to(b"x", remote.here).await.unwrap();
        }
        tun.readable(queue).await.unwrap();
        let held = u32::try_from(waiting(&tun, queue).len()).unwrap();
        assert!((len - 10..=len).contains(&held), "{held} of {len}");
    }
}

pub(crate) async fn a_persistent_device_gets_its_queue_length_back(offload: bool) {
    for kind in ["", "multi_queue"] {
        ip(&format!("tuntap add {NAME} mode tun {kind}"));
        ip(&format!("link set {NAME} txqueuelen 77"));
        let tun = Tun::open(&config(offload)).unwrap();
        has_queue_len(1_000);
        drop(tun);
        has_queue_len(77);
        drop(Tun::open(&TunConfig { tx_queue_len: None, ..config(offload) }).unwrap());
        has_queue_len(77);
        ip(&format!("link del {NAME}"));
    }
    let tun = Tun::open(&config(offload)).unwrap();
    ip(&format!("link del {NAME}"));
    // Nothing is left to give anything back to.
    drop(tun);
}
