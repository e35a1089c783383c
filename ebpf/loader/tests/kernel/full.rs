// SPDX-License-Identifier: AGPL-3.0-or-later
//! Full maps: no flood blinds the probes.

use ebpf_abi::MAX_STAMPS;

use crate::crafted::{ACK, IPV4, TCP, UDP, conversation, ethernet, ipv4, tcp, time_stamps, turned, udp};
use crate::test_run::{Loaded, Program};

#[test]
fn a_flood_of_sources_leaves_active_conversations_counted() {
    let Some(mut loaded) = Loaded::new() else { return };
    let active = conversation(false, UDP);
    loaded.follow(active);
    let flood = 20_000u32;
    let mut sent = 0;
    let good = ethernet(&[], IPV4, &ipv4(UDP, &udp(&[1; 20])));
    for source in 0..flood {
        let mut bad = good.clone();
        bad[26..30].copy_from_slice(&source.to_be_bytes());
        loaded.run(Program::EthernetIn, &bad);
        if source % 100 == 0 {
            loaded.run(Program::EthernetIn, &good);
            sent += 1;
        }
    }
    assert_eq!(loaded.counters(&active).received_packets, sent);
    assert_eq!(loaded.conversations(), 1, "strangers take no place");
}

#[test]
fn stamps_that_nobody_echoes_make_room() {
    let Some(mut loaded) = Loaded::new() else { return };
    let active = conversation(false, TCP);
    loaded.follow(active);
    let segment =
        |value: u32| ethernet(&[], IPV4, &turned(ipv4(TCP, &tcp(ACK, &time_stamps(value, 0), b"data"))));
    let echo = |value: u32| ethernet(&[], IPV4, &ipv4(TCP, &tcp(ACK, &time_stamps(0, value), &[])));
    let mut answered = 0;
    for value in 1..MAX_STAMPS * 2 {
        loaded.run(Program::EthernetOut, &segment(value));
        if value % 500 == 0 {
            loaded.run(Program::EthernetIn, &echo(value));
            answered += 1;
        }
    }
    let kept = loaded.stamps();
    assert!(kept <= usize::try_from(MAX_STAMPS).unwrap(), "{kept}");
    assert_eq!(loaded.round_trips(&active), answered);
}
