// SPDX-License-Identifier: AGPL-3.0-or-later
//! Time stamps of TCP find their echo, wherever they are among the options.

use ebpf_abi::STAMPS;

use crate::crafted::{
    ACK, IPV4, SYN, TCP, conversation, ethernet, ipv4, ipv4_with, ipv6, tcp, time_stamps, turned,
};
use crate::test_run::{Loaded, Program};

/// Programs that follow the conversation, in both families.
fn loaded() -> Option<Loaded> {
    let mut loaded = Loaded::new()?;
    loaded.follow(conversation(false, TCP));
    loaded.follow(conversation(true, TCP));
    Some(loaded)
}

/// Sends a segment with these options and data.
fn send(loaded: &Loaded, flags: u8, options: &[u8], data: &[u8]) {
    loaded.run(Program::EthernetOut, &ethernet(&[], IPV4, &turned(ipv4(TCP, &tcp(flags, options, data)))));
}

/// Receives a segment with these options.
fn receive(loaded: &Loaded, flags: u8, options: &[u8]) {
    loaded.run(Program::EthernetIn, &ethernet(&[], IPV4, &ipv4(TCP, &tcp(flags, options, &[]))));
}

fn count(loaded: &Loaded) -> u32 {
    loaded.round_trips(&conversation(false, TCP))
}

fn waiting(loaded: &Loaded) -> usize {
    loaded.waiting(&conversation(false, TCP))
}

#[test]
fn the_first_echo_of_a_stamp_is_a_round_trip() {
    let Some(loaded) = loaded() else { return };
    send(&loaded, ACK, &time_stamps(100, 1), b"data");
    receive(&loaded, ACK, &time_stamps(50, 99));
    assert_eq!(count(&loaded), 0, "another stamp");
    receive(&loaded, ACK, &time_stamps(51, 100));
    receive(&loaded, ACK, &time_stamps(52, 100));
    assert_eq!(count(&loaded), 1, "only the first echo");
    // A segment of the same tick must not be timed by an echo that was on its way before.
    send(&loaded, ACK, &time_stamps(100, 1), b"data");
    receive(&loaded, ACK, &time_stamps(53, 100));
    assert_eq!(count(&loaded), 1);
    assert_eq!(loaded.round_trips(&conversation(true, TCP)), 0, "nobody else's");
}

#[test]
fn only_what_has_to_be_answered_is_timed() {
    let Some(loaded) = loaded() else { return };
    send(&loaded, ACK, &time_stamps(200, 1), &[]);
    receive(&loaded, ACK, &time_stamps(50, 200));
    assert_eq!((count(&loaded), waiting(&loaded)), (0, 0), "a bare acknowledgement is echoed at leisure");
    send(&loaded, SYN, &time_stamps(201, 0), &[]);
    receive(&loaded, SYN | ACK, &time_stamps(51, 201));
    assert_eq!(count(&loaded), 1);
    send(&loaded, ACK, &time_stamps(202, 1), b"data");
    receive(&loaded, SYN, &time_stamps(52, 202));
    assert_eq!(count(&loaded), 1, "without ACK an echo means nothing");
}

#[test]
fn a_tick_that_began_without_asking_for_an_answer_is_not_timed() {
    let Some(loaded) = loaded() else { return };
    // The echo may be that of the bare acknowledgement, sent long before the data.
    send(&loaded, ACK, &time_stamps(100, 1), &[]);
    send(&loaded, ACK, &time_stamps(100, 1), b"data");
    receive(&loaded, ACK, &time_stamps(50, 100));
    assert_eq!((count(&loaded), waiting(&loaded)), (0, 0));
    send(&loaded, ACK, &time_stamps(101, 1), b"data");
    receive(&loaded, ACK, &time_stamps(51, 101));
    assert_eq!(count(&loaded), 1, "the next tick begins with data");
}

#[test]
fn a_bare_acknowledgement_takes_no_place_from_what_waits() {
    let Some(loaded) = loaded() else { return };
    send(&loaded, ACK, &time_stamps(100, 1), b"data");
    send(&loaded, ACK, &time_stamps(100, 1), &[]);
    let same_place = 100 + u32::try_from(STAMPS).unwrap();
    send(&loaded, ACK, &time_stamps(same_place, 1), &[]);
    receive(&loaded, ACK, &time_stamps(50, 100));
    assert_eq!(count(&loaded), 1);
}

#[test]
fn stamps_are_found_wherever_they_are() {
    let Some(loaded) = loaded() else { return };
    let (nop, sack) = (vec![1], [&[5, 10][..], &[0; 8]].concat());
    let orders: Vec<Vec<Vec<u8>>> = vec![
        vec![],
        vec![nop.clone(), nop.clone()],
        vec![vec![2, 4, 5, 0xb4], vec![4, 2]],
        vec![sack.clone(), nop.clone()],
        vec![sack.clone(), sack.clone(), vec![4, 2]],
        vec![nop.clone(); 11],
        vec![vec![253, 30].into_iter().chain([0; 28]).collect()],
        vec![vec![3, 3, 7], nop.clone(), vec![254, 2], nop.clone()],
    ];
    for (number, before) in (0u32..).zip(orders) {
        let stamps = |value, echo| [before.concat(), time_stamps(value, echo)].concat();
        send(&loaded, ACK, &stamps(1000 + number, 1), b"data");
        receive(&loaded, ACK, &stamps(7, 1000 + number));
        assert_eq!(count(&loaded), number + 1, "{before:?}");
    }
    let packet = ipv6(TCP, &tcp(ACK, &time_stamps(1, 2), b"data"));
    loaded.run(Program::IpOut, &turned(packet));
    loaded.run(Program::IpIn, &ipv6(TCP, &tcp(ACK, &time_stamps(2, 1), &[])));
    assert_eq!(loaded.round_trips(&conversation(true, TCP)), 1);
}

#[test]
fn options_that_are_wrong_have_no_stamps() {
    let Some(loaded) = loaded() else { return };
    let stamps = time_stamps(3000, 1);
    let wrong: Vec<Vec<u8>> = vec![
        vec![],
        vec![1; 40],
        [vec![1; 12], stamps.clone()].concat(),
        vec![0; 12],
        [vec![0], stamps.clone()].concat(),
        [vec![5, 0], stamps.clone()].concat(),
        [vec![5, 1], stamps.clone()].concat(),
        [vec![5, 255], stamps.clone()].concat(),
        [vec![8, 9], stamps[2..].to_vec()].concat(),
        [vec![8, 12], stamps[2..].to_vec(), vec![0, 0]].concat(),
        stamps[..8].to_vec(),
        [vec![1; 36], stamps[..4].to_vec()].concat(),
        [vec![1], stamps[..7].to_vec()].concat(),
    ];
    for options in wrong {
        send(&loaded, ACK, &options, b"data");
        assert_eq!(waiting(&loaded), 0, "{options:02x?}");
    }
    let all = loaded.counters(&conversation(false, TCP));
    assert_eq!(all.sent_packets, 13, "they are counted all the same");
}

#[test]
fn fragments_are_not_timed() {
    let Some(loaded) = loaded() else { return };
    let segment = tcp(ACK, &time_stamps(4000, 1), b"data");
    loaded.run(Program::IpOut, &turned(ipv4_with(TCP, &[], 0x2000, &segment)));
    assert_eq!(waiting(&loaded), 0);
}
