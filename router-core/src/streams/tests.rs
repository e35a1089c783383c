// SPDX-License-Identifier: AGPL-3.0-or-later
mod anycast;
mod asleep;
mod filters;
mod full_disk;
mod listed;
mod members;
mod mesh;
mod namespaces;
mod pulled;
mod sharing;
mod strangers;

use core::time::Duration;
use ratman_types::ByteCount;

use super::*;
use mesh::{Cut, Mesh};
use proptest::prelude::*;
use ratman_eris::BlockSize;
use ratman_wire::stream::StreamId;
use ratman_wire::{Frame, Mode};

/// A stream of three bytes' naming.
pub(super) fn key(sender: u8, recipient: u8, stream: u8) -> StreamKey {
    StreamKey {
        sender: Address::from_bytes([sender; 32]),
        recipient: Recipient::Address(Address::from_bytes([recipient; 32])),
        stream: StreamId::from_bytes([stream; 32]),
    }
}

/// Content in which no two pieces are alike.
fn content(length: usize) -> Vec<u8> {
    (0..length.div_ceil(8)).flat_map(|word| (word * 0x9e37_79b9).to_be_bytes()).take(length).collect()
}

const MINUTE: Duration = Duration::from_secs(60);
/// Where frames are lost on links that nobody repeats them on: a manifest and its receipt find their way once in two times
/// then, and are sent forty times in this time.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);

#[test]
fn content_of_any_size_arrives_over_a_relay_and_to_oneself() {
    for length in [0, 1, 63, 64, 65, 255, 256, 1024, 28 * 1024 - 1, 28 * 1024, 28 * 1024 + 1, 3_000_000] {
        for (sender, recipient) in [(0, 2), (2, 0), (1, 1)] {
            let mut mesh = Mesh::line(3);
            let content = content(length);
            let key = mesh.send(sender, recipient, &content);
            mesh.run_until(MINUTE, |mesh| mesh.has_ended(sender, &key) == Some(Ended::Delivered));
            assert_eq!(
                mesh.take_content(recipient, &key),
                content,
                "{length} bytes from {sender} to {recipient}"
            );
            assert_eq!(mesh.node(1).streams.status().carried, 0);
            mesh.settle();
            assert_eq!(mesh.entries(sender), 0, "nothing of it is left at its sender");
            assert_eq!(mesh.entries(recipient), 0, "nor at its recipient, since a client has it");
        }
    }
}

#[test]
fn what_waits_for_a_client_is_there_in_the_order_in_which_it_came() {
    let mut mesh = Mesh::line(2);
    let mut sent = Vec::new();
    for length in [10_000, 1, 300, 0, 70, 2_000, 5, 100] {
        let key = mesh.send(0, 1, &content(length));
        mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
        sent.push(key);
    }
    let waiting = |mesh: &Mesh| -> Vec<StreamKey> {
        mesh.node(1).streams.arrivals().map(|arrival| arrival.key).collect()
    };
    assert_eq!(waiting(&mesh), sent);
    mesh.take_content(1, &sent.remove(3));
    mesh.settle();
    mesh.restart(1);
    assert_eq!(waiting(&mesh), sent);
}

#[test]
fn what_a_client_has_for_good_is_not_given_out_again_and_all_else_is() {
    let mut mesh = Mesh::line(2);
    let key = mesh.send(0, 1, &content(100_000));
    mesh.run_until(MINUTE, |mesh| mesh.received(1) == 1);
    let take = |mesh: &mut Mesh| {
        let now = mesh.now();
        mesh.node_mut(1).streams.taken(&key, now);
    };
    take(&mut mesh);
    assert_eq!(mesh.is_taken(1, &key), None, "nothing is stored yet");
    mesh.restart(1);
    assert_eq!(mesh.node(1).streams.arrivals().count(), 1);
    mesh.node_mut(1).disk_fails = true;
    take(&mut mesh);
    mesh.run_until(MINUTE, |mesh| mesh.is_taken(1, &key) == Some(false));
    mesh.node_mut(1).disk_fails = false;
    mesh.restart(1);
    assert_eq!(mesh.node(1).streams.arrivals().count(), 1);
    take(&mut mesh);
    mesh.run_until(MINUTE, |mesh| mesh.is_taken(1, &key) == Some(true));
    mesh.restart(1);
    assert_eq!(mesh.node(1).streams.arrivals().count(), 0);
}

#[test]
fn how_far_a_stream_is_can_be_seen_at_both_ends() {
    let mut mesh = Mesh::line(3);
    let content = content(1_000_000);
    let in_all = Some(BlockSize::Kib32.bytes_of_tree(ByteCount(1_000_000)));
    let only = |mesh: &Mesh, index: usize| {
        let listed: Vec<ListedStream> = mesh.node(index).streams.list().collect();
        assert!(listed.len() <= 1, "{listed:?}");
        listed.first().cloned()
    };
    let key = mesh.open(0, 2, Some(1_000_000));
    let opened = only(&mesh, 0).unwrap();
    assert_eq!((opened.key, opened.stage, opened.in_all), (key, StreamStage::Opening, in_all));
    assert_eq!((opened.size, opened.arrived), (Some(ByteCount(1_000_000)), ByteCount(0)));
    mesh.write_all(0, &key, &content).unwrap();
    let mut seen = vec![ByteCount(0)];
    while mesh.has_ended(0, &key).is_none() {
        if let Some(sent) = only(&mesh, 0) {
            assert_eq!((sent.stage, sent.in_all), (StreamStage::Sending, in_all));
            seen.push(sent.arrived);
            let received = only(&mesh, 2).map_or(ByteCount(0), |listed| listed.arrived);
            assert!(received >= sent.arrived, "no more is told than has come");
        }
        mesh.step();
    }
    assert!(seen.is_sorted(), "{seen:?}");
    seen.dedup();
    assert!(seen.len() >= 4, "it is told in between, too: {seen:?}");
    let waiting = only(&mesh, 2).unwrap();
    assert_eq!((waiting.key, waiting.stage), (key, StreamStage::Waiting));
    assert_eq!((waiting.size, Some(waiting.arrived), waiting.in_all), (opened.size, in_all, in_all));
    mesh.take_content(2, &key);
    assert_eq!(only(&mesh, 2), None);

    mesh.cut(Cut::Between(1, 2));
    let key = mesh.send(0, 2, &content);
    mesh.run_until(MINUTE, |mesh| mesh.is_stored(0, &key));
    let stored = only(&mesh, 0).unwrap();
    assert_eq!((stored.stage, Some(stored.arrived), stored.in_all), (StreamStage::Stored, in_all, in_all));
}

#[test]
fn a_narrow_way_slices_what_it_carries() {
    for (mtu, length) in [(1400, 300_000), (600, 30_000), (400, 2_000)] {
        let mut mesh = Mesh::line(3);
        mesh.set_mtu(mtu);
        let content = content(length);
        let key = mesh.send(0, 2, &content);
        mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
        assert_eq!(mesh.take_content(2, &key), content);
        assert!(mesh.longest_frame() <= mtu, "{} bytes in one frame", mesh.longest_frame());
    }
}

#[test]
fn what_a_client_was_told_to_be_sent_is_delivered_once_however_much_is_lost() {
    proptest!(ProptestConfig::with_cases(24), |(loss in 1_u32..16, length in 0_usize..400_000, seed: u64)| {
        let mut mesh = Mesh::line(3);
        mesh.lose(loss, seed);
        let content = content(length);
        let key = mesh.send(0, 2, &content);
        mesh.run_until(PATIENCE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
        prop_assert_eq!(mesh.take_content(2, &key), content);
        prop_assert_eq!(mesh.received(2), 1);
    });
}

#[test]
fn a_stream_is_stored_on_the_way_while_its_recipient_is_away_and_its_sender_goes() {
    for length in [100, 10_000, 500_000] {
        let mut mesh = Mesh::line(3);
        mesh.cut(Cut::Between(1, 2));
        let content = content(length);
        let key = mesh.send(0, 2, &content);
        mesh.run_until(MINUTE, |mesh| mesh.is_stored(0, &key));
        mesh.cut(Cut::Between(0, 1));
        mesh.run_for(MINUTE);
        assert_eq!(mesh.received(2), 0);
        mesh.join(1, 2);
        // At once: nothing else has to happen first.
        mesh.run_until(Duration::from_secs(1), |mesh| mesh.received(2) == 1);
        assert_eq!(mesh.take_content(2, &key), content);
        mesh.run_for(Duration::from_secs(1));
        assert_eq!(mesh.frames_carried(1), 1, "all that is left is the receipt for who is away");
        mesh.join(0, 1);
        mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
        mesh.run_for(MINUTE);
        assert_eq!(mesh.frames_carried(1), 0, "it was handed over, too");
        assert_eq!(mesh.received(2), 1, "delivered once");
    }
}

/// A carries over R1 for who is off behind R2, which takes nothing: its journal is full. R1 has all of it, and A has left.
fn carried_before_a_full_router(content: &[u8]) -> Mesh {
    let mut mesh = Mesh::line(4);
    mesh.restart_with(2, StreamsConfig { quota: ByteCount(50_000), ..StreamsConfig::default() });
    mesh.cut(Cut::Between(2, 3));
    let key = mesh.send(0, 3, content);
    mesh.run_until(MINUTE, |mesh| mesh.is_stored(0, &key));
    mesh.cut(Cut::Between(0, 1));
    mesh
}

#[test]
fn what_a_full_router_does_not_take_passes_it_when_its_recipient_is_back() {
    let content = content(8 << 20);
    let mut mesh = carried_before_a_full_router(&content);
    mesh.run_for(30 * MINUTE);
    mesh.join(2, 3);
    // The neighbour is the same as before; what lies behind it is not.
    mesh.run_until(Duration::from_secs(5), |mesh| mesh.received(3) == 1);
}

#[test]
fn what_a_full_router_does_not_take_goes_there_soon_after_it_has_room() {
    let content = content(8 << 20);
    let mut mesh = carried_before_a_full_router(&content);
    mesh.run_for(MINUTE);
    let before = mesh.bytes_sent();
    mesh.run_for(30 * MINUTE);
    let wasted = mesh.bytes_sent() - before;
    assert!(wasted < 2 << 20, "{wasted} bytes to who takes none");
    mesh.restart_with(2, StreamsConfig::default());
    mesh.run_until(2 * MINUTE, |mesh| mesh.frames_carried(1) == 0);
    assert!(mesh.frames_carried(2) > 256, "all of it");
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_carrier_stops_at_any_point() {
    for point in 0..40 {
        let mut mesh = Mesh::line(3);
        mesh.cut(Cut::Between(1, 2));
        let content = content(200_000);
        let key = mesh.send(0, 2, &content);
        mesh.run_for(Duration::from_millis(point));
        mesh.restart(1);
        mesh.run_until(MINUTE, |mesh| mesh.is_stored(0, &key));
        mesh.restart(1);
        mesh.cut(Cut::Between(0, 1));
        mesh.join(1, 2);
        mesh.run_for(Duration::from_millis(point));
        mesh.restart(1);
        mesh.run_until(MINUTE, |mesh| mesh.received(2) == 1);
        assert_eq!(mesh.take_content(2, &key), content, "stopped after {point} ms");
        mesh.run_for(MINUTE);
        assert_eq!(mesh.received(2), 1);
    }
}

/// What befalls a line of four routers.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    /// This one stops, and starts with what its disk has.
    Stop(usize),
    /// The link behind this one goes, or comes back.
    Link(usize),
}

fn mishaps() -> impl Strategy<Value = Vec<(Mishap, u64)>> {
    let one = prop_oneof![(0_usize..4).prop_map(Mishap::Stop), (0_usize..3).prop_map(Mishap::Link)];
    proptest::collection::vec((one, prop_oneof![0_u64..50, 0_u64..3_000]), 1..16)
}

#[test]
fn what_was_accepted_arrives_once_over_two_relays_whatever_happens_to_whom() {
    proptest!(ProptestConfig::with_cases(64), |(mishaps in mishaps(), away: bool, loss in 0_u32..10, seed: u64)| {
        let mut mesh = Mesh::line(4);
        mesh.lose(loss, seed);
        let mut up = [true, true, !away];
        if away {
            mesh.cut(Cut::Between(2, 3));
        }
        let streams = [(0, 3, 300_000), (0, 3, 100), (3, 0, 20_000), (1, 3, 40_000)]
            .map(|(from, to, length)| (from, to, mesh.send(from, to, &content(length)), length));
        mesh.run_until(MINUTE, |mesh| {
            streams.iter().all(|(from, _, key, _)| mesh.is_accepted(*from, key))
        });
        for (mishap, milliseconds) in mishaps {
            match mishap {
                Mishap::Stop(index) => mesh.restart(index),
                Mishap::Link(left) if up[left] => mesh.cut(Cut::Between(left, left + 1)),
                Mishap::Link(left) => mesh.join(left, left + 1),
            }
            if let Mishap::Link(left) = mishap {
                up[left] = !up[left];
            }
            mesh.run_for(Duration::from_millis(milliseconds));
        }
        (0..3).for_each(|left| mesh.join(left, left + 1));
        for (_, to, key, length) in &streams {
            mesh.run_until(PATIENCE, |mesh| mesh.is_here(*to, key));
            prop_assert_eq!(mesh.take_content(*to, key), content(*length));
        }
        mesh.run_until(PATIENCE, |mesh| (0..4).all(|index| mesh.entries(index) == 0));
        (0..4).for_each(|index| mesh.restart(index));
        mesh.run_for(MINUTE);
        prop_assert!(streams.iter().all(|(_, to, key, _)| !mesh.is_here(*to, key)), "none comes twice");
    });
}

#[test]
fn a_sender_and_a_recipient_that_stop_go_on_where_they_were() {
    for point in 1..40 {
        let mut mesh = Mesh::line(3);
        let content = content(300_000);
        let key = mesh.send(0, 2, &content);
        mesh.run_until(MINUTE, |mesh| mesh.is_accepted(0, &key));
        mesh.run_for(Duration::from_millis(point / 2));
        mesh.restart(if point % 2 == 0 { 0 } else { 2 });
        mesh.run_until(10 * MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
        assert_eq!(mesh.take_content(2, &key), content, "stopped after {point} ms");
    }
}

#[test]
fn a_stream_that_is_over_is_remembered_through_restarts_beside_new_ones() {
    let mut mesh = Mesh::line(2);
    let first = mesh.send(0, 1, &content(100_000));
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &first) == Some(Ended::Delivered));
    mesh.take_content(1, &first);
    mesh.restart(1);
    let second = mesh.send(0, 1, &content(100_001));
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &second) == Some(Ended::Delivered));
    mesh.restart(1);
    let received = mesh.received(1);
    let replayed = mesh.frames_seen_by(1);
    replayed.iter().for_each(|frame| mesh.replay(0, 1, frame));
    mesh.run_for(MINUTE);
    assert_eq!(mesh.received(1), received, "none comes twice");
    assert_eq!(mesh.take_content(1, &second), content(100_001));
}

#[test]
fn a_way_that_takes_no_request_is_not_asked_over_again_and_again() {
    let mut mesh = Mesh::line(2);
    mesh.hold_back_blocks(true);
    let key = mesh.send(0, 1, &content(100_000));
    mesh.run_for(Duration::from_millis(50));
    mesh.set_mtu(150);
    mesh.run_for(Duration::from_secs(5));
    mesh.hold_back_blocks(false);
    mesh.set_mtu(33_004);
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
}

#[test]
fn a_way_that_comes_and_goes_while_a_client_writes_does_not_stop_it() {
    for silent in [false, true] {
        let mut mesh = Mesh::line(2);
        let content = content(6 << 20);
        let key = mesh.open(0, 1, None);
        for (part, piece) in content.chunks(1 << 20).enumerate() {
            match (part % 2, silent) {
                (1, false) => mesh.cut(Cut::Between(0, 1)),
                (1, true) => mesh.hold_back_blocks(true),
                (_, false) => mesh.join(0, 1),
                (_, true) => mesh.hold_back_blocks(false),
            }
            mesh.run_for(Duration::from_secs(u64::try_from(part).unwrap() % 3 * 4));
            mesh.write_piece(0, &key, piece).unwrap();
        }
        mesh.join(0, 1);
        mesh.hold_back_blocks(false);
        mesh.write_all(0, &key, &[]).unwrap();
        mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
        assert_eq!(mesh.take_content(1, &key), content);
    }
}

#[test]
fn many_streams_that_wait_for_a_way_all_go_when_there_is_one() {
    let mut mesh = Mesh::line(3);
    mesh.cut(Cut::Between(0, 1));
    let content = content(2 << 20);
    let keys: Vec<StreamKey> = (0..5).map(|_| mesh.send(0, 2, &content)).collect();
    mesh.settle();
    mesh.cut(Cut::Between(1, 2));
    mesh.join(0, 1);
    mesh.run_until(MINUTE, |mesh| keys.iter().all(|key| mesh.is_stored(0, key)));
    mesh.join(1, 2);
    mesh.run_until(MINUTE, |mesh| keys.iter().all(|key| mesh.has_ended(0, key) == Some(Ended::Delivered)));
}

#[test]
fn a_refusal_is_remembered_beside_what_was_delivered_and_refused_anew_after_a_restart() {
    let mut mesh = Mesh::line(2);
    let largest = Some(ByteCount(10));
    let filter = StreamFilter { largest, ..StreamFilter::default() };
    mesh.restart_with(1, StreamsConfig { filter, ..StreamsConfig::default() });
    let key = mesh.send(0, 1, &content(1000));
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Refused));
    mesh.restart(1);
    for frame in mesh.frames_seen_by(1) {
        mesh.replay(0, 1, &frame);
    }
    mesh.run_for(MINUTE);
    assert_eq!((mesh.received(1), mesh.entries(1)), (0, 0));
}

#[test]
fn content_that_was_not_complete_is_forgotten_at_a_restart() {
    let mut mesh = Mesh::line(3);
    let key = mesh.open(0, 2, None);
    mesh.write(0, &key, &content(200_000));
    mesh.settle();
    assert!(mesh.entries(0) > 5);
    mesh.restart(0);
    mesh.settle();
    assert_eq!(mesh.entries(0), 0);
    assert_eq!(mesh.node(0).streams.status().sending, 0);
}

#[test]
fn a_recipient_refuses_what_its_rules_say_before_it_is_sent() {
    let mut mesh = Mesh::line(3);
    let largest = Some(ByteCount(10 << 20));
    mesh.node_mut(2).streams.set_filter(StreamFilter { largest, ..StreamFilter::default() });
    let key = mesh.send(0, 2, &content(11 << 20));
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key).is_some());
    assert_eq!(mesh.has_ended(0, &key), Some(Ended::Denied));
    assert!(mesh.bytes_sent() < 2 << 20, "{} bytes were sent before the answer came", mesh.bytes_sent());
    mesh.settle();
    assert_eq!([mesh.entries(0), mesh.entries(1), mesh.entries(2)], [0; 3]);
    // Below the size of a notice the manifest is what it goes by.
    let sender = mesh.address(0);
    let not_from = BTreeSet::from([sender]);
    mesh.node_mut(2).streams.set_filter(StreamFilter { not_from, ..StreamFilter::default() });
    let key = mesh.send(0, 2, &content(1000));
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key).is_some());
    assert_eq!(mesh.has_ended(0, &key), Some(Ended::Refused));
    assert_eq!(mesh.received(2), 0);
}

#[test]
fn a_full_journal_and_a_failing_disk_are_said() {
    let mut mesh = Mesh::line(2);
    mesh.restart_with(0, StreamsConfig { quota: ByteCount(200_000), ..StreamsConfig::default() });
    mesh.cut(Cut::Between(0, 1));
    let new = mesh.new_stream(0, 1, Some(300_000));
    let now = mesh.now();
    let key = mesh.node_mut(0).streams.send(new, now).unwrap();
    let error = mesh.write_all(0, &key, &content(300_000)).unwrap_err();
    assert!(matches!(error, SendError::Journal(_)), "{error}");
    mesh.node_mut(0).streams.abandon(&key);
    mesh.settle();
    assert_eq!(mesh.entries(0), 0);
    mesh.node_mut(0).disk_fails = true;
    let key = mesh.send(0, 1, &content(50_000));
    mesh.run_until(MINUTE, |mesh| mesh.has_failed(0, &key));
    mesh.node_mut(0).disk_fails = false;
    mesh.join(0, 1);
    let key = mesh.send(0, 1, &content(50_000));
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
}

#[test]
fn nothing_is_told_to_be_delivered_of_which_the_disk_did_not_take_a_block() {
    for (every, length) in [(2, 300_000), (3, 300_000), (2, 1_000_000), (3, 1_000_000), (5, 3_000_000)] {
        let mut mesh = Mesh::line(2);
        mesh.node_mut(1).fails_every = Some(every);
        // So that the last blocks are on their way to the disk together.
        mesh.node_mut(1).commits_in = Duration::from_millis(50);
        let content = content(length);
        let key = mesh.send(0, 1, &content);
        mesh.run_until(50 * MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
        mesh.restart(1);
        assert!(mesh.take_content(1, &key) == content, "one in {every} commits fails");
    }
}

#[test]
fn a_notice_that_comes_again_takes_nothing_that_was_delivered() {
    let mut mesh = Mesh::line(2);
    let content = content(9 << 20);
    let key = mesh.send(0, 1, &content);
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
    let largest = Some(ByteCount(1000));
    mesh.node_mut(1).streams.set_filter(StreamFilter { largest, ..StreamFilter::default() });
    let notices = |frame: &Vec<u8>| Frame::decode(frame).unwrap().header.mode == Mode::PUSH_NOTICE;
    let notice = mesh.frames_seen_by(1).into_iter().find(notices).unwrap();
    mesh.replay(0, 1, &notice);
    assert!(mesh.take_content(1, &key) == content);
}

#[test]
fn a_carried_frame_that_is_damaged_is_not_passed_on() {
    let mut mesh = Mesh::line(3);
    mesh.cut(Cut::Between(1, 2));
    let key = mesh.send(0, 2, &content(5000));
    mesh.run_until(MINUTE, |mesh| mesh.is_stored(0, &key));
    mesh.settle();
    mesh.damage(1);
    mesh.join(1, 2);
    mesh.run_for(MINUTE);
    assert_eq!(mesh.node(2).streams.drops().get(crate::DropReason::BadSignature), 0);
    assert_eq!((mesh.frames_carried(1), mesh.entries(1)), (0, 0));
}

#[test]
fn what_nobody_fetches_in_time_expires_everywhere() {
    let mut mesh = Mesh::line(3);
    mesh.cut(Cut::Between(1, 2));
    let key = mesh.send(0, 2, &content(5000));
    mesh.run_until(MINUTE, |mesh| mesh.is_stored(0, &key));
    mesh.run_for(mesh::LIFETIME + MINUTE);
    assert_eq!(mesh.has_ended(0, &key), Some(Ended::Expired));
    assert_eq!(mesh.frames_carried(1), 0);
    mesh.join(1, 2);
    mesh.run_for(MINUTE);
    assert_eq!([mesh.entries(0), mesh.entries(1), mesh.entries(2)], [0; 3]);
}

#[test]
fn a_damaged_block_is_asked_for_again() {
    let mut mesh = Mesh::line(2);
    let content = content(40 << 15);
    mesh.hold_back_manifests(true);
    let key = mesh.send(0, 1, &content);
    mesh.run_for(Duration::from_secs(1));
    mesh.damage_inner_nodes(1);
    mesh.hold_back_manifests(false);
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
    assert_eq!(mesh.take_content(1, &key), content);
}

#[test]
fn a_relay_sees_nothing_and_equal_contents_share_no_block() {
    let mut mesh = Mesh::line(3);
    let content = content(200_000);
    let first = mesh.send(0, 2, &content);
    let second = mesh.send(0, 2, &content);
    mesh.run_until(MINUTE, |mesh| {
        [first, second].iter().all(|key| mesh.has_ended(0, key) == Some(Ended::Delivered))
    });
    let seen = mesh.frames_seen_by(1);
    for frame in &seen {
        assert!(!content.chunks(16).any(|piece| frame.windows(16).any(|window| window == piece)));
    }
    let names = mesh.names_of_blocks(&seen);
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
}
