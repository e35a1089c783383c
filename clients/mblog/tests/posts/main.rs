// SPDX-License-Identifier: AGPL-3.0-or-later
//! irdest-mblog as users run it, against a router that has what a test wants.
#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "what fails is the test")]

mod router;

use std::fs;
use std::io::{BufRead, BufReader, Read, pipe};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use irdest_mblog::cli::command;
use irdest_mblog::examples::ALL;
use irdest_mblog::{Post, space};
use irdest_tools::examples::Example;
use ratman_wire::api::{Recipient, Request};
use router::Router;
use tempfile::TempDir;

/// A home with an identity.
fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("identity");
    let group = vec!["1111"; 16].join("-");
    fs::write(&path, format!("addr={group}\nauth={}\n", "07".repeat(32))).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    home
}

fn run(home: &TempDir, bind: &str, words: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_irdest-mblog"))
        .env_clear()
        .env("HOME", home.path())
        .env("IRDEST_IDENTITY", home.path().join("identity"))
        .args(["-b", bind])
        .args(words)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn post(topic: &str, text: &str) -> Vec<u8> {
    post_of("ann", topic, text)
}

fn post_of(nick: &str, topic: &str, text: &str) -> Vec<u8> {
    Post::new(topic.parse().unwrap(), nick, text).unwrap().encode()
}

#[test]
fn what_has_come_is_taken_kept_and_shown_once() {
    let (router, home) = (Router::new(), home());
    let bind = router.address.to_string();
    let one = (1, post("/net/irdest/hello", "Hello!"));
    router.heard().waiting = vec![one.clone(), (2, b"no post".to_vec()), (3, post("/other/a/b", "x"))];
    let shown = "1970-01-01 00:00Z  /net/irdest/hello  ann (2222-2222)\n    Hello!\n";
    assert_eq!(run(&home, &bind, &["read", "/net/irdest"]), (Some(0), shown.to_owned(), String::new()));
    assert_eq!(router.heard().taken, [1, 2, 3], "what is no post does not come for ever");
    let is_up = Request::NamespaceUp(ratman_wire::api::Membership {
        address: vec!["1111"; 16].join("-").parse().unwrap(),
        namespace: space::namespace(),
    });
    assert!(router.heard().requests.contains(&is_up));

    // The router did not hear that it was taken, so it comes again.
    router.heard().waiting = vec![one];
    let (code, json, _) = run(&home, &bind, &["read", "-c", "0", "--json"]);
    let posts: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, posts.as_array().map(Vec::len)), (Some(0), Some(2)));
    assert_eq!((&posts[0]["text"], &posts[0]["created_us"]), (&"Hello!".into(), &5.into()));

    // Without a router there is still what is here.
    let (code, output, notes) = run(&home, "127.0.0.1:1", &["read", "/net"]);
    assert_eq!((code, &*output), (Some(0), shown));
    assert!(notes.contains("no router listens on 127.0.0.1:1"), "{notes}");
    let (_, output, _) = run(&home, "127.0.0.1:1", &["topics"]);
    let lines: Vec<&str> = output.lines().collect();
    assert!(
        lines[0].starts_with("topic") && lines[1].starts_with("/net/irdest/hello  1") && lines.len() == 3
    );
}

#[test]
fn a_post_goes_to_everybody_and_is_kept() {
    let (router, home) = (Router::new(), home());
    let bind = router.address.to_string();
    let words = ["post", "-t", "/net/irdest/hello", "-n", "ann", "Hello", "world!"];
    let told = "posted under /net/irdest/hello\n".to_owned();
    assert_eq!(run(&home, &bind, &words), (Some(0), told, String::new()));
    let to = Recipient::Namespace(space::namespace());
    assert_eq!(router.heard().sent, [(to, post("/net/irdest/hello", "Hello world!"))]);
    let (_, output, _) = run(&home, &bind, &["read", "--offline"]);
    assert!(output.ends_with("Z  /net/irdest/hello  ann (1111-1111)\n    Hello world!\n"), "{output}");
}

#[test]
fn every_example_does_what_help_says() {
    let (router, home) = (Router::new(), home());
    fs::write(home.path().join("text.txt"), "One line,\nand another.\n").unwrap();
    router.heard().waiting = vec![(1, post_of("bob", "/net/irdest/hello", "Good morning"))];
    let folder = Path::new(env!("CARGO_BIN_EXE_irdest-mblog")).parent().unwrap().display();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
    let help = command().render_long_help().to_string();
    // Where lines are broken is the width of a terminal.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for example @ Example { line, does, shows } in ALL {
        let (mut output, shown) = pipe().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", &format!("exec {line}")])
            .current_dir(home.path())
            .env_clear()
            .env("HOME", home.path())
            .env("IRDEST_IDENTITY", home.path().join("identity"))
            .env("PATH", &path)
            .env("IRDEST_SOCKET", router.address.to_string())
            .stdout(shown.try_clone().unwrap())
            .stderr(shown)
            .spawn()
            .unwrap();
        let mut text = String::new();
        if line.contains("--follow") {
            // It has come to its end once it has shown as much.
            let mut lines = BufReader::new(output.try_clone().unwrap());
            while text.lines().count() < shows.lines().count() {
                assert!(lines.read_line(&mut text).unwrap() > 0, "{text}");
            }
            assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        }
        output.read_to_string(&mut text).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{line}: {text}");
        assert!(example.is_shown_by(&text), "{line}\n--- expected\n{shows}\n--- shown\n{text}");
        assert!(help.contains(&format!("{line} {does}")), "{line}");
    }
    assert_eq!(router.heard().sent.len(), 2);
}

#[test]
fn what_goes_wrong_has_its_exit_code() {
    let (router, home) = (Router::new(), home());
    let bind = router.address.to_string();
    let words = ["post", "-t", "/a/b/c", " "];
    let (code, _, notes) = run(&home, &bind, &words);
    assert_eq!(code, Some(2));
    assert!(notes.starts_with("irdest-mblog: a text has 1 to 16384 bytes"), "{notes}");
    assert_eq!(run(&home, "127.0.0.1:1", &["post", "-t", "/a/b/c", "x"]).0, Some(3));
    assert_eq!(run(&home, "127.0.0.1:1", &["read", "--follow"]).0, Some(3));
    fs::remove_file(home.path().join("identity")).unwrap();
    assert_eq!(run(&home, &bind, &["read"]).0, Some(1));
    assert!(router.heard().sent.is_empty());
}
