// SPDX-License-Identifier: AGPL-3.0-or-later
//! Full maps: no flood blinds the probes.

use ebpf_abi::STAMPS;

use crate::crafted::{
    ACK, IPV4, IPV6, TCP, UDP, conversation, ethernet, extension, ipv4, ipv6, tcp, time_stamps, turned, udp,
};
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
fn strangers_write_nothing_into_the_log() {
    let Some(mut loaded) = Loaded::new() else { return };
    let (value, echo) = (tcp(ACK, &time_stamps(7, 0), b"data"), tcp(ACK, &time_stamps(0, 7), &[]));
    let extensions = [extension(60, 0).repeat(7), extension(UDP, 0), udp(&[1; 20])].concat();
    let talk = |loaded: &Loaded| {
        loaded.run(Program::EthernetOut, &ethernet(&[], IPV4, &turned(ipv4(TCP, &value))));
        loaded.run(Program::EthernetIn, &ethernet(&[], IPV4, &ipv4(TCP, &echo)));
        loaded.run(Program::EthernetIn, &ethernet(&[], IPV6, &ipv6(60, &extensions)));
        loaded.run(Program::EthernetIn, &ethernet(&[], IPV4, &[0; 60]));
    };
    talk(&loaded);
    assert_eq!(loaded.lines(), 0);
    loaded.follow(conversation(false, TCP));
    talk(&loaded);
    assert_eq!(loaded.lines(), 1, "the round trip of who is followed");
}

#[test]
fn stamps_that_nobody_echoes_do_not_blind_it() {
    let Some(mut loaded) = Loaded::new() else { return };
    let active = conversation(false, TCP);
    loaded.follow(active);
    let segment =
        |value: u32| ethernet(&[], IPV4, &turned(ipv4(TCP, &tcp(ACK, &time_stamps(value, 0), b"data"))));
    let echo = |value: u32| ethernet(&[], IPV4, &ipv4(TCP, &tcp(ACK, &time_stamps(0, value), &[])));
    // On a long path, a window of stamps waits while many more are sent.
    let window = u32::try_from(STAMPS).unwrap();
    for value in 1..=window * 10 {
        loaded.run(Program::EthernetOut, &segment(value));
    }
    assert_eq!(loaded.waiting(&active), STAMPS, "all places are taken");
    for value in 1..=window * 10 {
        loaded.run(Program::EthernetIn, &echo(value));
    }
    assert_eq!(loaded.round_trips(&active), window, "each that had a place, and no other");
    assert_eq!(loaded.waiting(&active), 0);
    loaded.run(Program::EthernetOut, &segment(window * 20));
    loaded.run(Program::EthernetIn, &echo(window * 20));
    assert_eq!(loaded.round_trips(&active), window + 1);
}

#[test]
fn stamps_that_waited_too_long_make_room() {
    let Some(mut loaded) = Loaded::new() else { return };
    let active = conversation(false, TCP);
    loaded.follow(active);
    loaded.send_all_long_ago(&active);
    let (value, echo) = (time_stamps(77, 0), time_stamps(0, 77));
    loaded.run(Program::EthernetOut, &ethernet(&[], IPV4, &turned(ipv4(TCP, &tcp(ACK, &value, b"data")))));
    loaded.run(Program::EthernetIn, &ethernet(&[], IPV4, &ipv4(TCP, &tcp(ACK, &echo, &[]))));
    assert_eq!(loaded.round_trips(&active), 1);
}
