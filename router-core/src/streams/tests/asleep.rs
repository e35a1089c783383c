// SPDX-License-Identifier: AGPL-3.0-or-later
//! Addresses of clients that are down for a while: nothing is lost, and nothing happens without their keys.

use super::*;

#[test]
fn mail_for_an_address_that_is_down_waits_at_its_own_router() {
    for length in [0, 100, 10_000, 500_000] {
        let mut mesh = Mesh::line(3);
        mesh.address_down(2);
        let content = content(length);
        let key = mesh.send(0, 2, &content);
        mesh.run_until(MINUTE, |mesh| mesh.is_stored(0, &key));
        mesh.run_until(MINUTE, |mesh| mesh.frames_carried(1) == 0);
        assert!(mesh.frames_carried(2) > 0);
        mesh.settle();
        // Neither the sender nor this run of the router need be there any more.
        mesh.cut(Cut::Between(1, 2));
        mesh.restart(2);
        mesh.run_for(MINUTE);
        assert_eq!(mesh.received(2), 0);
        mesh.address_up(2);
        mesh.run_until(MINUTE, |mesh| mesh.received(2) == 1);
        assert_eq!(mesh.take_content(2, &key), content);
        mesh.run_for(MINUTE);
        assert_eq!(mesh.node(2).streams.status().carried, 0, "what was carried has arrived");
        mesh.join(1, 2);
        mesh.run_until(10 * MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
        assert_eq!(mesh.received(2), 1);
    }
}

#[test]
fn what_was_delivered_is_there_when_its_address_is_up_again() {
    let mut mesh = Mesh::line(2);
    let content = content(100_000);
    let key = mesh.send(0, 1, &content);
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
    mesh.settle();
    mesh.address_down(1);
    assert_eq!(mesh.node(1).streams.arrivals().count(), 0, "nobody can open it");
    mesh.restart(1);
    mesh.settle();
    assert_eq!(mesh.node(1).streams.arrivals().count(), 0);
    mesh.address_up(1);
    mesh.settle();
    assert_eq!(mesh.received(1), 2, "once as it came, once as it woke");
    mesh.address_down(1);
    mesh.address_up(1);
    assert_eq!(mesh.take_content(1, &key), content);
    mesh.address_down(1);
    mesh.restart(1);
    mesh.address_up(1);
    assert_eq!(mesh.node(1).streams.arrivals().count(), 0, "it was taken for good");
}

#[test]
fn half_a_stream_goes_on_when_its_address_is_up_again() {
    for restarts in [false, true] {
        let mut mesh = Mesh::line(3);
        let content = content(2_000_000);
        let key = mesh.send(0, 2, &content);
        mesh.run_until(MINUTE, |mesh| mesh.entries(2) > 10);
        mesh.address_down(2);
        mesh.settle();
        if restarts {
            mesh.restart(2);
        }
        mesh.run_for(MINUTE);
        assert_eq!(mesh.received(2), 0);
        mesh.address_up(2);
        mesh.run_until(10 * MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
        assert_eq!(mesh.take_content(2, &key), content);
        assert_eq!(mesh.received(2), 1);
    }
}

#[test]
fn what_an_address_sends_waits_until_it_is_up() {
    for restarts in [false, true] {
        let mut mesh = Mesh::line(3);
        mesh.cut(Cut::Between(0, 1));
        let content = content(200_000);
        let key = mesh.send(0, 2, &content);
        mesh.run_until(MINUTE, |mesh| mesh.is_accepted(0, &key));
        mesh.settle();
        mesh.address_down(0);
        if restarts {
            mesh.restart(0);
        }
        mesh.join(0, 1);
        mesh.run_for(10 * MINUTE);
        assert_eq!(mesh.received(2), 0, "nobody can sign for it");
        let (new, now) = (mesh.new_stream(0, 2, None), mesh.now());
        let refused = mesh.node_mut(0).streams.send(new, now);
        assert!(matches!(refused, Err(SendError::Sender)), "{refused:?}");
        mesh.address_up(0);
        mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key) == Some(Ended::Delivered));
        assert_eq!(mesh.take_content(2, &key), content);
    }
}

#[test]
fn what_sleeps_expires_and_leaves_nothing() {
    let mut mesh = Mesh::line(2);
    let key = mesh.send(0, 1, &content(100_000));
    mesh.hold_back_manifests(true);
    mesh.run_for(Duration::from_secs(1));
    assert_eq!(mesh.has_ended(0, &key), None);
    mesh.address_down(1);
    mesh.run_for(mesh::LIFETIME + MINUTE);
    mesh.settle();
    assert_eq!((mesh.node(1).streams.asleep.len(), mesh.entries(1)), (0, 0));
}

#[test]
fn what_sleeps_is_listed_and_counted() {
    let mut mesh = Mesh::line(2);
    mesh.send(0, 1, &content(100_000));
    mesh.run_until(MINUTE, |mesh| mesh.received(1) == 1);
    let listed = |mesh: &Mesh| -> Vec<_> {
        mesh.node(1).streams.list().map(|listed| (listed.stage, listed.size, listed.arrived)).collect()
    };
    let whole = BlockSize::Kib32.bytes_of_tree(ByteCount(100_000));
    assert_eq!(listed(&mesh), [(StreamStage::Waiting, Some(ByteCount(100_000)), whole)]);
    mesh.address_down(1);
    assert_eq!(listed(&mesh), [(StreamStage::Sleeping, None, whole)]);
    mesh.restart(1);
    assert_eq!(listed(&mesh), [(StreamStage::Sleeping, None, whole)]);
    let status = mesh.node(1).streams.status();
    assert_eq!((status.waiting, status.receiving, status.sleeping), (0, 0, 1));
    mesh.address_up(1);
    assert_eq!(mesh.node(1).streams.status().sleeping, 0);
    assert_eq!(mesh.node(1).streams.status().waiting, 1);
}

#[test]
fn a_key_of_a_namespace_that_is_taken_back_opens_nothing_more() {
    let mut mesh = Mesh::line(2);
    let key = Arc::new(SecretKey::from_seed([79; 32]));
    let namespace = Namespace::from_bytes(key.public());
    let subscribe = |mesh: &mut Mesh| {
        let (now, key) = (mesh.now(), Arc::clone(&key));
        assert!(mesh.node_mut(1).streams.add_namespace(key, now));
    };
    let publish = |mesh: &mut Mesh, length| {
        let hour = ratman_wire::stream::Lifetime::from_secs(3600).unwrap();
        let recipient = Recipient::Namespace(namespace);
        let (new, now) = (NewStream { recipient, lifetime: hour, ..mesh.new_stream(0, 1, None) }, mesh.now());
        let key = mesh.node_mut(0).streams.send(new, now).unwrap();
        mesh.write_all(0, &key, &content(length)).unwrap();
        mesh.run_for(MINUTE);
        key
    };
    assert!(!mesh.node_mut(1).streams.remove_namespace(&namespace), "nobody subscribed");
    subscribe(&mut mesh);
    let first = publish(&mut mesh, 20_000);
    assert!(mesh.is_here(1, &first));
    assert!(mesh.node_mut(1).streams.remove_namespace(&namespace));
    assert_eq!(mesh.node(1).streams.arrivals().count(), 0);
    assert_eq!(mesh.node(1).streams.status().sleeping, 1);
    let second = publish(&mut mesh, 10_000);
    assert_eq!(mesh.received(1), 1);
    mesh.restart(1);
    subscribe(&mut mesh);
    mesh.run_for(MINUTE);
    assert_eq!(mesh.take_content(1, &first), content(20_000));
    assert_eq!(mesh.take_content(1, &second), content(10_000));
    mesh.node_mut(1).streams.remove_namespace(&namespace);
    mesh.run_for(mesh::LIFETIME + MINUTE);
    assert_eq!(mesh.node(1).streams.status().sleeping, 0);
}

#[test]
fn what_is_of_an_address_that_is_gone_for_good_goes_at_once() {
    for (is_down, restarts) in [(false, false), (true, false), (true, true)] {
        let mut mesh = Mesh::line(3);
        // One is here whole, one half, one was taken; one is on its way out, one being written, one shared and announced.
        let whole = mesh.send(0, 1, &content(100_000));
        let taken = mesh.send(0, 1, &content(50_000));
        mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &taken) == Some(Ended::Delivered));
        mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &whole) == Some(Ended::Delivered));
        mesh.take_content(1, &taken);
        mesh.cut(Cut::Between(1, 2));
        let shared = mesh.share(1, &content(90_000));
        mesh.announce(1, &shared, mesh.to(2));
        let sent = mesh.send(1, 2, &content(100_000));
        mesh.run_until(MINUTE, |mesh| mesh.is_accepted(1, &sent));
        let (new, now) = (mesh.new_stream(1, 2, None), mesh.now());
        let opened = mesh.node_mut(1).streams.send(new, now).unwrap();
        mesh.write_all(1, &opened, &content(70_000)).unwrap();
        mesh.hold_back_manifests(true);
        mesh.send(0, 1, &content(100_000));
        mesh.run_for(Duration::from_secs(1));
        mesh.cut(Cut::Between(0, 1));
        if is_down {
            mesh.address_down(1);
        }
        if restarts {
            mesh.restart(1);
        }
        mesh.settle();
        assert!(mesh.entries(1) > 0);
        let address = mesh.address(1);
        if restarts {
            // It was destroyed just before the end: there is no key of it any more.
            mesh.node_mut(1).streams.forget_all_but(&BTreeSet::from([address]));
            assert!(mesh.node(1).streams.status().sending > 0, "nothing goes that is somebody's");
            mesh.node_mut(1).streams.forget_all_but(&BTreeSet::new());
        } else {
            mesh.node_mut(1).streams.forget_address(&address);
        }
        mesh.settle();
        assert!(mesh.has_failed(1, &sent), "its client hears so");
        assert!(restarts || mesh.has_failed(1, &opened), "and so does one that was writing");
        assert_eq!((mesh.entries(1), mesh.records(1)), (0, 0));
        assert_eq!(mesh.node(1).streams.list().count(), 0);
        assert!(mesh.node(1).streams.finished.is_empty() && mesh.node(1).streams.asleep.is_empty());
        mesh.run_for(MINUTE);
    }
}
