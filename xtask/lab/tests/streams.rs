// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams: messages of any size arrive whole and once, now or later, whoever fails in between.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests end and report tests, too")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use irdest_lab::StreamNews::{Delivered, Stored};
use irdest_lab::{
    Dials, Gateway, StreamSender, Streams, TakenStream, ThreeRouters, TimeLimit, random_file, repetitions,
    same_content,
};

/// On both sides of what changes how contents are sent: none, the block sizes, what a manifest takes inline.
const SIZES: [u64; 13] =
    [0, 1, 63, 64, 65, 255, 256, 1 << 10, (28 << 10) - 1, 28 << 10, (28 << 10) + 1, 1 << 20, (1 << 20) + 1];

/// What a daemon may have resident at most, however much it sends, relays or receives.
const MOST_MEMORY: u64 = 96 << 20;

/// Enough for two streams of the long run with their trees, in each journal.
const QUOTA: &str = "[streams]\nquota = 4294967296\n";

fn running(seconds: u64, extra: &str) -> ThreeRouters {
    let limit = TimeLimit::within(Duration::from_secs(seconds));
    let mut routers = ThreeRouters::prepare_with_extra(limit, Dials::Edges, extra).unwrap();
    routers.start().unwrap();
    routers.wait_for_routes().unwrap();
    routers
}

/// A file on a node that has what is to be sent.
fn content(gateway: &Gateway, name: &str, size: u64) -> PathBuf {
    let file = gateway.node().directory().join(name);
    random_file(&file, size).unwrap();
    file
}

fn wait_for_streams(gateway: &Gateway, what: &str, holds: impl Fn(Streams) -> bool) {
    let what = format!("streams of node {}: {what}", gateway.node().name());
    let looks = || Ok(holds(gateway.status()?.streams()).then_some(()));
    gateway.node().limit().wait_for(&what, looks).unwrap();
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
        wait_for_streams(gateway, "none is left", |Streams { sending, receiving, carried, .. }| {
            (sending, receiving, carried) == (0, 0, 0)
        });
    }
    assert!(routers.b.take_stream(false).unwrap().is_none(), "delivered twice");
}

#[test]
fn streams_of_every_size_cross_r_both_ways() {
    let routers = running(120, "");
    for (from, to) in [(&routers.a, &routers.b), (&routers.b, &routers.a)] {
        for size in SIZES {
            let file = content(from, "content", size);
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
    let files = ["one", "other"].map(|name| content(&routers.a, name, size));
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

#[test]
fn what_a_recipient_refuses_is_neither_sent_nor_carried() {
    let limit = LARGE / 2;
    let routers = running(60, &format!("[streams]\nnotice_above = {limit}\nlargest = {limit}\n"));
    for size in [LARGE, limit + 1] {
        let file = content(&routers.a, "content", size);
        let mut sender = routers.a.send_stream(&routers.b, &file, "delivered").unwrap();
        let error = sender.wait_for(&Delivered).unwrap_err().to_string();
        assert!(error.contains("denied: "), "{error}");
    }
    let file = content(&routers.a, "content", limit);
    let mut sender = routers.a.send_stream(&routers.b, &file, "delivered").unwrap();
    sender.wait_for(&Delivered).unwrap();
    take(&routers.b);
    assert_over(&routers);
    wait_for_streams(&routers.r, "no block", |streams| streams.journal_bytes == 0);
}

/// As many bytes as take a while on their way.
const LARGE: u64 = 16 << 20;

/// At how many points of a transfer R is killed, each a part of its first half further: whoever looks, looks late.
fn points() -> u32 {
    repetitions(2, 100)
}

/// Kills R when `at` has a part of the stream in its journal, and starts it again.
fn kill_r_at(routers: &mut ThreeRouters, at: impl Fn(&ThreeRouters) -> &Gateway, point: u32) {
    let part = LARGE / 2 * u64::from(point) / u64::from(points());
    let gateway = at(routers);
    wait_for_streams(gateway, "a part of one", |streams| streams.journal_bytes >= part);
    let has = gateway.status().unwrap().streams().journal_bytes;
    println!("R is killed when {} has {has} of {LARGE} bytes", gateway.node().name());
    routers.r.kill().unwrap();
    routers.r.start_as_ratmand().unwrap();
}

#[test]
fn r_is_killed_while_it_relays() {
    let mut routers = running(u64::from(repetitions(120, 3600)), "");
    for point in 1..=points() {
        let file = content(&routers.a, "content", LARGE);
        let mut sender = routers.a.send_stream(&routers.b, &file, "delivered").unwrap();
        kill_r_at(&mut routers, |routers| &routers.b, point);
        sender.wait_for(&Delivered).unwrap();
        assert_taken(&take(&routers.b), &routers.a, &sender, &file);
        assert_over(&routers);
    }
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
        let file = content(&routers.a, "content", size);
        let mut sender = routers.a.send_stream(&routers.b, &file, "stored").unwrap();
        sender.wait_for(&Stored).unwrap();
        routers.a.stop().unwrap();
        routers.b.start().unwrap();
        assert_taken(&take(&routers.b), &routers.a, &sender, &file);
        routers.a.start().unwrap();
        assert_over(&routers);
    }
}

#[test]
fn r_is_killed_while_it_stores() {
    let mut routers = running(u64::from(repetitions(120, 3600)), "");
    for point in 1..=points() {
        without_b(&mut routers);
        let file = content(&routers.a, "content", LARGE);
        let mut sender = routers.a.send_stream(&routers.b, &file, "stored").unwrap();
        kill_r_at(&mut routers, |routers| &routers.r, point);
        sender.wait_for(&Stored).unwrap();
        // What it said that it has, it has, and nobody else does any more.
        routers.r.kill().unwrap();
        routers.a.stop().unwrap();
        routers.r.start_as_ratmand().unwrap();
        routers.b.start().unwrap();
        assert_taken(&take(&routers.b), &routers.a, &sender, &file);
        routers.a.start().unwrap();
        assert_over(&routers);
    }
}
