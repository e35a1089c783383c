// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams to many: to a namespace, whoever subscribed at whatever time, and to several addresses at once.
#![allow(clippy::unwrap_used, reason = "helpers of tests end tests, too")]

use std::path::Path;
use std::time::Duration;

use irdest_lab::StreamNews::{Delivered, Published};
use irdest_lab::{Gateway, ThreeRouters, TimeLimit, same_content};

fn running() -> ThreeRouters {
    ThreeRouters::running(TimeLimit::within(Duration::from_secs(120)), "").unwrap()
}

fn publish(gateway: &Gateway, namespace: &str, file: &Path) -> String {
    let mut sender = gateway.send_stream_to(&[namespace], file, "delivered").unwrap();
    sender.wait_for(&Published).unwrap();
    sender.stream().unwrap()
}

/// The next stream to the namespace is this one.
#[track_caller]
fn assert_published(to: &Gateway, key: &Path, (from, stream, file): (&str, &str, &Path)) {
    let taken = to.take_published(key, true).unwrap().unwrap();
    assert_eq!((&*taken.from, &*taken.stream), (from, stream), "at {}", to.node().name());
    assert!(same_content(&taken.file, file).unwrap(), "what came is not what was sent");
}

fn wait_until_kept(gateway: &Gateway) {
    let what = format!("frames on {}", gateway.node().name());
    let kept = || Ok((gateway.status()?.streams().flooded > 0).then_some(()));
    gateway.node().limit().wait_for(&what, kept).unwrap();
}

#[test]
fn all_who_subscribed_get_one_copy_each_before_and_after() {
    let routers = running();
    let all = [&routers.a, &routers.r, &routers.b];
    let (key, namespace) = routers.a.new_namespace().unwrap();
    let from = &routers.a.identity().address;
    // First they subscribe to what is there, then they have subscribed.
    for size in [300, 1 << 20] {
        let file = routers.a.random_file("content", size).unwrap();
        let stream = publish(&routers.a, &namespace, &file);
        all.iter().for_each(|gateway| assert_published(gateway, &key, (from, &stream, &file)));
    }
    let file = routers.b.random_file("answer", 0).unwrap();
    let stream = publish(&routers.b, &namespace, &file);
    for gateway in all {
        assert_published(gateway, &key, (&routers.b.identity().address, &stream, &file));
        assert!(gateway.take_published(&key, false).unwrap().is_none(), "one copy each");
        assert!(gateway.take_stream(false).unwrap().is_none(), "nobody sent it to an address");
    }
    let (other, _) = routers.a.new_namespace().unwrap();
    assert!(routers.r.take_published(&other, false).unwrap().is_none());
}

#[test]
fn who_is_off_gets_it_from_a_neighbour_that_kept_it_also_over_restarts() {
    let mut routers = running();
    let (key, namespace) = routers.a.new_namespace().unwrap();
    let from = routers.a.identity().address.clone();
    routers.b.stop().unwrap();
    let file = routers.a.random_file("content", 100_000).unwrap();
    let stream = publish(&routers.a, &namespace, &file);
    wait_until_kept(&routers.r);
    assert_published(&routers.r, &key, (&from, &stream, &file));
    routers.a.stop().unwrap();
    routers.r.kill().unwrap();
    routers.r.start_as_ratmand().unwrap();
    routers.b.start().unwrap();
    assert_published(&routers.b, &key, (&from, &stream, &file));
    assert!(routers.r.take_published(&key, false).unwrap().is_none(), "it has it already");
}

#[test]
fn one_sending_to_three_addresses_makes_three_equal_copies() {
    let routers = running();
    let all = [&routers.a, &routers.r, &routers.b];
    let addresses = all.map(|gateway| &*gateway.identity().address);
    let file = routers.a.random_file("content", 200_000).unwrap();
    let mut sender = routers.a.send_stream_to(&addresses, &file, "delivered").unwrap();
    for gateway in all {
        let taken = gateway.take_stream(true).unwrap().unwrap();
        assert!(same_content(&taken.file, &file).unwrap());
        assert!(gateway.take_stream(false).unwrap().is_none());
    }
    let told = || Ok((sender.news().iter().filter(|news| **news == Delivered).count() == 3).then_some(()));
    routers.limit().wait_for("three deliveries", told).unwrap();
    sender.wait_for(&Delivered).unwrap();
}
