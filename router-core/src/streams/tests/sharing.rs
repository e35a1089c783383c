// SPDX-License-Identifier: AGPL-3.0-or-later
//! Shared content: stored once, announced to many, fetched by whoever heard of it.

use super::*;
use crate::DropReason;
use crate::streams::NewShare;
use ratman_eris::ReadCapability;
use ratman_wire::stream::Lifetime;

const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn days(days: u32) -> Lifetime {
    Lifetime::from_secs(days * 86_400).unwrap()
}

fn namespace_key() -> Arc<SecretKey> {
    Arc::new(SecretKey::from_seed([78; 32]))
}

pub(super) fn namespace() -> Recipient {
    Recipient::Namespace(Namespace::from_bytes(namespace_key().public()))
}

impl Mesh {
    fn begin_share(&mut self, sender: usize, lifetime: Lifetime, content: &[u8]) -> StreamKey {
        let (sender_address, now) = (self.address(sender), self.now());
        let new = NewShare { sender: sender_address, size: None, lifetime };
        let key = self.node_mut(sender).streams.share(new, now).unwrap();
        self.write_all(sender, &key, content).unwrap();
        key
    }

    /// Shares content, and says what reads it.
    pub(super) fn share_for(&mut self, sender: usize, lifetime: Lifetime, content: &[u8]) -> ReadCapability {
        let key = self.begin_share(sender, lifetime, content);
        self.run_until(MINUTE, |mesh| mesh.shared(sender, &key).is_some());
        self.settle();
        self.shared(sender, &key).unwrap()
    }

    pub(super) fn share(&mut self, sender: usize, content: &[u8]) -> ReadCapability {
        self.share_for(sender, days(3), content)
    }

    pub(super) fn announce(
        &mut self,
        sender: usize,
        capability: &ReadCapability,
        to: Recipient,
    ) -> StreamKey {
        let (address, now) = (self.address(sender), self.now());
        let name = StreamId::of_shared(capability);
        self.node_mut(sender).streams.announce(address, name, to, now).unwrap()
    }

    pub(super) fn to(&self, index: usize) -> Recipient {
        Recipient::Address(self.address(index))
    }

    pub(super) fn subscribe_to_files(&mut self, index: usize) {
        let now = self.now();
        assert!(self.node_mut(index).streams.add_namespace(namespace_key(), now));
        self.settle();
    }

    fn take_down(&mut self, sender: usize, capability: &ReadCapability) -> bool {
        let (address, name) = (self.address(sender), StreamId::of_shared(capability));
        self.node_mut(sender).streams.take_down(address, name)
    }

    pub(super) fn blocks_seen_by(&self, index: usize) -> usize {
        let is_block =
            |frame: &&Vec<u8>| matches!(Frame::decode(frame).unwrap().header.mode, Mode::DATA | Mode::PACKED);
        self.frames_seen_by(index).iter().filter(is_block).count()
    }
}

#[test]
fn it_is_stored_once_and_told_to_many() {
    for length in [0, 1, 63, 64, 300, 5_000, 3_000_000] {
        let mut mesh = Mesh::line(4);
        let content = content(length);
        let capability = mesh.share(0, &content);
        let stored = mesh.entries(0);
        assert!(stored > 0);
        for index in [1, 2, 3] {
            let to = mesh.to(index);
            let key = mesh.announce(0, &capability, to);
            mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
            assert!(mesh.is_accepted(0, &key));
            assert_eq!(mesh.take_content(index, &key), content, "{length} bytes at {index}");
            assert_eq!(mesh.entries(0), stored);
        }
        // Who has it is not given it again, and to ourselves it goes as well.
        let (to, own) = (mesh.to(3), mesh.to(0));
        let before = mesh.bytes_sent();
        let again = mesh.announce(0, &capability, to);
        mesh.run_for(MINUTE);
        assert!(mesh.bytes_sent() - before < 5_000);
        assert_eq!(mesh.node(0).streams.listed_sent(&again), None, "it has ended");
        assert_eq!(mesh.received(3), 1);
        let own = mesh.announce(0, &capability, own);
        mesh.run_until(MINUTE, |mesh| mesh.received(0) == 1);
        assert_eq!(mesh.take_content(0, &own), content);
    }
}

#[test]
fn blocks_are_those_of_the_specification_for_public_content() {
    let mut mesh = Mesh::line(2);
    let content = content(100_000);
    let capability = mesh.share(0, &content);
    let zeros = ratman_eris::ConvergenceSecret::zeros();
    let mut encoder = ratman_eris::Encoder::new(BlockSize::Kib32, &zeros);
    let mut rest = &content[..];
    while !rest.is_empty() {
        rest = &rest[encoder.push(rest).unwrap()..];
        while encoder.poll_block().is_some() {}
    }
    encoder.finish();
    while encoder.poll_block().is_some() {}
    assert_eq!(encoder.capability(), Some(capability));
}

#[test]
fn equal_content_of_one_sender_is_kept_once_for_the_longer_time() {
    let mut mesh = Mesh::line(2);
    let content = content(200_000);
    let first = mesh.share_for(0, days(1), &content);
    let stored = mesh.entries(0);
    let to = mesh.to(1);
    mesh.cut(Cut::Between(0, 1));
    let key = mesh.announce(0, &first, to);
    for lifetime in [days(2), days(1)] {
        assert_eq!(mesh.share_for(0, lifetime, &content), first);
        assert_eq!(mesh.entries(0), stored);
        assert_eq!(mesh.node(0).streams.status().shared, 1);
    }
    mesh.restart(0);
    assert_eq!((mesh.node(0).streams.status().shared, mesh.entries(0)), (1, stored));
    assert!(mesh.node(0).streams.is_accepted(&key));
    assert_eq!(mesh.announce(0, &first, to), key, "once more changes nothing");
    // What was begun goes on with the blocks that stayed.
    mesh.join(0, 1);
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
    mesh.run_for(DAY + MINUTE);
    assert_eq!(mesh.node(0).streams.status().shared, 1);
    mesh.run_for(DAY + MINUTE);
    mesh.settle();
    assert_eq!((mesh.node(0).streams.status().shared, mesh.entries(0)), (0, 0), "its time has passed");
    // Two at once, of which neither knows of the other.
    let keys = [0, 1].map(|_| mesh.begin_share(0, days(1), &content));
    mesh.run_until(MINUTE, |mesh| keys.iter().all(|key| mesh.shared(0, key).is_some()));
    mesh.settle();
    assert_eq!(mesh.entries(0), stored);
}

#[test]
fn whoever_subscribed_pulls_a_copy_of_any_size_and_none_a_second() {
    let mut mesh = Mesh::line(4);
    [0, 1, 3].into_iter().for_each(|index| mesh.subscribe_to_files(index));
    let content = content(3_000_000);
    let capability = mesh.share(0, &content);
    let key = mesh.announce(0, &capability, namespace());
    mesh.run_until(MINUTE, |mesh| [0, 1, 3].iter().all(|index| mesh.received(*index) == 1));
    assert_eq!(mesh.has_ended(0, &key), Some(Ended::Published));
    for index in [0, 1, 3] {
        assert_eq!(mesh.take_content(index, &key), content, "at {index}");
        assert_eq!(mesh.node(index).streams.status().receiving, 0);
    }
    assert_eq!(mesh.received(2), 0);
    assert!(mesh.entries(2) <= 1, "who did not subscribe keeps what tells of it");
    mesh.subscribe_to_files(2);
    mesh.run_until(MINUTE, |mesh| mesh.received(2) == 1);
    // Told once more, before and after what was flooded has expired.
    for wait in [MINUTE, DAY] {
        mesh.run_for(wait);
        mesh.announce(0, &capability, namespace());
        mesh.run_for(MINUTE);
    }
    assert!(mesh.node(3).streams.status().flooded > 0, "it was flooded anew");
    assert_eq!([0, 1, 2, 3].map(|index| mesh.received(index)), [1; 4]);
    assert_eq!([1, 2, 3].map(|index| mesh.node(index).streams.status().receiving), [0; 3]);
}

#[test]
fn who_has_it_to_an_address_gets_it_to_a_namespace_too() {
    let mut mesh = Mesh::line(2);
    mesh.subscribe_to_files(1);
    let content = content(400_000);
    let capability = mesh.share(0, &content);
    let to = mesh.to(1);
    let keys = [to, namespace()].map(|to| mesh.announce(0, &capability, to));
    mesh.run_until(MINUTE, |mesh| mesh.received(1) == 2);
    keys.iter().for_each(|key| assert_eq!(mesh.take_content(1, key), content));
    assert_eq!(mesh.has_ended(0, &keys[0]), Some(Ended::Delivered));
    mesh.run_for(2 * MINUTE);
    assert_eq!(mesh.node(1).streams.list().count(), 0, "nothing was begun that nobody wants");
    assert_eq!(mesh.node(0).streams.status().answered, 0);
}

#[test]
fn who_is_off_gets_it_when_it_is_back_as_long_as_its_sender_is_there() {
    for to_namespace in [false, true] {
        let mut mesh = Mesh::line(3);
        mesh.subscribe_to_files(2);
        mesh.cut(Cut::Between(1, 2));
        let content = content(400_000);
        let capability = mesh.share(0, &content);
        let to = if to_namespace { namespace() } else { mesh.to(2) };
        let key = mesh.announce(0, &capability, to);
        mesh.run_for(MINUTE);
        assert!(!mesh.is_stored(0, &key), "who carries what tells of it does not have it");
        mesh.cut(Cut::Between(0, 1));
        mesh.join(1, 2);
        mesh.run_for(MINUTE);
        assert_eq!(mesh.received(2), 0);
        mesh.join(0, 1);
        mesh.run_until(20 * MINUTE, |mesh| mesh.received(2) == 1);
        assert_eq!(mesh.take_content(2, &key), content);
    }
}

#[test]
fn it_arrives_whatever_is_lost_and_whoever_stops_when() {
    proptest!(ProptestConfig::with_cases(16), |(
        loss in 0_u32..12,
        length in 0_usize..400_000,
        to_namespace: bool,
        stops in proptest::collection::vec((0_usize..3, 0_u64..1500), 0..5),
        seed: u64,
    )| {
        let mut mesh = Mesh::line(3);
        mesh.subscribe_to_files(2);
        mesh.lose(loss, seed);
        let content = content(length);
        let capability = mesh.share(0, &content);
        let to = if to_namespace { namespace() } else { mesh.to(2) };
        let key = mesh.announce(0, &capability, to);
        mesh.run_until(MINUTE, |mesh| mesh.is_accepted(0, &key));
        for (index, milliseconds) in stops {
            mesh.run_for(Duration::from_millis(milliseconds));
            mesh.restart(index);
            if index == 2 {
                mesh.subscribe_to_files(2);
            }
        }
        mesh.run_until(PATIENCE, |mesh| mesh.is_here(2, &key));
        prop_assert_eq!(mesh.take_content(2, &key), content);
    });
}

#[test]
fn content_that_was_not_complete_is_forgotten_at_a_restart_and_what_was_promised_is_not() {
    for point in 0..40 {
        let mut mesh = Mesh::line(2);
        let content = content(300_000);
        let key = mesh.begin_share(0, days(1), &content);
        mesh.run_for(Duration::from_micros(500 * point));
        let promised = mesh.shared(0, &key);
        mesh.restart(0);
        mesh.settle();
        let shared: Vec<_> = mesh.node(0).streams.list().collect();
        match (&promised, &shared[..]) {
            (None, []) => assert_eq!(mesh.entries(0), 0),
            (_, [listed]) => {
                assert_eq!(listed.stage, StreamStage::Shared);
                assert!(promised.is_none() || listed.capability == promised);
                let capability = listed.capability.clone().unwrap();
                let to = mesh.to(1);
                let key = mesh.announce(0, &capability, to);
                mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
                assert_eq!(mesh.take_content(1, &key), content);
            }
            (_, others) => panic!("{others:?}"),
        }
    }
    let mut mesh = Mesh::line(2);
    let new = NewShare { sender: mesh.address(0), size: None, lifetime: days(1) };
    let now = mesh.now();
    let key = mesh.node_mut(0).streams.share(new, now).unwrap();
    mesh.write_piece(0, &key, &content(300_000)).unwrap();
    mesh.settle();
    assert!(mesh.entries(0) > 5);
    mesh.restart(0);
    mesh.settle();
    assert_eq!(mesh.entries(0), 0);
}

#[test]
fn what_is_taken_down_is_told_to_nobody_and_leaves_nothing() {
    for point in [0, 50, 150, 300] {
        let mut mesh = Mesh::line(3);
        mesh.subscribe_to_files(2);
        let capability = mesh.share(0, &content(16 << 20));
        let to = mesh.to(1);
        let told = mesh.announce(0, &capability, to);
        mesh.announce(0, &capability, namespace());
        mesh.run_until(MINUTE, |mesh| mesh.blocks_seen_by(1) > point);
        assert_eq!(mesh.received(1), 0);
        assert!(mesh.take_down(0, &capability));
        assert!(!mesh.take_down(0, &capability));
        mesh.run_until(MINUTE, |mesh| mesh.is_taken_down(0, &capability) == Some(true));
        assert_eq!(mesh.has_ended(0, &told), Some(Ended::Withdrawn));
        mesh.settle();
        let seen = mesh.blocks_seen_by(2);
        for restarts in [false, true] {
            if restarts {
                mesh.restart(0);
            }
            mesh.run_for(10 * MINUTE);
            assert_eq!((mesh.received(1), mesh.received(2)), (0, 0));
            assert_eq!(mesh.blocks_seen_by(2), seen, "asked in vain");
            let status = mesh.node(0).streams.status();
            assert_eq!((status.shared, status.sending, status.answered), (0, 0, 0));
        }
        let (address, now, to) = (mesh.address(0), mesh.now(), mesh.to(1));
        let name = StreamId::of_shared(&capability);
        let refused = mesh.node_mut(0).streams.announce(address, name, to, now);
        assert!(matches!(refused, Err(SendError::NotShared)), "{refused:?}");
    }
}

#[test]
fn who_shares_may_be_down_for_a_while() {
    let mut mesh = Mesh::line(2);
    let content = content(300_000);
    let capability = mesh.share(0, &content);
    let to = mesh.to(1);
    let key = mesh.announce(0, &capability, to);
    mesh.run_for(Duration::from_millis(101));
    mesh.address_down(0);
    mesh.settle();
    let listed: Vec<_> = mesh.node(0).streams.list().filter(|of| of.stage == StreamStage::Shared).collect();
    assert!(listed[0].capability.is_none(), "only its key opens what it is called");
    let (address, name, now) = (mesh.address(0), StreamId::of_shared(&capability), mesh.now());
    let refused = mesh.node_mut(0).streams.announce(address, name, to, now);
    assert!(matches!(refused, Err(SendError::Sender)), "{refused:?}");
    mesh.restart(0);
    mesh.run_for(MINUTE);
    assert_eq!(mesh.received(1), 0);
    mesh.address_up(0);
    mesh.run_until(20 * MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
    assert_eq!(mesh.take_content(1, &key), content);
    let to = mesh.to(0);
    mesh.announce(0, &capability, to);
    mesh.run_until(MINUTE, |mesh| mesh.received(0) == 1);
}

#[test]
fn what_is_shared_takes_half_of_the_journal_and_a_failing_disk_is_said() {
    let mut mesh = Mesh::line(2);
    mesh.restart_with(0, StreamsConfig { quota: ByteCount(1_000_000), ..StreamsConfig::default() });
    let new = NewShare { sender: mesh.address(0), size: None, lifetime: days(1) };
    let now = mesh.now();
    let key = mesh.node_mut(0).streams.share(new, now).unwrap();
    let error = mesh.write_all(0, &key, &content(600_000)).unwrap_err();
    assert_eq!(error.to_string(), "the journal holds as much as it may of what is shared");
    mesh.node_mut(0).streams.abandon(&key);
    mesh.settle();
    assert_eq!(mesh.entries(0), 0);
    mesh.node_mut(0).disk_fails = true;
    let key = mesh.begin_share(0, days(1), &content(100_000));
    mesh.run_until(MINUTE, |mesh| mesh.has_failed(0, &key));
    mesh.node_mut(0).disk_fails = false;
    mesh.settle();
    assert_eq!((mesh.node(0).streams.status().shared, mesh.entries(0)), (0, 0));
    let capability = mesh.share(0, &content(100_000));
    mesh.node_mut(0).disk_fails = true;
    assert!(mesh.take_down(0, &capability));
    mesh.run_until(MINUTE, |mesh| mesh.is_taken_down(0, &capability) == Some(false));
}

#[test]
fn a_rule_against_a_namespace_or_a_size_refuses_what_is_shared_with_it() {
    let mut mesh = Mesh::line(2);
    let Recipient::Namespace(theirs) = namespace() else { panic!("it is one") };
    let rules = [
        StreamFilter { not_to: BTreeSet::from([theirs]), ..StreamFilter::default() },
        StreamFilter { largest: Some(ByteCount(1000)), ..StreamFilter::default() },
    ];
    for (number, rule) in rules.into_iter().enumerate() {
        mesh.subscribe_to_files(1);
        mesh.node_mut(1).streams.set_filter(rule);
        let capability = mesh.share(0, &content(50_000 + number));
        mesh.announce(0, &capability, namespace());
        mesh.run_for(MINUTE);
        assert_eq!((mesh.received(1), mesh.node(1).streams.status().receiving), (0, 0));
        assert!(mesh.node(1).streams.drops().get(DropReason::StreamRefused) > 0);
    }
    assert_eq!(mesh.blocks_seen_by(1), 0);
}

#[test]
fn what_nobody_fetches_in_time_expires_with_what_tells_of_it() {
    let mut mesh = Mesh::line(3);
    mesh.cut(Cut::Between(1, 2));
    let hour = Lifetime::from_secs(3600).unwrap();
    let capability = mesh.share_for(0, hour, &content(50_000));
    let to = mesh.to(2);
    let key = mesh.announce(0, &capability, to);
    mesh.run_for(Duration::from_secs(3600) + MINUTE);
    mesh.settle();
    assert_eq!(mesh.has_ended(0, &key), Some(Ended::Expired));
    assert_eq!([0, 1, 2].map(|index| mesh.entries(index)), [0; 3]);
    assert_eq!(mesh.node(0).streams.list().count(), 0);
}
