// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams whose blocks wait at their sender until they are asked for.

use super::*;
use crate::stream::Routing;

impl Mesh {
    fn open_pulled(&mut self, sender: usize, recipient: usize) -> StreamKey {
        let new = NewStream { routing: Routing::Pull, ..self.new_stream(sender, recipient, None) };
        let now = self.now();
        self.node_mut(sender).streams.send(new, now).unwrap()
    }

    fn send_pulled(&mut self, sender: usize, recipient: usize, content: &[u8]) -> StreamKey {
        let key = self.open_pulled(sender, recipient);
        self.write_all(sender, &key, content).unwrap();
        key
    }

    fn is_delivered(&self, sender: usize, key: &StreamKey) -> bool {
        self.has_ended(sender, key) == Some(Ended::Delivered)
    }
}

#[test]
fn content_of_any_size_is_pulled_over_a_relay_and_by_oneself() {
    for length in [0, 1, 255, 256, 1024, 28 * 1024, 3_000_000] {
        for (sender, recipient) in [(0, 2), (1, 1)] {
            let mut mesh = Mesh::line(3);
            let content = content(length);
            let key = mesh.send_pulled(sender, recipient, &content);
            mesh.run_until(MINUTE, |mesh| mesh.is_delivered(sender, &key));
            assert_eq!(mesh.take_content(recipient, &key), content, "{length} bytes");
            assert_eq!((mesh.entries(sender), mesh.entries(recipient)), (0, 0));
        }
    }
}

#[test]
fn no_block_leaves_before_it_is_asked_for() {
    let mut mesh = Mesh::line(2);
    mesh.hold_back_manifests(true);
    let key = mesh.send_pulled(0, 1, &content(12 << 20));
    mesh.run_for(MINUTE);
    assert!(mesh.bytes_sent() < 100_000, "{} bytes", mesh.bytes_sent());
    mesh.hold_back_manifests(false);
    mesh.run_until(20 * MINUTE, |mesh| mesh.is_delivered(0, &key));
    let notices = |frame: &Vec<u8>| Frame::decode(frame).unwrap().header.mode == Mode::PUSH_NOTICE;
    assert!(!mesh.frames_seen_by(1).iter().any(notices), "the manifest says how large it is");
}

#[test]
fn a_carrier_gets_the_manifest_alone_and_nobody_is_told_that_it_has_the_stream() {
    let content = content(500_000);
    for restarts in [false, true] {
        let mut mesh = Mesh::line(3);
        mesh.cut(Cut::Between(1, 2));
        let key = mesh.send_pulled(0, 2, &content);
        mesh.run_for(MINUTE);
        if restarts {
            mesh.restart(0);
            mesh.run_for(MINUTE);
        }
        assert!(!mesh.is_stored(0, &key));
        assert_eq!(mesh.frames_carried(1), 1);
        assert!(mesh.on_disk(1).iter().all(|frame| frame.len() < 1000));
        mesh.cut(Cut::Between(0, 1));
        mesh.join(1, 2);
        mesh.run_for(MINUTE);
        assert_eq!(mesh.received(2), 0, "its sender is away, and has the blocks");
        mesh.join(0, 1);
        mesh.run_until(MINUTE, |mesh| mesh.is_delivered(0, &key));
        assert_eq!(mesh.take_content(2, &key), content);
        assert_eq!(mesh.received(2), 1);
        mesh.run_for(Duration::from_secs(1));
        assert_eq!(mesh.frames_carried(1), 0);
    }
}

#[test]
fn what_is_in_the_manifest_is_stored_by_who_carries_that() {
    let mut mesh = Mesh::line(3);
    mesh.cut(Cut::Between(1, 2));
    let key = mesh.send_pulled(0, 2, &content(200));
    mesh.run_until(MINUTE, |mesh| mesh.is_stored(0, &key));
    mesh.cut(Cut::Between(0, 1));
    mesh.join(1, 2);
    mesh.run_until(MINUTE, |mesh| mesh.received(2) == 1);
}

#[test]
fn it_is_pulled_to_its_end_whatever_is_lost_and_whoever_stops_when() {
    proptest!(ProptestConfig::with_cases(16), |(
        loss in 0_u32..12,
        length in 256_usize..400_000,
        stops in proptest::collection::vec((0_usize..3, 0_u64..1500), 0..5),
        seed: u64,
    )| {
        let mut mesh = Mesh::line(3);
        mesh.lose(loss, seed);
        let content = content(length);
        let key = mesh.send_pulled(0, 2, &content);
        mesh.run_until(MINUTE, |mesh| mesh.is_accepted(0, &key));
        for (index, milliseconds) in stops {
            mesh.run_for(Duration::from_millis(milliseconds));
            mesh.restart(index);
        }
        mesh.run_until(PATIENCE, |mesh| mesh.is_delivered(0, &key));
        prop_assert_eq!(mesh.take_content(2, &key), content);
    });
}

#[test]
fn nobody_can_be_asked_for_what_everybody_keeps() {
    let mut mesh = Mesh::line(1);
    let namespace = Namespace::from_bytes(SecretKey::from_seed([77; 32]).public());
    let hour = ratman_wire::stream::Lifetime::from_secs(3600).unwrap();
    let new = NewStream { lifetime: hour, routing: Routing::Pull, ..mesh.new_stream(0, 0, None) };
    let new = NewStream { recipient: Recipient::Namespace(namespace), ..new };
    let now = mesh.now();
    let refused = mesh.node_mut(0).streams.send(new, now);
    assert!(matches!(refused, Err(SendError::PullForNamespace)), "{refused:?}");
}
