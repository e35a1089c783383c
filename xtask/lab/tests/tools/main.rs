// SPDX-License-Identifier: AGPL-3.0-or-later
//! The programs of clients over three routers: what people do with them.
#![allow(clippy::unwrap_used, reason = "helpers of tests end tests, too")]

mod asking;
mod terminal;
mod user;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use irdest_lab::{ThreeRouters, TimeLimit, repetitions, same_content};
use terminal::Drawn;
use user::User;

/// Exit codes that the tools' help tells of.
const USAGE: i32 = 2;
const NO_ROUTER: i32 = 3;
const NOT_ALLOWED: i32 = 4;
const REFUSED: i32 = 6;

fn running(seconds: u64, extra: &str) -> ThreeRouters {
    ThreeRouters::running(TimeLimit::within(Duration::from_secs(seconds)), extra).unwrap()
}

#[test]
fn a_pipe_a_file_and_three_recipients() {
    let routers = running(120, "");
    let [alice, bob, carol] = [("alice", &routers.a), ("bob", &routers.b), ("carol", &routers.r)]
        .map(|(name, at)| User::new(at, name));
    alice.pipe(b"hello\n", &["-a", &bob.address]);
    assert_eq!(bob.done("ratcat", &["recv"]), b"hello\n");
    let film = routers.a.random_file("film.mkv", 3_000_000).unwrap();
    alice.done("ratcat", &["send", "--wait", "delivered", "-a", &bob.address, film.to_str().unwrap()]);
    bob.done("ratcat", &["recv", "-d", "."]);
    assert!(same_content(&bob.file("film.mkv"), &film).unwrap());
    // Under its name already: not written over.
    alice.done("ratcat", &["send", "-a", &bob.address, film.to_str().unwrap()]);
    bob.done("ratcat", &["recv", "-d", "."]);
    assert_eq!(fs::read_dir(&bob.home).unwrap().filter(|entry| is_film(entry.as_ref().unwrap())).count(), 2);

    let all = [&alice, &bob, &carol].map(|user| user.address.as_str()).join(",");
    for count in 1..=3 {
        alice.pipe(format!("letter {count}\n").as_bytes(), &["-a", &all]);
    }
    for user in [&alice, &bob, &carol] {
        // Exactly as many as are asked for, in their order.
        assert_eq!(user.done("ratcat", &["recv", "-c", "1"]), b"letter 1\n");
        assert_eq!(user.done("ratcat", &["recv", "-c", "2"]), b"letter 2\nletter 3\n");
        user.has_nothing(&["recv", "--no-wait"]);
    }
}

fn is_film(entry: &fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with("film")
}

#[test]
fn a_namespace_with_subscribers_everywhere() {
    let routers = running(120, "");
    let [alice, bob, carol] = [("alice", &routers.a), ("bob", &routers.b), ("carol", &routers.r)]
        .map(|(name, at)| User::new(at, name));
    // Two on one host: each has its own copy.
    let dave = User::new(&routers.b, "dave");
    alice.done("ratctl", &["space", "create", "-f", "club.key"]);
    let json = alice.says("ratctl", &["space", "list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&json).unwrap();
    let space = find_namespace(&listed).unwrap_or_else(|| panic!("{json}"));
    for user in [&bob, &carol, &dave] {
        fs::copy(alice.file("club.key"), user.file("club.key")).unwrap();
        user.done("ratctl", &["space", "register", "-f", "club.key"]);
        user.done("ratctl", &["space", "up", &space]);
    }
    for number in 1..=2 {
        alice.pipe(format!("post {number}\n").as_bytes(), &["-s", &space]);
    }
    for user in [&alice, &bob, &carol, &dave] {
        assert_eq!(user.done("ratcat", &["recv", "-s", &space, "-c", "2"]), b"post 1\npost 2\n");
        user.has_nothing(&["recv", "-s", &space, "--no-wait"]);
    }
}

#[test]
fn who_of_a_namespace_is_there() {
    let routers = running(120, "");
    let [alice, bob, carol] = [("alice", &routers.a), ("bob", &routers.b), ("carol", &routers.r)]
        .map(|(name, at)| User::new(at, name));
    let (dave, eve) = (User::new(&routers.b, "dave"), User::new(&routers.b, "eve"));
    alice.done("ratctl", &["space", "create", "-f", "club.key"]);
    for user in [&bob, &carol, &dave] {
        fs::copy(alice.file("club.key"), user.file("club.key")).unwrap();
        user.done("ratctl", &["space", "up", "-f", "club.key"]);
    }
    let listed: serde_json::Value =
        serde_json::from_str(&alice.says("ratctl", &["space", "list", "--json"])).unwrap();
    let space = find_namespace(&listed).unwrap();
    let told = |user: &User<'_>| {
        let json = user.says("ratctl", &["space", "anycast", &space, "-t", "1000", "--json"]);
        let told: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        let who = told.iter().map(|one| {
            // Apart from the time that who answers waits before it does.
            assert!(one["after_ms"].as_u64().unwrap() < 200, "{one}");
            one["address"].as_str().unwrap().to_owned()
        });
        who.collect::<Vec<_>>()
    };
    let sorted = |of: &[&User<'_>]| {
        let mut all: Vec<_> = of.iter().map(|user| user.address.clone()).collect();
        all.sort();
        all
    };
    // Whoever has no route to an address yet has no way to answer it.
    let all_answer = |user: &User<'_>, others: &[&User<'_>]| {
        let expected = sorted(others);
        let is_so = || {
            let mut who = told(user);
            who.sort();
            who == expected
        };
        routers.limit().wait_until("all of them answer, and nobody else", is_so).unwrap();
    };
    all_answer(&alice, &[&bob, &carol, &dave]);
    all_answer(&dave, &[&alice, &bob, &carol]);
    dave.done("ratctl", &["space", "down", &space]);
    all_answer(&alice, &[&bob, &carol]);
    let table = alice.says("ratctl", &["space", "anycast", &space]);
    assert!(table.contains(&bob.address) && table.contains(" ms"), "{table}");
    eve.fails(("ratctl", &["space", "anycast", &space]), USAGE, "has not shown the key");
}

/// The first text in it that names a namespace.
fn find_namespace(value: &serde_json::Value) -> Option<String> {
    if let Some(name) = value.get("namespace").and_then(serde_json::Value::as_str) {
        return Some(name.to_owned());
    }
    let of_list = value.as_array().into_iter().flatten();
    let of_fields = value.as_object().into_iter().flat_map(serde_json::Map::values);
    of_list.chain(of_fields).find_map(find_namespace)
}

#[test]
fn what_was_sent_while_subscriber_and_router_were_off_comes_once_and_in_order() {
    let mut routers = running(180, "");
    let mut home = PathBuf::new();
    let mut to = String::new();
    {
        let bob = User::new(&routers.b, "bob");
        bob.done("ratctl", &["stream", "sub"]);
        home.clone_from(&bob.home);
        to.clone_from(&bob.address);
    }
    routers.b.kill().unwrap();
    let alice = User::new(&routers.a, "alice");
    for number in 1..=3 {
        alice.pipe(format!("letter {number}\n").as_bytes(), &["--wait", "accepted", "-a", &to]);
    }
    drop(alice);
    routers.b.start().unwrap();
    let bob = User { gateway: &routers.b, home, address: to };
    let id = bob.says("ratctl", &["stream", "subs"]);
    let mut resub = bob.begin("ratctl", &["stream", "resub", &id]);
    let mut come = Vec::new();
    let mut output = resub.stdout.take().unwrap();
    while !come.ends_with(b"letter 3\n") {
        let mut piece = [0; 256];
        let read = std::io::Read::read(&mut output, &mut piece).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&come));
        come.extend_from_slice(&piece[..read]);
    }
    assert_eq!(String::from_utf8(come).unwrap(), "letter 1\nletter 2\nletter 3\n");
    resub.kill().unwrap();
    resub.wait().unwrap();
    routers.b.wait_for_streams("all were taken", |streams| streams.journal_bytes == 0).unwrap();
    bob.has_nothing(&["recv", "--no-wait"]);
}

#[test]
fn a_transfer_that_was_cut_off_goes_on_and_memory_stays_flat() {
    let size = u64::from(repetitions(48, 1024)) << 20;
    let routers = running(u64::from(repetitions(120, 3600)), "[streams]\nquota = 4294967296\n");
    let (alice, bob) = (User::new(&routers.a, "alice"), User::new(&routers.b, "bob"));
    for gateway in [&routers.a, &routers.r, &routers.b] {
        gateway.forget_peak_memory().unwrap();
    }
    let file = routers.a.random_file("large", size).unwrap();
    let arguments = ["--wait", "delivered", "-a", &bob.address, "--resume"];
    // Cut off in the middle of it.
    let mut sender = alice.begin("ratcat", &[&["send"], &arguments[..], &[file.to_str().unwrap()]].concat());
    routers.a.wait_for_streams("some of it is here", |streams| streams.journal_bytes > size / 8).unwrap();
    sender.kill().unwrap();
    sender.wait().unwrap();
    let again = [&["send"], &arguments[..], &[file.to_str().unwrap()]].concat();
    let drawn = Drawn::by(alice.command("ratcat", &again));
    assert!(drawn.status.success(), "{}", drawn.text());
    // Not from its beginning, and to its end.
    let shown = drawn.percentages("to the router");
    assert!(shown.is_sorted() && shown[0] >= 10 && shown.len() > 2, "{}", drawn.text());
    assert!(drawn.is_tidy() && drawn.text().contains("delivered"), "{}", drawn.text());
    bob.done("ratcat", &["recv", "-O", "large"]);
    assert!(same_content(&bob.file("large"), &file).unwrap());
    for gateway in [&routers.a, &routers.r, &routers.b] {
        let peak = gateway.peak_memory().unwrap();
        assert!(peak < 96 << 20, "{}: {peak} bytes", gateway.node().name());
    }
    bob.has_nothing(&["recv", "--no-wait"]);
}

#[test]
fn each_failure_has_its_exit_code_and_says_what_to_do() {
    let mut routers = running(120, "");
    let home;
    {
        let (alice, bob) = (User::new(&routers.a, "alice"), User::new(&routers.b, "bob"));
        bob.done("ratctl", &["filter", "add", "deny", "--from", "strangers"]);
        fs::write(alice.file("letter"), "to a stranger").unwrap();
        alice.fails(("ratcat", &["send", "-a", &bob.address, "letter"]), REFUSED, "");
        // Known by then, and the operator says so on the unix socket of its host.
        let socket = format!("unix:{}", routers.b.node().directory().join("clients.sock").display());
        bob.done("ratctl", &["-b", &socket, "contact", "add", "alice", &alice.address]);
        alice.done("ratcat", &["send", "--wait", "delivered", "-a", &bob.address, "letter"]);
        assert_eq!(bob.done("ratcat", &["recv"]), b"to a stranger");
        bob.fails(("ratctl", &["contact", "list"]), NOT_ALLOWED, "");
        let identity = bob.file(".config/irdest/identity");
        let wrong = fs::read_to_string(&identity).unwrap();
        let (kept, token) = wrong.split_once("auth=").unwrap();
        let other = if token.starts_with('a') { "b" } else { "a" };
        fs::write(&identity, format!("{kept}auth={other}{}", &token[1..])).unwrap();
        bob.fails(("ratcat", &["recv", "--no-wait"]), NOT_ALLOWED, "");
        fs::remove_file(&identity).unwrap();
        bob.fails(("ratcat", &["recv", "--no-wait"]), 1, "ratctl address create");
        home = alice.home;
    }
    routers.a.stop().unwrap();
    let alice = User { gateway: &routers.a, home, address: String::new() };
    alice.fails(("ratcat", &["recv", "--no-wait"]), NO_ROUTER, "");
}
