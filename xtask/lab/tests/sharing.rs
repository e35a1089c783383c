// SPDX-License-Identifier: AGPL-3.0-or-later
//! Shared files: stored once with their sender, fetched by whoever was told of them.
#![allow(clippy::unwrap_used, reason = "helpers of tests end tests, too")]

use std::path::Path;
use std::time::Duration;

use irdest_lab::{Gateway, TakenStream, ThreeRouters, TimeLimit, same_content};

/// What is shared.
const SIZE: u64 = 20 << 20;

/// What A's link carries: the file takes some ten seconds for both who fetch it.
const MBIT_PER_SECOND: u32 = 40;

fn running() -> ThreeRouters {
    ThreeRouters::running(TimeLimit::within(Duration::from_secs(180)), "").unwrap()
}

#[track_caller]
fn assert_fetched(taken: &TakenStream, from: &Gateway, file: &Path) {
    assert_eq!(taken.from, from.identity().address);
    assert!(same_content(&taken.file, file).unwrap(), "what came is not what was shared");
}

#[test]
fn what_is_shared_reaches_all_who_heard_of_it_although_its_sender_is_killed_meanwhile() {
    let mut routers = running();
    let (key, namespace) = routers.a.new_namespace().unwrap();
    // B subscribes before anything is there.
    assert!(routers.b.take_published(&key, false).unwrap().is_none());
    routers.a.node().shape("to-r", MBIT_PER_SECOND).unwrap();
    let file = routers.a.random_file("shared", SIZE).unwrap();
    let urn = routers.a.share_file(&file, &[]).unwrap();
    routers
        .a
        .wait_for_streams("it is stored", |streams| (SIZE..2 * SIZE).contains(&streams.journal_bytes))
        .unwrap();
    let stored = routers.a.status().unwrap().streams().journal_bytes;

    routers.a.announce_file(&urn, &[&routers.b.identity().address, &namespace]).unwrap();
    routers
        .b
        .wait_for_streams("a part is here", |streams| {
            streams.receiving == 2 && streams.journal_bytes > SIZE / 4
        })
        .unwrap();
    routers.a.kill().unwrap();
    let part = routers.b.status().unwrap().streams();
    assert!(part.journal_bytes < 2 * SIZE && part.receiving == 2, "it was in the middle: {part:?}");
    routers.a.start().unwrap();
    assert_fetched(&routers.b.take_stream(true).unwrap().unwrap(), &routers.a, &file);
    assert_fetched(&routers.b.take_published(&key, true).unwrap().unwrap(), &routers.a, &file);

    // Once more to somebody else, and stored no second time.
    routers.a.announce_file(&urn, &[&routers.r.identity().address]).unwrap();
    assert_fetched(&routers.r.take_stream(true).unwrap().unwrap(), &routers.a, &file);
    let now = routers.a.status().unwrap().streams();
    assert!(now.journal_bytes < stored + (1 << 20), "{stored} bytes before, {now:?}");
    routers.a.take_down_file(&urn).unwrap();
    routers.a.wait_for_streams("nothing is left", |streams| streams.journal_bytes < 1 << 20).unwrap();
    assert!(routers.b.take_stream(false).unwrap().is_none(), "one copy each");
    assert!(routers.b.take_published(&key, false).unwrap().is_none(), "one copy each");
}
