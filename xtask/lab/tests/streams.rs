// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams: messages of any size arrive whole and once, now or later.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests end and report tests, too")]

use std::path::Path;
use std::time::{Duration, Instant};

use irdest_lab::StreamNews::{Delivered, Stored};
use irdest_lab::{
    Dials, Gateway, StreamSender, Streams, TakenStream, ThreeRouters, TimeLimit, repetitions, same_content,
};

/// On both sides of what changes how contents are sent: none, the block sizes, what a manifest takes inline.
const SIZES: [u64; 13] =
    [0, 1, 63, 64, 65, 255, 256, 1 << 10, (28 << 10) - 1, 28 << 10, (28 << 10) + 1, 1 << 20, (1 << 20) + 1];

/// What a daemon may have resident at most, however much it sends, relays or receives.
const MOST_MEMORY: u64 = 96 << 20;

/// Enough for two streams of the long run with their trees, in each journal.
const QUOTA: &str = "[streams]\nquota = 4294967296\n";

fn running(seconds: u64, extra: &str) -> ThreeRouters {
    ThreeRouters::running(TimeLimit::within(Duration::from_secs(seconds)), extra).unwrap()
}

fn take(gateway: &Gateway) -> TakenStream {
    gateway.take_stream(true).unwrap().unwrap()
}

#[track_caller]
fn assert_taken(taken: &TakenStream, from: &Gateway, sender: &StreamSender, content: &Path) {
    assert_eq!((&taken.from, &taken.stream), (&from.identity().address, &sender.stream().unwrap()));
    assert!(same_content(&taken.file, content).unwrap(), "what came is not what was sent");
}

/// Nothing is left of any stream anywhere, so nothing can come any more.
fn assert_over(routers: &ThreeRouters) {
    for gateway in [&routers.a, &routers.r, &routers.b] {
        gateway
            .wait_for_streams("none is left", |Streams { sending, receiving, carried, .. }| {
                (sending, receiving, carried) == (0, 0, 0)
            })
            .unwrap();
    }
    assert!(routers.b.take_stream(false).unwrap().is_none(), "delivered twice");
}

#[test]
fn streams_of_every_size_cross_r_both_ways() {
    let routers = running(120, "");
    for (from, to) in [(&routers.a, &routers.b), (&routers.b, &routers.a)] {
        for size in SIZES {
            let file = from.random_file("content", size).unwrap();
            let mut sender = from.send_stream(to, &file, "delivered").unwrap();
            assert_taken(&take(to), from, &sender, &file);
            sender.wait_for(&Delivered).unwrap();
        }
        assert!(to.take_stream(false).unwrap().is_none(), "delivered twice");
    }
    assert_over(&routers);
}

#[test]
fn two_streams_at_once_need_little_memory() {
    let size = u64::from(repetitions(64, 1024)) << 20;
    let routers = running(u64::from(repetitions(120, 3600)), QUOTA);
    // What opens an identity takes 64 MiB.
    for gateway in [&routers.a, &routers.r, &routers.b] {
        gateway.forget_peak_memory().unwrap();
    }
    let files = ["one", "other"].map(|name| routers.a.random_file(name, size).unwrap());
    let began = Instant::now();
    let mut senders =
        files.each_ref().map(|file| routers.a.send_stream(&routers.b, file, "delivered").unwrap());
    senders.iter_mut().for_each(|sender| sender.wait_for(&Delivered).unwrap());
    println!("2 times {} MiB delivered after {:.1} s", size >> 20, began.elapsed().as_secs_f32());
    for _ in 0..2 {
        let taken = take(&routers.b);
        let sent =
            senders.iter().zip(&files).find(|(sender, _)| sender.stream().as_ref() == Some(&taken.stream));
        let (sender, file) = sent.expect("one of the two");
        assert_taken(&taken, &routers.a, sender, file);
    }
    assert_over(&routers);
    for gateway in [&routers.a, &routers.r, &routers.b] {
        let (name, peak) = (gateway.node().name(), gateway.peak_memory().unwrap());
        println!("{name} had {} MiB at most", peak >> 20);
        assert!(peak < MOST_MEMORY, "{name}: {peak} bytes");
    }
}

/// Refused where half of it is the most that is taken.
const LARGE: u64 = 16 << 20;

#[test]
fn what_a_recipient_refuses_is_neither_sent_nor_carried() {
    let limit = LARGE / 2;
    let routers = running(60, &format!("[streams]\nnotice_above = {limit}\nlargest = {limit}\n"));
    for size in [LARGE, limit + 1] {
        let file = routers.a.random_file("content", size).unwrap();
        let mut sender = routers.a.send_stream(&routers.b, &file, "delivered").unwrap();
        let error = sender.wait_for(&Delivered).unwrap_err().to_string();
        assert!(error.contains("denied: "), "{error}");
    }
    let file = routers.a.random_file("content", limit).unwrap();
    let mut sender = routers.a.send_stream(&routers.b, &file, "delivered").unwrap();
    sender.wait_for(&Delivered).unwrap();
    take(&routers.b);
    assert_over(&routers);
    routers.r.wait_for_streams("no block", |streams| streams.journal_bytes == 0).unwrap();
}

/// Stops B, and waits until the others know it.
fn without_b(routers: &mut ThreeRouters) {
    routers.b.stop().unwrap();
    let (a, r, b) = (&routers.a, &routers.r, &routers.b.identity().address);
    let gone = |gateway: &Gateway| Ok::<_, anyhow::Error>(gateway.status()?.next_hop(b).is_none());
    routers.limit().wait_for("B to be gone", || Ok((gone(a)? && gone(r)?).then_some(()))).unwrap();
}

#[test]
fn what_r_stored_arrives_without_its_sender() {
    let mut routers = running(120, "");
    for size in [1, 1 << 20] {
        without_b(&mut routers);
        let file = routers.a.random_file("content", size).unwrap();
        let mut sender = routers.a.send_stream(&routers.b, &file, "stored").unwrap();
        sender.wait_for(&Stored).unwrap();
        routers.a.stop().unwrap();
        routers.b.start().unwrap();
        assert_taken(&take(&routers.b), &routers.a, &sender, &file);
        routers.a.start().unwrap();
        assert_over(&routers);
    }
}

/// Stops B once R has a route to it, and waits until R knows.
fn r_meets_b(routers: &mut ThreeRouters) {
    routers.b.start().unwrap();
    let b = routers.b.identity().address.clone();
    let wait = |routers: &ThreeRouters, is_there: bool| {
        let holds = || Ok((routers.r.status()?.next_hop(&b).is_some() == is_there).then_some(()));
        routers.limit().wait_for("R to know of B", holds).unwrap();
    };
    wait(routers, true);
    routers.b.stop().unwrap();
    wait(routers, false);
}

/// A sends while B is off, and ends once somebody answers for it; then B comes.
fn is_carried(routers: &mut ThreeRouters) {
    let file = routers.a.random_file("content", 300_000).unwrap();
    let mut sender = routers.a.send_stream(&routers.b, &file, "stored").unwrap();
    sender.wait_for(&Stored).unwrap();
    routers.a.stop().unwrap();
    routers.b.start().unwrap();
    assert_taken(&take(&routers.b), &routers.a, &sender, &file);
}

#[test]
fn who_met_the_recipient_once_takes_along_what_others_have_for_it() {
    let mut routers =
        ThreeRouters::prepare(TimeLimit::within(Duration::from_secs(120)), Dials::Edges).unwrap();
    routers.r.start().unwrap();
    r_meets_b(&mut routers);
    // A hears of B for the first time, and only that R knew it.
    routers.a.start().unwrap();
    is_carried(&mut routers);
}

#[test]
fn who_was_nearer_is_known_after_all_have_been_off() {
    let mut routers = running(120, "");
    without_b(&mut routers);
    routers.a.stop().unwrap();
    routers.r.stop().unwrap();
    routers.r.start().unwrap();
    routers.a.start().unwrap();
    is_carried(&mut routers);
}
