// SPDX-License-Identifier: AGPL-3.0-or-later
//! Disks that take nothing for a while: what was removed meanwhile does not come back.

use super::*;

#[test]
fn what_was_taken_while_the_disk_was_full_is_not_given_out_again() {
    for minutes in [1, 30] {
        let mut mesh = Mesh::line(2);
        let key = mesh.send(0, 1, &content(100_000));
        mesh.run_until(MINUTE, |mesh| mesh.received(1) == 1);
        mesh.settle();
        mesh.node_mut(1).disk_fails = true;
        let now = mesh.now();
        mesh.node_mut(1).streams.taken(&key, now);
        mesh.run_until(MINUTE, |mesh| mesh.is_taken(1, &key) == Some(false));
        // Others go on trying.
        for _ in 0..minutes {
            mesh.send(0, 1, &content(10_000));
            mesh.run_for(MINUTE);
        }
        assert!(mesh.entries(1) > 0);
        let owed = mesh.node(1).streams.status().removals_owed;
        assert!(owed < 10_000, "{owed} of {minutes} minutes");
        mesh.node_mut(1).disk_fails = false;
        // Whatever was sent meanwhile is delivered, and it is the only thing that is there.
        mesh.run_until(20 * MINUTE, |mesh| mesh.received(1) == 1 + minutes);
        mesh.run_until(MINUTE, |mesh| mesh.node(1).streams.status().removals_owed == 0);
        mesh.settle();
        let here = mesh.records(1);
        mesh.restart(1);
        assert_eq!((mesh.node(1).streams.arrivals().count(), mesh.records(1)), (minutes, here));
        assert_eq!(here, minutes + 1, "and that the first was taken");
    }
}

#[test]
fn what_expires_and_is_delivered_while_the_disk_is_full_goes_when_it_is_not() {
    let mut mesh = Mesh::line(3);
    let delivered = mesh.send(0, 2, &content(200_000));
    mesh.run_until(MINUTE, |mesh| mesh.is_accepted(0, &delivered));
    mesh.node_mut(0).disk_fails = true;
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &delivered) == Some(Ended::Delivered));
    mesh.node_mut(0).disk_fails = false;
    mesh.cut(Cut::Between(1, 2));
    let carried = mesh.send(0, 2, &content(200_000));
    mesh.run_until(MINUTE, |mesh| mesh.is_stored(0, &carried));
    mesh.settle();
    assert!(mesh.entries(1) > 0);
    mesh.node_mut(1).disk_fails = true;
    mesh.run_for(mesh::LIFETIME + MINUTE);
    assert!(mesh.entries(1) > 0);
    mesh.node_mut(1).disk_fails = false;
    mesh.run_for(MINUTE);
    mesh.settle();
    for index in [0, 1] {
        assert_eq!((mesh.entries(index), mesh.records(index)), (0, 0), "without any other traffic");
        mesh.restart(index);
        assert_eq!(mesh.node(index).streams.list().count(), 0);
    }
}
