// SPDX-License-Identifier: AGPL-3.0-or-later
//! Everything that a client does, from A over R to B and back.

use std::path::PathBuf;
use std::time::Duration;

use irdest_lab::{Gateway, ThreeRouters, TimeLimit, same_content};
use serde_json::Value;

use crate::client::{Client, Come, come, text};

/// Nothing, what a manifest takes inline, blocks, and more of them than are on their way at once.
const SIZES: [u64; 4] = [0, 1, 64 << 10, 3 << 20];

pub(crate) fn running() -> ThreeRouters {
    ThreeRouters::running(TimeLimit::within(Duration::from_secs(90)), "").unwrap()
}

pub(crate) fn random_files(gateway: &Gateway, name: &str, sizes: &[u64]) -> Vec<PathBuf> {
    let file = |(number, size): (usize, &u64)| gateway.random_file(&format!("{name}-{number}"), *size);
    sizes.iter().enumerate().map(|(number, size)| file((number, size)).unwrap()).collect()
}

/// That these came, in this order, and no others.
#[track_caller]
pub(crate) fn assert_come(come: &[Come], from: &Client, to: &str, files: &[PathBuf]) {
    assert_eq!(come.len(), files.len(), "{come:?}");
    for (come, file) in come.iter().zip(files) {
        assert_eq!((&*come.from, &*come.to), (&*from.address, to));
        assert_eq!(come.size, file.metadata().unwrap().len());
        assert!(same_content(&come.file, file).unwrap(), "what came is not what was sent");
    }
}

#[test]
fn a_client_written_from_the_page_sends_and_receives() {
    let routers = running();
    let (a, b) = (&routers.a, &routers.b);
    let (alice, bob) = (Client::create(a, "alice"), Client::create(b, "bob"));
    let files = random_files(a, "sent", &SIZES);
    // One by one, to somebody who waits already, and is there again for the next.
    for (number, file) in files.iter().enumerate() {
        let mut waiting = bob.spawn(b, "recv", &["--into", &format!("one-{number}")]);
        waiting.line(1);
        alice.send(a, &[], &[&bob.address], std::slice::from_ref(file));
        assert_come(&come(&waiting.end()), &alice, &bob.address, std::slice::from_ref(file));
    }
    // All of them, taken later and not all at once: a limit is exact, and leaves the others where they are.
    let carol = Client::create(b, "carol");
    alice.send(a, &["--many"], &[&bob.address, &carol.address], &files);
    for client in [&bob, &carol] {
        let mut all = Vec::new();
        for limit in ["1", "0", "3"] {
            let into = format!("{}-{limit}", client.address);
            all.extend(come(&client.run(b, "recv", &["--many", "--limit", limit, "--into", &into])));
        }
        // The order is that of arrival, which need not be that of sending.
        all.sort_by_key(|come| come.size);
        assert_come(&all, &alice, &client.address, &files);
    }
    // And back, to the address itself where that is asked for.
    let answer = random_files(b, "sent", &[70_000]);
    bob.send(b, &[], &[&alice.address], &answer);
    let said = alice.run(a, "recv", &["--recipient", &alice.address, "--into", "answer"]);
    assert_come(&come(&said), &bob, &alice.address, &answer);
}

fn looks(client: &Client, gateway: &Gateway) -> Value {
    client.run(gateway, "look", &[]).remove(0)
}

fn names(look: &Value, which: &str) -> Vec<String> {
    serde_json::from_value(look[which].clone()).unwrap()
}

#[test]
fn a_client_written_from_the_page_subscribes_takes_part_and_looks() {
    let routers = running();
    let (a, b) = (&routers.a, &routers.b);
    let (alice, bob) = (Client::create(a, "alice"), Client::create(b, "bob"));
    let files = random_files(a, "sent", &[0, 5, 200_000]);

    let mut waiting = bob.spawn(b, "subscribe", &["--limit", "2", "--into", "first"]);
    let id = text(&waiting.line(1), "subscription");
    assert_eq!(names(&looks(&bob, b), "subscriptions"), std::slice::from_ref(&id));
    alice.send(a, &[], &[&bob.address], &files[..2]);
    let mut both = come(&waiting.end());
    both.sort_by_key(|come| come.size);
    assert_come(&both, &alice, &bob.address, &files[..2]);
    // It is there although nobody is.
    alice.send(a, &[], &[&bob.address], &files[2..]);
    let said = bob.run(b, "subscribe", &["--id", &id, "--into", "second"]);
    assert_eq!(text(&said[0], "subscription"), id);
    assert_come(&come(&said), &alice, &bob.address, &files[2..]);
    bob.run(b, "unsubscribe", &["--id", &id]);
    assert_eq!(bob.objection(b, "unsubscribe", &["--id", &id]), "NoSuchSubscription");
    assert_eq!(bob.objection(b, "subscribe", &["--id", &id]), "NoSuchSubscription");
    assert!(names(&looks(&bob, b), "subscriptions").is_empty());

    // A namespace: its key is known on both sides.
    let seed = b.node().directory().join("seed").display().to_string();
    let namespace = text(&bob.run(b, "join", &["--seed", &seed])[0], "namespace");
    assert_eq!(text(&alice.run(a, "join", &["--seed", &seed])[0], "namespace"), namespace);
    let mut waiting = bob.spawn(b, "recv", &["--recipient", &namespace, "--into", "published"]);
    waiting.line(1);
    alice.send(a, &[], &[&namespace], &files[2..]);
    assert_come(&come(&waiting.end()), &alice, &namespace, &files[2..]);
    bob.run(b, "leave", &["--recipient", &namespace]);
    assert_eq!(bob.objection(b, "recv", &["--recipient", &namespace]), "InvalidInput");

    // What it sees of the router: its own addresses, and those of others.
    let look = routers.limit().wait_for("the address of the other", || {
        let look = looks(&bob, b);
        Ok(names(&look, "peers").contains(&alice.address).then_some(look))
    });
    let look = look.unwrap();
    assert_eq!(names(&look, "addresses"), std::slice::from_ref(&bob.address));
    assert_eq!(look["figures"][1], 1, "{look}");
    assert_eq!(look["figures"][2], 1, "{look}");
    bob.run(b, "down", &[]);
    assert_eq!(looks(&bob, b)["figures"][2], 0);
    assert_eq!(bob.objection(b, "recv", &[]), "InvalidAuth");
    bob.run(b, "up", &[]);
    bob.run(b, "destroy", &[]);
    assert!(names(&looks(&bob, b), "addresses").is_empty());
}

#[test]
fn what_is_wrong_is_answered_and_the_session_goes_on() {
    let routers = running();
    let bob = Client::create(&routers.b, "bob");
    let told = bob.run(&routers.b, "wrong", &[]);
    let told: Vec<_> = told.iter().map(|line| (text(line, "what"), text(line, "told"))).collect();
    let expected = [
        ("up with a wrong token", "InvalidAuth"),
        ("up without a token", "InvalidAuth"),
        ("up of nobody", "Internal"),
        ("recv with a wrong token", "InvalidAuth"),
        ("send with a wrong token", "InvalidAuth"),
        ("send as somebody else", "InvalidAuth"),
        ("sub with a wrong token", "InvalidAuth"),
        ("space with a wrong token", "InvalidAuth"),
        ("send to nobody", "MissingInput"),
        ("a subscription that is none", "NoSuchSubscription"),
        ("a surplus byte after up", "InvalidInput"),
        ("a surplus byte after status", "InvalidInput"),
        ("a surplus byte after recv", "InvalidInput"),
        ("a byte too few", "InvalidInput"),
        ("what nobody knows", "Internal"),
    ];
    assert_eq!(told, expected.map(|(what, told)| (what.to_owned(), told.to_owned())));
}
