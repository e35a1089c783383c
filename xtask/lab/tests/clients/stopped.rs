// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is sent to a subscriber while it is not there comes once, and in order, when it is there again.

use crate::client::{Client, come, text};
use crate::protocol::{assert_come, random_files, running};

/// Messages: each is whole as soon as anything of it has come, so the order of arrival is that in which they were sent.
const THREE: [u64; 3] = [200, 5, 0];

#[test]
fn a_subscriber_that_was_killed_gets_what_it_missed_once_and_in_order() {
    let mut routers = running();
    let (alice, bob) = (Client::create(&routers.a, "alice"), Client::create(&routers.b, "bob"));
    let before = random_files(&routers.a, "before", &[77]);
    let mut waiting = bob.spawn(&routers.b, "subscribe", &["--stay", "--into", "before"]);
    let id = text(&waiting.line(1), "subscription");
    alice.send(&routers.a, &[], &[&bob.address], &before);
    waiting.line(2);
    assert_come(&come(&waiting.said()), &alice, &bob.address, &before);

    // That it was taken has to be durable: who is killed before brings it again.
    routers.b.wait_for_streams("none is left", |s| (s.receiving, s.journal_bytes) == (0, 0)).unwrap();
    // And its sender has to know: R would go on to carry it.
    routers.a.wait_for_streams("it is delivered", |streams| streams.sending == 0).unwrap();
    routers.r.wait_for_streams("nothing is carried", |streams| streams.carried == 0).unwrap();

    // Killed, both of them; R has the three when their sender goes.
    drop(waiting);
    routers.b.kill().unwrap();
    let three = random_files(&routers.a, "three", &THREE);
    alice.send(&routers.a, &[], &[&bob.address], &three);
    routers.r.wait_for_streams("three are carried", |streams| streams.carried == 3).unwrap();
    routers.a.stop().unwrap();
    routers.b.start().unwrap();
    bob.run(&routers.b, "up", &[]);
    let again = ["--id", &id, "--limit", "3", "--stay", "--into", "three"];
    let mut waiting = bob.spawn(&routers.b, "subscribe", &again);
    waiting.line(4);
    assert_come(&come(&waiting.said()), &alice, &bob.address, &three);

    // The subscriber alone.
    drop(waiting);
    routers.a.start().unwrap();
    alice.run(&routers.a, "up", &[]);
    alice.send(&routers.a, &[], &[&bob.address], &three);
    let again = ["--id", &id, "--limit", "4", "--stay", "--into", "again"];
    let mut waiting = bob.spawn(&routers.b, "subscribe", &again);
    waiting.line(4);
    // What is sent last comes last: nothing came twice before.
    alice.send(&routers.a, &[], &[&bob.address], &before);
    waiting.line(5);
    assert_come(&come(&waiting.said()), &alice, &bob.address, &[&three[..], &before[..]].concat());
}
