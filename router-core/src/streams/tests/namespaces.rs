// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams to namespaces, in the simulated mesh.

use super::*;
use crate::stream::Routing;
use crate::streams::store_queue::Reader;
use crate::streams::{MAX_NAMESPACES, MAX_TO_NAMESPACE};
use crate::{DropReason, sign_frame};
use ratman_types::Mtu;
use ratman_wire::carrier::set_hops_left;
use ratman_wire::stream::{Auxiliary, AuxiliaryData, Lifetime, PackedBlocks};
use ratman_wire::{Header, Mode};

const HOUR: Lifetime = Lifetime::from_secs(3600).unwrap();

pub(super) fn namespace_key() -> Arc<SecretKey> {
    Arc::new(SecretKey::from_seed([77; 32]))
}

pub(super) fn namespace() -> Namespace {
    Namespace::from_bytes(namespace_key().public())
}

impl Mesh {
    pub(super) fn subscribe(&mut self, index: usize) {
        let now = self.now();
        assert!(self.node_mut(index).streams.add_namespace(namespace_key(), now));
        self.settle();
    }

    pub(super) fn publish(&mut self, sender: usize, content: &[u8]) -> StreamKey {
        let (new, now) = (self.new_post(sender), self.now());
        let key = self.node_mut(sender).streams.send(new, now).unwrap();
        self.write_all(sender, &key, content).unwrap();
        key
    }

    pub(super) fn new_post(&self, sender: usize) -> NewStream {
        let recipient = Recipient::Namespace(namespace());
        NewStream {
            sender: self.address(sender),
            recipient,
            size: None,
            lifetime: HOUR,
            routing: Routing::Push,
            auxiliary_data: AuxiliaryData::default(),
        }
    }

    fn flooded(&self, index: usize) -> usize {
        self.node(index).streams.status().flooded
    }

    /// Publishes, and waits until that is over for its sender.
    fn published(&mut self, content: &[u8]) -> StreamKey {
        let key = self.publish(0, content);
        self.run_until(MINUTE, |mesh| mesh.has_ended(0, &key).is_some());
        assert_eq!(self.has_ended(0, &key), Some(Ended::Published));
        key
    }

    fn drops(&self, index: usize, reason: DropReason) -> u64 {
        self.node(index).streams.drops().get(reason)
    }
}

#[test]
fn everybody_who_subscribed_gets_one_copy_and_each_link_carries_one() {
    for length in [0, 1, 255, 5_000, 100_000, 1 << 20] {
        let mut mesh = Mesh::line(4);
        [0, 1, 3].into_iter().for_each(|index| mesh.subscribe(index));
        mesh.run_for(Duration::from_secs(2));
        let content = content(length);
        let key = mesh.publish(0, &content);
        mesh.run_until(MINUTE, |mesh| [0, 1, 3].iter().all(|index| mesh.received(*index) == 1));
        assert_eq!(mesh.has_ended(0, &key), Some(Ended::Published));
        mesh.run_for(MINUTE);
        assert_eq!([0, 1, 2, 3].map(|index| mesh.received(index)), [1, 1, 0, 1], "{length} bytes");
        for index in [0, 1, 3] {
            assert_eq!(mesh.take_content(index, &key), content, "{length} bytes at {index}");
        }
        for index in [1, 2, 3] {
            let mut seen = mesh.frames_seen_by(index);
            seen.iter_mut().for_each(|frame| set_hops_left(frame, 0));
            let different: BTreeSet<_> = seen.iter().collect();
            assert_eq!(different.len(), seen.len(), "one copy of each came to {index}");
        }
        assert!(mesh.frames_seen_by(0).is_empty());
        assert!(mesh.longest_frame() <= 1280, "{}", mesh.longest_frame());
    }
}

#[test]
fn who_is_away_or_subscribes_later_gets_it_then_and_once() {
    let mut mesh = Mesh::line(4);
    mesh.subscribe(3);
    mesh.cut(Cut::Between(2, 3));
    let content = content(50_000);
    let key = mesh.publish(0, &content);
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Published));
    mesh.run_for(MINUTE);
    mesh.cut(Cut::Between(0, 1));
    mesh.join(2, 3);
    mesh.run_until(MINUTE, |mesh| mesh.received(3) == 1);
    assert_eq!(mesh.take_content(3, &key), content);
    mesh.subscribe(1);
    mesh.run_until(MINUTE, |mesh| mesh.received(1) == 1);
    assert_eq!(mesh.take_content(1, &key), content);
    let before = mesh.bytes_sent();
    [(2, 3), (1, 2)].into_iter().for_each(|(one, other)| {
        mesh.cut(Cut::Between(one, other));
        mesh.join(one, other);
    });
    mesh.run_for(MINUTE);
    assert_eq!(mesh.bytes_sent(), before, "who says what it has gets nothing again");
    assert_eq!([1, 3].map(|index| mesh.received(index)), [1, 1]);
}

#[test]
fn it_comes_to_everybody_however_much_is_lost() {
    proptest!(ProptestConfig::with_cases(16), |(loss in 1_u32..40, length in 0_usize..60_000, seed: u64)| {
        let mut mesh = Mesh::line(3);
        mesh.subscribe(2);
        mesh.lose(loss, seed);
        let content = content(length);
        let key = mesh.publish(0, &content);
        mesh.run_until(50 * MINUTE, |mesh| mesh.received(2) == 1);
        prop_assert_eq!(mesh.take_content(2, &key), content);
        mesh.run_for(MINUTE);
        prop_assert_eq!(mesh.received(2), 1);
    });
}

#[test]
fn what_was_accepted_comes_whoever_stops_at_any_point() {
    for point in 0..30 {
        let mut mesh = Mesh::line(3);
        mesh.subscribe(2);
        let content = content(40_000);
        let key = mesh.publish(0, &content);
        mesh.run_until(MINUTE, |mesh| mesh.is_accepted(0, &key));
        mesh.run_for(Duration::from_millis(point));
        mesh.restart(0);
        mesh.run_for(Duration::from_millis(point));
        mesh.restart(1);
        mesh.run_for(Duration::from_millis(point));
        mesh.restart(2);
        mesh.subscribe(2);
        mesh.run_until(MINUTE, |mesh| mesh.received(2) == 1);
        assert_eq!(mesh.take_content(2, &key), content, "stopped after {point} ms");
        mesh.run_for(MINUTE);
        assert_eq!(mesh.received(2), 1, "stopped after {point} ms");
    }
}

#[test]
fn only_who_has_the_key_reads_it_and_only_the_sender_can_have_sent_it() {
    let mut mesh = Mesh::line(2);
    let text =
        b"nobody else is to read this sentence, which is long enough not to be there by chance".repeat(9);
    let key = mesh.publish(0, &text);
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key).is_some() && mesh.flooded(1) == mesh.flooded(0));
    mesh.settle();
    for mut frame in mesh.frames_seen_by(1) {
        assert!(!frame.windows(20).any(|window| text.windows(20).any(|piece| piece == window)));
        mesh.replay(0, 1, &frame);
        // Anything that was signed, and the payload.
        *frame.last_mut().unwrap() ^= 1;
        mesh.replay(0, 1, &frame);
    }
    let seen = u64::try_from(mesh.frames_seen_by(1).len()).unwrap();
    assert_eq!(mesh.drops(1, DropReason::FloodedBefore), seen);
    assert_eq!(mesh.drops(1, DropReason::BadSignature), seen);
}

#[test]
fn it_expires_everywhere() {
    let mut mesh = Mesh::line(3);
    let key = mesh.publish(0, &content(5000));
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key).is_some());
    mesh.run_for(MINUTE);
    assert!([0, 1, 2].iter().all(|index| mesh.flooded(*index) > 0));
    mesh.restart(1);
    assert!(mesh.flooded(1) > 0, "it is kept over a restart");
    mesh.run_for(60 * MINUTE);
    mesh.settle();
    assert_eq!([0, 1, 2].map(|index| (mesh.flooded(index), mesh.entries(index))), [(0, 0); 3]);
}

#[test]
fn what_is_too_much_for_everybody_is_refused_by_sender_and_relay() {
    let mut mesh = Mesh::line(2);
    let (post, now) = (mesh.new_post(0), mesh.now());
    let streams = &mut mesh.node_mut(0).streams;
    let too_long = NewStream { lifetime: Lifetime::from_secs(86_401).unwrap(), ..post.clone() };
    assert!(matches!(streams.send(too_long, now), Err(SendError::LifetimeForNamespace { .. })));
    let too_big = NewStream { size: Some(ByteCount(MAX_TO_NAMESPACE.0 + 1)), ..post.clone() };
    assert!(matches!(streams.send(too_big, now), Err(SendError::TooLongForNamespace { .. })));
    let key = streams.send(post, now).unwrap();
    let error = mesh.write_all(0, &key, &content((1 << 20) + 40_000)).unwrap_err();
    assert!(matches!(error, SendError::TooLongForNamespace { .. }), "{error}");
    mesh.node_mut(0).streams.abandon(&key);
    mesh.settle();
    assert_eq!([0, 1].map(|index| mesh.entries(index)), [0; 2], "what was given up went to nobody");

    // Somebody else's router asks nobody.
    let wall = mesh.now().wall;
    let frame = |lifetime, mode, number| of_a_stranger(wall, (mode, lifetime), 3, number);
    mesh.replay(0, 1, &frame(86_401, Mode::PACKED, 0));
    assert_eq!(mesh.drops(1, DropReason::FloodedTooLong), 1);
    mesh.replay(0, 1, &frame(60, Mode::PULL_REQUEST, 0));
    assert_eq!(mesh.drops(1, DropReason::NamespaceNotServed), 1);
    for number in 0..3000 {
        mesh.replay(0, 1, &frame(60, Mode::PACKED, number));
        mesh.settle();
    }
    assert!(mesh.drops(1, DropReason::FloodedTooLong) > 1, "of one stream no more is kept than fits in one");
    let kept = mesh.flooded(1) * frame(60, Mode::PACKED, 0).len();
    assert!((1 << 20..2 << 20).contains(&kept), "{kept} bytes");
}

#[test]
fn a_relay_without_room_keeps_what_it_has_and_takes_the_rest_later() {
    let mut mesh = Mesh::line(3);
    mesh.subscribe(2);
    mesh.restart_with(1, StreamsConfig { quota: ByteCount(100_000), ..StreamsConfig::default() });
    let key = mesh.publish(0, &content(5_000));
    mesh.run_until(MINUTE, |mesh| mesh.received(2) == 1);
    let large = mesh.publish(0, &content(200_000));
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &large) == Some(Ended::Published));
    mesh.run_for(MINUTE);
    assert_eq!(mesh.received(2), 1, "the relay has no room for it");
    assert!(mesh.node(1).streams.status().used <= ByteCount(100_000));
    mesh.restart_with(1, StreamsConfig::default());
    mesh.run_until(20 * MINUTE, |mesh| mesh.received(2) == 2);
    assert_eq!(mesh.take_content(2, &large), content(200_000));
    assert_eq!(mesh.take_content(2, &key), content(5_000));
}

#[test]
fn only_so_many_namespaces_are_subscribed_to() {
    let mut mesh = Mesh::line(1);
    let now = mesh.now();
    let streams = &mut mesh.node_mut(0).streams;
    let key = |number: usize| {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        Arc::new(SecretKey::from_seed(seed))
    };
    assert!((0..MAX_NAMESPACES).all(|number| streams.add_namespace(key(number), now)));
    assert!(streams.add_namespace(key(0), now), "it is subscribed to already");
    assert!(!streams.add_namespace(key(MAX_NAMESPACES), now));
}

#[test]
fn who_makes_the_hops_few_keeps_nobody_from_it() {
    let mut mesh = Mesh::line(4);
    mesh.subscribe(3);
    mesh.cut(Cut::Between(0, 1));
    mesh.published(&content(200));
    mesh.settle();
    let now = mesh.now();
    for mut frame in mesh.on_disk(0) {
        set_hops_left(&mut frame, 0);
        mesh.node_mut(1).streams.handle_frame(mesh::hop(7), &frame, now);
    }
    mesh.run_until(MINUTE, |mesh| mesh.received(3) == 1);
}

#[test]
fn a_link_that_is_narrow_for_a_moment_gets_it_when_it_is_wide() {
    let mut mesh = Mesh::line(2);
    mesh.subscribe(1);
    mesh.set_mtu(900);
    mesh.run_for(Duration::from_secs(3));
    mesh.published(&content(20_000));
    mesh.run_for(MINUTE);
    assert_eq!(mesh.received(1), 0);
    mesh.set_mtu(33_004);
    mesh.run_until(MINUTE, |mesh| mesh.received(1) == 1);
}

#[test]
fn a_link_that_one_end_or_both_take_for_gone_carries_nothing_again() {
    let near = |index| [Via { hop: mesh::hop(index), mtu: Mtu(33_004) }];
    let mut mesh = Mesh::line(2);
    mesh.published(&content(500_000));
    mesh.run_for(MINUTE);
    let before = mesh.bytes_sent();
    for gone in [vec![0], vec![1], vec![0, 1]] {
        for index in gone {
            let now = mesh.now();
            mesh.node_mut(index).streams.handle_neighbours(&[], now);
        }
        mesh.run_for(Duration::from_secs(1));
        for index in [1, 0] {
            let now = mesh.now();
            mesh.node_mut(index).streams.handle_neighbours(&near(1 - index), now);
            mesh.run_for(Duration::from_millis(10));
        }
        mesh.run_for(MINUTE);
    }
    assert_eq!(mesh.bytes_sent(), before);
}

#[test]
fn however_slow_a_disk_is_a_new_subscriber_gets_all_and_is_told_when() {
    let mut mesh = Mesh::line(2);
    let sent: Vec<_> = (0..9).map(|_| mesh.published(&content(1 << 20))).collect();
    mesh.run_until(5 * MINUTE, |mesh| mesh.flooded(1) == mesh.flooded(0));
    mesh.node_mut(1).commits_in = Duration::from_secs(20);
    let now = mesh.now();
    mesh.node_mut(1).streams.add_namespace(namespace_key(), now);
    let newest = mesh.node(1).streams.newest_flooded().unwrap();
    let is_catching_up = |mesh: &Mesh| mesh.node(1).streams.is_catching_up(&namespace(), newest);
    assert!(is_catching_up(&mesh));
    mesh.run_until(20 * MINUTE, |mesh| !is_catching_up(mesh));
    assert_eq!(mesh.node(1).streams.arrivals().count(), sent.len());
    mesh.node_mut(1).commits_in = Duration::from_millis(2);
    sent.iter().for_each(|key| assert!(mesh.take_content(1, key) == content(1 << 20)));
    // What comes later is not waited for.
    mesh.published(&content(100_000));
    mesh.run_until(MINUTE, |mesh| {
        assert!(!is_catching_up(mesh));
        mesh.received(1) == sent.len() + 1
    });
}

#[test]
fn a_disk_that_cannot_be_read_for_a_moment_loses_nothing() {
    let mut mesh = Mesh::line(2);
    mesh.subscribe(1);
    mesh.cut(Cut::Between(0, 1));
    mesh.published(&content(20_000));
    mesh.node_mut(0).reads_fail = true;
    mesh.join(0, 1);
    mesh.run_for(Duration::from_secs(10));
    mesh.node_mut(0).reads_fail = false;
    mesh.node_mut(1).reads_fail = true;
    mesh.run_for(MINUTE);
    assert_eq!(mesh.received(1), 0);
    mesh.node_mut(1).reads_fail = false;
    mesh.run_until(MINUTE, |mesh| mesh.received(1) == 1);
}

#[test]
fn what_is_damaged_on_a_disk_is_not_sent_and_comes_again_from_others() {
    let mut mesh = Mesh::line(3);
    mesh.subscribe(2);
    mesh.cut(Cut::Between(1, 2));
    mesh.published(&content(200));
    mesh.run_until(MINUTE, |mesh| mesh.flooded(1) == mesh.flooded(0));
    mesh.settle();
    mesh.damage(1);
    mesh.join(1, 2);
    mesh.run_for(MINUTE);
    assert_eq!((mesh.received(2), mesh.drops(2, DropReason::BadSignature)), (0, 0));
    // What one knows that the other has is forgotten with a restart.
    mesh.restart(0);
    mesh.run_until(MINUTE, |mesh| mesh.received(2) == 1);
}

#[test]
fn a_whole_stream_is_there_after_a_restart_once_its_key_is_given_again() {
    let mut mesh = Mesh::line(2);
    mesh.subscribe(1);
    let key = mesh.published(&content(20_000));
    mesh.run_until(MINUTE, |mesh| mesh.received(1) == 1);
    mesh.settle();
    // Its frames are not here any more.
    for group in mesh.node(1).streams.journal.of_role(Role::Flooded) {
        mesh.node_mut(1).streams.evict(&[group]);
    }
    mesh.settle();
    mesh.cut(Cut::Between(0, 1));
    mesh.restart(1);
    mesh.settle();
    assert_eq!(mesh.node(1).streams.arrivals().count(), 0, "nobody can open it");
    mesh.subscribe(1);
    assert_eq!(mesh.take_content(1, &key), content(20_000));
}

#[test]
fn what_made_room_for_others_here_comes_again_from_what_is_kept_for_everybody() {
    let mut mesh = Mesh::line(2);
    mesh.subscribe(1);
    mesh.hold_back_manifests(true);
    let key = mesh.published(&content(100_000));
    mesh.run_for(MINUTE);
    let group = mesh.node(1).streams.journal.find(&key.group(Role::Received)).unwrap();
    mesh.node_mut(1).streams.evict(&[group]);
    mesh.hold_back_manifests(false);
    mesh.run_until(20 * MINUTE, |mesh| mesh.received(1) == 1);
    assert_eq!(mesh.take_content(1, &key), content(100_000));
}

#[test]
fn a_subscriber_whose_clients_take_nothing_passes_on_what_comes() {
    let mut mesh = Mesh::line(3);
    mesh.restart_with(1, StreamsConfig { quota: ByteCount(4 << 20), ..StreamsConfig::default() });
    [1, 2].into_iter().for_each(|index| mesh.subscribe(index));
    for size in [760_000, 760_000, 760_000, 700_000, 30_000, 30_000, 30_000, 3000, 3000, 3000] {
        mesh.send(0, 1, &content(size));
        mesh.run_for(Duration::from_secs(5));
    }
    let key = mesh.published(&content(100_000));
    mesh.run_until(MINUTE, |mesh| mesh.received(2) == 1);
    assert_eq!(mesh.take_content(2, &key), content(100_000));
}

#[test]
fn what_strangers_flood_takes_no_room_from_what_is_carried() {
    let mut mesh = Mesh::line(3);
    mesh.restart_with(1, StreamsConfig { quota: ByteCount(4 << 20), ..StreamsConfig::default() });
    for number in 0..4_000_u32 {
        let stream = u8::try_from(number / 200).unwrap();
        let frame = packed(&mesh, stream, number);
        mesh.replay(0, 1, &frame);
        if number % 50 == 0 {
            mesh.run_for(Duration::from_millis(100));
        }
    }
    assert!(mesh.flooded(1) > 100, "{} frames", mesh.flooded(1));
    assert!(mesh.node(1).streams.status().used.0 <= (4 << 20) / 8, "its share is an eighth");
    mesh.cut(Cut::Between(1, 2));
    // Almost the quarter that one neighbour may have carried.
    let key = mesh.send(0, 2, &content(900_000));
    mesh.run_until(MINUTE, |mesh| mesh.is_stored(0, &key));
}

/// A frame of a stranger to a namespace.
fn packed(mesh: &Mesh, stream: u8, number: u32) -> Vec<u8> {
    of_a_stranger(mesh.now().wall, (Mode::PACKED, 3000), stream, number)
}

fn of_a_stranger(created: WallTime, (mode, lifetime): (Mode, u32), stream: u8, number: u32) -> Vec<u8> {
    let stranger = SecretKey::from_seed([98; 32]);
    let lifetime = Lifetime::from_secs(lifetime).unwrap();
    let auxiliary = Auxiliary { created, lifetime, stream: StreamId::from_bytes([stream; 32]) };
    let payload = [&[10][..], &number.to_be_bytes().repeat(256)].concat();
    let header = Header::new(mode, stranger.public()).to(Recipient::Namespace(namespace()));
    let seq_id = Some(PackedBlocks::place(&payload));
    let header = Header { auxiliary: Some(auxiliary.encode()), seq_id, hops_left: 9, ..header };
    sign_frame(&stranger, header, &payload)
}

#[test]
fn a_neighbour_has_so_many_frames_verified_in_a_second() {
    let mut mesh = Mesh::line(2);
    for number in 0..5_000 {
        let frame = packed(&mesh, 1, number);
        mesh.replay(0, 1, &frame);
        if number % 50 == 0 {
            mesh.settle();
        }
    }
    assert!(
        mesh.drops(1, DropReason::VerificationQuota) > 0 || mesh.drops(1, DropReason::FloodedTooLong) > 0
    );
    let mut mesh = Mesh::line(2);
    let refused = |mesh: &Mesh| mesh.drops(1, DropReason::VerificationQuota);
    for number in 0..6_000 {
        let mut frame = packed(&mesh, 1, number);
        *frame.last_mut().unwrap() ^= 1;
        mesh.replay(0, 1, &frame);
    }
    assert!((1_900..=2_000).contains(&refused(&mesh)), "{}", refused(&mesh));
}

#[test]
fn what_nobody_took_makes_no_room_for_more_and_what_others_have_does() {
    let small = StreamsConfig { quota: ByteCount(8 << 20), ..StreamsConfig::default() };
    let mut mesh = Mesh::line(2);
    mesh.restart_with(0, small);
    mesh.cut(Cut::Between(0, 1));
    let first = mesh.publish(0, &content(500_000));
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &first).is_some());
    let second = mesh.publish(0, &content(500_000));
    mesh.run_until(MINUTE, |mesh| mesh.has_failed(0, &second));
    mesh.settle();
    mesh.join(0, 1);
    mesh.run_until(MINUTE, |mesh| mesh.flooded(1) == mesh.flooded(0));
    mesh.run_for(Duration::from_secs(5));
    let third = mesh.publish(0, &content(500_000));
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &third).is_some());
    mesh.subscribe(1);
    mesh.run_until(MINUTE, |mesh| mesh.received(1) == 2);
}

#[test]
fn where_nothing_can_be_read_now_nobody_is_told_to_try_at_once() {
    let mut mesh = Mesh::line(2);
    mesh.cut(Cut::Between(0, 1));
    mesh.published(&content(20_000));
    mesh.settle();
    mesh.join(0, 1);
    mesh.run_for(Duration::from_millis(500));
    while mesh.node(0).streams.store.may_read() {
        let reader = Reader::Subscribed { group: GroupNumber(999), number: 0 };
        mesh.node_mut(0).streams.store.read(GroupNumber(999), 0, reader);
    }
    let later = Now { at: mesh.now().at + Duration::from_secs(3), ..mesh.now() };
    mesh.node_mut(0).streams.handle_timeout(later);
    let next = mesh.node(0).streams.poll_timeout().unwrap();
    assert!(next > later.at, "{next:?} at {:?}", later.at);
}
