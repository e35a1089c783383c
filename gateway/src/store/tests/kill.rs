// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a process acknowledged is there after `kill -9`: this program again, which runs the case that is ignored here.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;

/// Where the process is to store.
const DIR: &str = "IRDEST_TEST_STORE";

/// Says the number of each batch once it is durable, for as long as it lives.
#[test]
#[ignore = "a process for the test below"]
fn commits_until_killed() {
    let dir = std::env::var_os(DIR).unwrap();
    let store = open(Path::new(&dir));
    let first = u32::try_from(store.scan(Table::Blocks, Key::EMPTY).count()).unwrap() / 4;
    for number in first.. {
        store.commit(&stream(1, 4 * number..4 * number + 4)).unwrap();
        println!("\nstored {number}");
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut chance = Chance(1);
    let mut known = 0;
    for round in 0..irdest_lab::repetitions(4, 40) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["store::tests::kill::commits_until_killed", "--exact", "--ignored", "--nocapture"]);
        let mut child = command.env(DIR, dir.path()).stdout(Stdio::piped()).spawn().unwrap();
        let mut acknowledged = BufReader::new(child.stdout.take().unwrap()).lines().filter_map(|line| {
            let number: u32 = line.unwrap().strip_prefix("stored ")?.parse().unwrap();
            Some(number)
        });
        let mut last = acknowledged.nth(chance.below(12)).unwrap();
        // Somewhere in the next commit, as a rule.
        std::thread::sleep(Duration::from_micros(chance.next() % 3000));
        child.kill().unwrap();
        child.wait().unwrap();
        last = acknowledged.last().unwrap_or(last);

        let store = open(dir.path());
        let blocks =
            u32::try_from(store.scan(Table::Blocks, Key::EMPTY).map(Result::unwrap).count()).unwrap();
        assert_eq!(blocks % 4, 0, "round {round}: a batch is half there");
        assert!(blocks / 4 > last && blocks > known, "round {round}: {blocks} blocks, {last} acknowledged");
        for (key, value) in store.scan(Table::Blocks, Key::EMPTY).map(Result::unwrap) {
            let block = u32::from_be_bytes(*key.as_bytes().last_chunk().unwrap());
            assert_eq!(value, noise(u64::from(block), BLOCK), "round {round}");
        }
        assert_eq!(store.begun_anew(), 0);
        known = blocks;
    }
}
