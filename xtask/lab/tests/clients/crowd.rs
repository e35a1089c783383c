// SPDX-License-Identifier: AGPL-3.0-or-later
//! Many clients at once on one router: those that behave are all served, and the others harm nobody.

use std::time::Duration;

use irdest_lab::{Gateway, GatewayConfig, Lab, TimeLimit};
use serde_json::Value;

use crate::client;

/// At once, each sending and receiving.
const CLIENTS: &str = "200";
const STREAMS_OF_EACH: &str = "3";

/// What a daemon may have resident at most: 96 MiB as with any streams (tests/streams.rs), 32 KiB for each of 256 connections, and two
/// pieces of 64 KiB on the way to each of them.
const MOST_MEMORY: u64 = (96 << 20) + 256 * ((32 << 10) + 2 * (64 << 10));

/// How long a question, a stream of 64 KiB sent and the same received may take somebody who behaves: a few commits of a journal that
/// others use too, on a machine that does other things.
const LONGEST_TURN: f64 = 3.0;

/// A router alone; every limit is that of the daemon.
fn running() -> (Gateway, Lab) {
    let lab = Lab::create(TimeLimit::within(Duration::from_secs(60))).unwrap();
    let mut gateway = Gateway::prepare(lab.node("a").unwrap(), &GatewayConfig::default()).unwrap();
    gateway.start().unwrap();
    // What opens an identity takes 64 MiB.
    gateway.forget_peak_memory().unwrap();
    (gateway, lab)
}

fn crowd(gateway: &Gateway, arguments: &[&str]) -> Value {
    let told = client::crowd(gateway, arguments);
    let peak = gateway.peak_memory().unwrap();
    println!("{told}; the router had {} MiB at most", peak >> 20);
    assert!(peak < MOST_MEMORY, "{peak} bytes");
    told
}

#[track_caller]
fn assert_turns(told: &Value, beside: &[&str]) {
    for what in beside {
        let longest = told[*what].as_f64().unwrap();
        assert!(longest < LONGEST_TURN, "{what}: {longest} s");
    }
}

#[test]
fn two_hundred_clients_send_and_receive_at_once() {
    let (gateway, _lab) = running();
    // It fails by itself where one stream is lost or comes twice.
    let told = crowd(&gateway, &["crowd", CLIENTS, STREAMS_OF_EACH]);
    assert_eq!(told["streams"], 600);
}

#[test]
fn those_who_do_not_behave_harm_nobody_else() {
    let (gateway, _lab) = running();
    let socket = gateway.node().directory().join("clients.sock").display().to_string();
    let told = crowd(&gateway, &["hostile", &socket]);
    assert_turns(
        &told,
        &[
            "alone",
            "beside slow readers",
            "beside half-open connections",
            "in a flood",
            "with every place taken",
            "over the unix socket meanwhile",
            "afterwards",
        ],
    );
    assert_eq!(told["refused"], "Internal", "it is told, not cut off");
    let places = told["places"].as_u64().unwrap();
    assert!((240..=256).contains(&places), "{told}");
}

#[test]
fn senders_that_send_nothing_keep_no_other_user_from_it() {
    let (gateway, _lab) = running();
    let socket = gateway.node().directory().join("clients.sock");
    let told = crowd(&gateway, &["idle_senders", socket.to_str().unwrap()]);
    assert_turns(&told, &["alone", "beside idle senders"]);
}
