// SPDX-License-Identifier: AGPL-3.0-or-later
//! The tools as users run them, against a router that is as a test wants: the examples of `--help`, and what goes wrong.
#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "what fails is the test")]

mod router;
mod user;

use std::fs;

use irdest_tools::examples::{ALL, Example, is_like};
use irdest_tools::{ratcat, ratctl};
use ratman_wire::api::{News, Receive, Request};

use router::{Manner, OURS, Router, THEIRS};
use user::User;

#[test]
fn every_example_does_what_help_says() {
    let mut seen: Vec<&str> = Vec::new();
    for example @ Example { line, shows, .. } in ALL.concat() {
        if seen.contains(&line) {
            continue;
        }
        seen.push(line);
        let router = Router::new(Manner::default());
        let mut user = User::new(router.address);
        // Who makes an identity has none; the others do.
        if !line.contains("address create") || line.contains("-i ") {
            user.settle(OURS);
        }
        let (code, shown) = user.run(line);
        assert_eq!(code, Some(0), "{line}: {shown}");
        assert!(example.is_shown_by(&shown), "{line}\n--- expected\n{shows}\n--- shown\n{shown}");
    }
}

#[test]
fn help_shows_the_examples_of_every_command() {
    let mut texts = Vec::new();
    // Where lines are broken is the width of a terminal.
    let unbroken = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for mut command in [ratcat::command(), ratctl::command()] {
        texts.push(unbroken(command.render_long_help().to_string()));
        command.build();
        let commands = command.get_subcommands_mut();
        texts.extend(commands.map(|command| unbroken(command.render_long_help().to_string())));
    }
    for Example { line, does, .. } in ALL.concat() {
        assert!(texts.iter().any(|text| text.contains(line) && text.contains(does)), "{line}");
    }
}

#[test]
fn each_reason_has_its_exit_code() {
    let with = |news: &[News]| Manner { news: news.to_vec(), ..Manner::default() };
    let send = "echo hello | ratcat send -a ADDRESS";
    let foreign = Manner { token: [8; 32], ..Manner::default() };
    let empty = Manner { streams: 0, ..Manner::default() };
    let stranger = Manner { is_operator: false, ..Manner::default() };
    let cases = [
        (with(&[News::Stored]), send, 0, "ADDRESS: stored by another router until it can be reached"),
        (with(&[News::Denied]), send, 6, "ratcat: ADDRESS: denied: the recipient does not want it"),
        (with(&[News::Refused]), send, 6, "ratcat: ADDRESS: refused: the recipient does not take it"),
        (with(&[News::Expired]), send, 5, "ratcat: ADDRESS: expired: its time passed before it arrived"),
        (with(&[News::Failed]), send, 1, "ratcat: ADDRESS: failed: …"),
        (
            with(&[]),
            "ratcat send -a ADDRESS --wait delivered --timeout 50ms -q film.mkv",
            5,
            "ratcat: ADDRESS: accepted: …\nratcat: not in 50 ms: your router has all of it, and goes on sending",
        ),
        (foreign, send, 4, "ratcat: the token is not that of an address that is up; …"),
        (empty.clone(), "ratcat recv --no-wait", 5, "ratcat: nothing is here; …"),
        (empty, "ratcat recv --timeout 50ms", 5, "ratcat: nothing came in 50 ms"),
        (stranger.clone(), "ratctl contact add ann ADDRESS", 4, "ratctl: not permitted: …sudo…"),
        (stranger, "ratcat send -a ann film.mkv", 4, "ratcat: ann: the names of contacts are for …"),
        (
            Manner::default(),
            "ratctl -b 127.0.0.1:1 status",
            3,
            "ratctl: no router listens on 127.0.0.1:1: …--bind…",
        ),
        (
            Manner::default(),
            "ratcat -b unix:none id -i none",
            1,
            "ratcat: no identity yet (none): make one with …",
        ),
        (
            Manner::default(),
            "ratctl address create",
            1,
            "ratctl: ~/.config/irdest/identity is there already: …",
        ),
        (
            Manner::default(),
            "ratcat recv -O film.mkv",
            1,
            "ratcat: film.mkv is there already, and stays as it is",
        ),
        (Manner::default(), "ratcat recv -O x -c 2", 2, "ratcat: --output is for one stream: …"),
        (Manner::default(), "ratcat send -a ADDRESS .", 2, "ratcat: .: is a folder; …tar…"),
        (
            Manner::default(),
            "ratcat recv > /dev/full",
            1,
            "ratcat: standard output: …; the stream stays with the router",
        ),
        (Manner::default(), "ratctl address list | true", 0, ""),
    ];
    for (manner, line, code, shows) in cases {
        let router = Router::new(manner);
        let mut user = User::new(router.address);
        user.settle(OURS);
        let (exit, shown) = user.run(line);
        assert!(is_like(shows, &shown), "{line}\n--- expected\n{shows}\n--- shown\n{shown}");
        assert_eq!(exit, Some(code), "{line}: {shown}");
        assert_eq!(router.heard().taken, 0, "{line}: what was not written out is not taken");
    }
}

#[test]
fn two_recipients_with_different_fates_are_told_apart() {
    let router = Router::new(Manner { news: vec![News::Denied], ..Manner::default() });
    let mut user = User::new(router.address);
    user.settle(OURS);
    let (exit, shown) = user.run("echo hello | ratcat send --json -a ADDRESS -s NAMESPACE");
    assert_eq!(exit, Some(6));
    let told: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let words = |at: usize| {
        (told["streams"][at]["news"].as_str().unwrap(), told["streams"][at]["ok"].as_bool().unwrap())
    };
    assert_eq!(
        (told["ok"].as_bool(), words(0), words(1)),
        (Some(false), ("denied", false), ("published", true))
    );
    assert_eq!(router.heard().content, b"hello\n");
}

#[test]
fn a_file_is_gone_on_with_where_the_router_was_lost() {
    let content: Vec<u8> = (0..300_000_u32).map(|at| at.to_be_bytes()[2]).collect();
    let mut user = User::new(Router::new(Manner::default()).address);
    user.settle(OURS);
    fs::write(user.home().join("large"), &content).unwrap();
    // In the middle, which its system may hide until all is written; and behind all of it.
    for breaks_after in [100_000, 300_000] {
        let breaking = Router::new(Manner { breaks_after: Some(breaks_after), ..Manner::default() });
        user.goes_to(breaking.address);
        let (exit, shown) = user.run("ratcat send -a ADDRESS large");
        assert_eq!(exit, Some(3), "{shown}");
        assert!(shown.contains("go on with the same command and --resume"), "{shown}");
    }

    let kept = Router::new(Manner { kept: Some(100_000), ..Manner::default() });
    kept.heard().content = content[..100_000].to_vec();
    user.goes_to(kept.address);
    let (exit, shown) = user.run("ratcat send -a ADDRESS --resume large");
    assert_eq!((exit, &*shown), (Some(0), "ADDRESS: delivered\n"));
    assert!(kept.heard().content == content);
    assert!(!kept.heard().requests.iter().any(|request| matches!(request, Request::StreamCreate(_))));

    // It is over, so another run is another stream.
    let (exit, _) = user.run("ratcat send -a ADDRESS --resume large");
    assert_eq!(exit, Some(0));
    assert!(kept.heard().requests.iter().any(|request| matches!(request, Request::StreamCreate(_))));
}

#[test]
fn who_is_interrupted_gives_up_what_a_pipe_sends() {
    let router = Router::new(Manner::default());
    let mut user = User::new(router.address);
    user.settle(OURS);
    let running = user.begin("exec ratcat send -a ADDRESS");
    user.wait_until(|| {
        router.heard().requests.iter().any(|request| matches!(request, Request::StreamCreate(_)))
    });
    let (exit, shown) = running.interrupt();
    assert_eq!((exit, &*shown), (Some(130), "ratcat: given up: the router forgets what it has\n"));
    assert!(matches!(router.heard().requests.last(), Some(Request::Cancel(_) | Request::StreamDestroy(_))));
}

#[test]
fn a_part_of_a_file_is_gone_on_with() {
    let stalling = Router::new(Manner { stalls: true, ..Manner::default() });
    let mut user = User::new(stalling.address);
    user.settle(OURS);
    let running = user.begin("exec ratcat recv -O copy");
    let part = user.home().join(format!(".ratcat-{}.part", "3f".repeat(16)));
    user.wait_until(|| fs::read(&part).is_ok_and(|content| content == b"hel"));
    let (exit, shown) = running.interrupt();
    assert_eq!(exit, Some(130));
    assert!(
        is_like("ratcat: what came is in ./.ratcat-….part: the same command goes on with it", &shown),
        "{shown}"
    );
    assert!(!user.home().join("copy").exists());
    assert_eq!(stalling.heard().taken, 0);
}

#[test]
fn what_is_asked_for_is_what_was_said() {
    let router = Router::new(Manner::default());
    let mut user = User::new(router.address);
    user.settle(OURS);
    let (exit, shown) = user.run("ratcat recv ADDRESS -c 2 -q -s namespace:NAMESPACE");
    assert_eq!((exit, &*shown), (Some(0), "hello\nhello\n"));
    let heard = router.heard();
    let asked = heard.requests.iter().find_map(|request| match request {
        Request::StreamReceive(Receive { from, to, limit, wait, .. }) => Some((*from, *to, *limit, *wait)),
        _ => None,
    });
    let (from, to, limit, wait) = asked.unwrap();
    assert_eq!((from, limit.map(|limit| limit.get()), wait), (Some(THEIRS), Some(2), true));
    assert_eq!(to, Some(ratman_wire::api::Recipient::Namespace(router::SPACE)));
    assert_eq!(heard.taken, 2);
}

#[test]
fn an_identity_under_a_passphrase_is_made_and_used() {
    let router = Router::new(Manner::default());
    let user = User::new(router.address);
    user.write_private("passphrase", "correct horse\n");
    user.write_private("other", "battery\n");
    let made = user.run("ratctl address create -q --with-passphrase --passphrase-file passphrase");
    assert_eq!(made, (Some(0), "YOURS\n".to_owned()));
    assert_eq!(user.run("ratcat id"), (Some(0), "YOURS\n".to_owned()), "that is no secret");
    assert_eq!(user.run("ratcat recv -q --passphrase-file passphrase"), (Some(0), "hello\n".to_owned()));
    let (exit, shown) = user.run("ratcat recv --passphrase-file other");
    assert_eq!(exit, Some(1));
    let expected = "ratcat: ~/.config/irdest/identity: wrong passphrase, or the file was changed";
    assert!(is_like(expected, &shown), "{shown}");
}

#[test]
fn the_fields_of_answers_to_programs_are_the_documented_ones() {
    let documented = include_str!("../../decisions/command-line.md");
    let router = Router::new(Manner { streams: 1, ..Manner::default() });
    let mut user = User::new(router.address);
    user.settle(OURS);
    for line in [
        "ratctl address show",
        "ratctl space list",
        "ratctl space anycast NAMESPACE",
        "ratctl contact list",
        "ratctl link list",
        "ratctl link show 1",
        "ratctl peers list",
        "ratctl route list",
        "ratctl route show ADDRESS",
        "ratctl stream list",
        "ratctl stream status 3fa1",
        "ratctl filter add deny",
        "ratctl filter list",
        "ratctl status system",
        "ratctl idpath",
        "ratcat id",
        "ratcat recv -d inbox",
    ] {
        let (exit, shown) = user.run(&format!("{line} --json"));
        assert_eq!(exit, Some(0), "{line}: {shown}");
        let value: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let object = if value.is_array() { &value[0] } else { &value };
        for field in object.as_object().unwrap().keys() {
            let is_told = |row: &&str| row.contains(&**field) && row.starts_with("| `");
            assert!(documented.lines().any(|row| is_told(&row)), "{field} of {line}");
        }
    }
}

#[test]
fn a_router_that_tells_no_more_than_deployed_ones_is_shown() {
    let router = Router::new(Manner::default());
    let user = User::new(router.address);
    let line = "known peers: 1, local addrs: 2, active auths: 3, collector workers: 4\n";
    assert_eq!(user.run("ratctl status"), (Some(0), line.to_owned()));
    assert_eq!(user.run("ratctl addr list"), (Some(0), "YOURS\nADDRESS2\n".to_owned()));
    let (exit, shown) = user.run("ratctl journal");
    assert_eq!(exit, Some(1));
    assert!(is_like("ratctl: this router does not support it; …", &shown), "{shown}");
}
