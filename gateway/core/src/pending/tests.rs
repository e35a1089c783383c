// SPDX-License-Identifier: AGPL-3.0-or-later
use proptest::prelude::*;

use super::*;

fn remote(number: u8) -> Awaited {
    Awaited::Remote(Address::from_bytes([number; 32]))
}

fn at(millis: u64) -> Timestamp {
    Timestamp::default() + Duration::from_millis(millis)
}

fn first_bytes<M>(packets: &[Waiting<M>]) -> Vec<u8> {
    packets.iter().map(|waiting| waiting.packet[0]).collect()
}

#[test]
fn packets_of_one_remote_are_taken_in_order_with_their_metadata() {
    let mut pending = Pending::default();
    let overlay = Awaited::Overlay(Ipv6Addr::LOCALHOST);
    for (number, awaited) in [(1, remote(1)), (2, overlay), (3, remote(1)), (4, remote(2))] {
        assert_eq!(pending.push(awaited, number * 10, &[number; 5], at(0)), 0);
    }
    assert!(pending.awaited().eq([remote(1), overlay, remote(1), remote(2)]));
    let taken = pending.take(remote(1));
    assert_eq!(first_bytes(&taken), [1, 3]);
    assert_eq!(taken[1].metadata, 30);
    assert_eq!((pending.len(), pending.bytes()), (2, 10));
    assert_eq!(first_bytes(&pending.take(overlay)), [2]);
    assert!(pending.take(remote(1)).is_empty());
}

#[test]
fn packets_expire_after_three_seconds() {
    let mut pending = Pending::default();
    assert_eq!(pending.next_timeout(), None);
    pending.push(remote(1), (), &[1], at(0));
    pending.push(remote(2), (), &[2], at(500));
    assert_eq!(pending.next_timeout(), Some(at(3000)));
    assert_eq!(pending.expire(at(2999)).count(), 0);
    assert_eq!(first_bytes(&pending.expire(at(3000)).collect::<Vec<_>>()), [1]);
    assert_eq!(pending.next_timeout(), Some(at(3500)));
    assert_eq!(pending.expire(at(9000)).count(), 1);
    assert_eq!((pending.is_empty(), pending.bytes()), (true, 0));
}

#[test]
fn a_full_remote_loses_its_own_oldest_packet() {
    let mut pending = Pending::default();
    pending.push(remote(2), (), &[200], at(0));
    for number in 0..=64 {
        assert_eq!(pending.push(remote(1), (), &[number], at(0)), usize::from(number == 64));
    }
    assert_eq!(first_bytes(&pending.take(remote(2))), [200]);
    assert_eq!(first_bytes(&pending.take(remote(1))), (1..=64).collect::<Vec<_>>());

    for number in 0..4 {
        assert_eq!(pending.push(remote(1), (), &[number; 65_535], at(0)), 0);
    }
    assert_eq!(pending.push(remote(1), (), &[4; 65_535], at(0)), 1);
    assert_eq!(first_bytes(&pending.take(remote(1))), [1, 2, 3, 4]);
}

#[test]
fn a_full_queue_loses_the_oldest_packet_of_all() {
    let mut pending = Pending::default();
    for number in 0..=16 {
        for _ in 0..64 {
            let full = pending.len() == MAX_PACKETS;
            assert_eq!(pending.push(remote(number), (), &[number], at(0)), usize::from(full));
        }
    }
    assert_eq!(pending.len(), MAX_PACKETS);
    assert!(pending.take(remote(0)).is_empty());
    assert_eq!(pending.take(remote(16)).len(), 64);

    let mut pending = Pending::default();
    for number in 0..=64 {
        assert_eq!(pending.push(remote(number), (), &[number; 65_535], at(0)), usize::from(number == 64));
    }
    assert!(pending.take(remote(0)).is_empty());
    assert!(pending.bytes() <= MAX_BYTES);
}

proptest! {
    #[test]
    fn the_limits_hold_and_the_bytes_are_counted(
        pushes in prop::collection::vec((0_u8..20, 1_usize..65_536, 0_u64..200), 0..200),
    ) {
        let mut pending = Pending::default();
        let mut now = at(0);
        let mut dropped = 0;
        for (count, (number, len, wait)) in pushes.into_iter().enumerate() {
            now = now + Duration::from_millis(wait);
            dropped += pending.expire(now).count();
            dropped += pending.push(remote(number), (), &vec![0; len], now);
            prop_assert_eq!(pending.len() + dropped, count + 1);
            prop_assert_eq!(pending.bytes(), pending.queue.iter().map(|waiting| waiting.packet.len()).sum::<usize>());
            prop_assert!(pending.len() <= MAX_PACKETS && pending.bytes() <= MAX_BYTES);
            let (packets, bytes) = pending.share(remote(number));
            prop_assert!(packets <= MAX_PACKETS_PER_REMOTE && bytes <= MAX_BYTES_PER_REMOTE);
            prop_assert!(pending.next_timeout().unwrap() > now);
        }
    }
}
