// SPDX-License-Identifier: AGPL-3.0-or-later
//! The program as an operator meets it: exit codes, messages, and a daemon that answers and ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use irdest_gateway::doctor::{Check, Report, Severity};
use irdest_gateway::status::Status;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ratman_types::{SecretKey, Signer};

/// A directory with configuration, passphrase and state of one gateway without TUN and netmods.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        let passphrase = home.path("passphrase");
        fs::write(&passphrase, "a passphrase\n").unwrap();
        fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
        let config = format!(
            "state_dir = {:?}\nidentity.passphrase_file = {passphrase:?}\ncontrol.socket = {:?}\n\
             tun.enable = false\ninet.enable = false\nclients.enable = false\n",
            home.path("state"),
            home.path("control.sock"),
        );
        fs::write(home.path("gateway.toml"), config).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_irdest-gateway"));
        command
            .args(arguments)
            .arg("-c")
            .arg(self.0.path())
            .env_remove("JOURNAL_STREAM")
            .env_remove("NOTIFY_SOCKET");
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// A daemon that has bound its control socket.
    fn run(&self) -> Daemon {
        let mut child = self.command(&[]).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let daemon = Daemon { child, log: Some(log) };
        while !self.output(&["status"]).status.success() {
            std::thread::yield_now();
        }
        daemon
    }
}

struct Daemon {
    child: Child,
    log: Option<BufReader<std::process::ChildStderr>>,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn wrong_usage_and_wrong_configuration_exit_with_2() {
    let home = Home::new();
    assert_eq!(home.output(&["dance"]).status.code(), Some(2));
    assert_eq!(home.output(&["check-config"]).status.code(), Some(0));
    for command in ["check-config", "run", "status", "identity", "cleanup"] {
        let output = home.output(&[command, "-s", "tun.mtu=big"]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        assert_eq!(
            text(&output.stderr),
            "irdest-gateway: -s tun.mtu=big: tun.mtu: expected an integer from 1280 to 65535, got \"big\"\n"
        );
    }
    assert!(!home.path("state").exists(), "nothing is touched before the configuration is good");
    fs::remove_file(home.path("passphrase")).unwrap();
    let output = home.output(&["identity"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("passphrase: cannot read the passphrase"));
}

#[test]
fn a_mistake_in_a_file_is_no_reason_not_to_ask_a_gateway_that_runs() {
    let home = Home::new();
    let _daemon = home.run();
    fs::write(home.path("gateway.toml"), "tun.mtu = 12\n").unwrap();
    // The file no longer says where it is, nor does what was typed: the default, where nobody is.
    let output = home.output(&["status"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("gateway.toml:1: tun.mtu: expected") && said.contains("asking on /run/"), "{said}");
    let socket = format!("control.socket={:?}", home.path("control.sock"));
    for command in ["status", "links"] {
        let output = home.output(&[command, "--json", "-s", &socket]);
        assert_eq!(output.status.code(), Some(0), "{command}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains("tun.mtu") && text(&output.stdout).starts_with('{'));
    }
    // What was typed is to be right.
    assert_eq!(home.output(&["status", "-s", &socket, "-s", "tun.mtu=big"]).status.code(), Some(2));
    fs::remove_file(home.path("gateway.toml")).unwrap();
    assert_eq!(home.output(&["status", "-s", &socket]).status.code(), Some(2), "the file was named");
}

#[test]
fn a_route_to_ourselves_is_a_mistake_of_the_configuration() {
    let home = Home::new();
    let who = home.output(&["identity", "--json"]);
    let who: serde_json::Value = serde_json::from_slice(&who.stdout).unwrap();
    let route = format!("route=[{{ prefix = \"10.0.0.0/8\", via = {} }}]", who["address"]);
    let output = home.output(&["-s", &route]);
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "a service manager need not try again: {errors}");
    assert!(errors.contains("this is our own address"), "{errors}");
}

#[test]
fn the_doctor_speaks_to_people_and_programs_and_fails_on_errors() {
    let home = Home::new();
    let output = home.output(&["doctor"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    assert!(said.contains("warning  gateway: no gateway runs") && said.contains("systemctl start"), "{said}");
    assert!(said.trim_end().ends_with("checks well") && !said.contains("ok       "), "{said}");
    assert!(text(&home.output(&["doctor", "--verbose"]).stdout).contains("ok       disk: "));
    assert!(!home.path("state").exists() && !home.path("control.sock").exists(), "it only looks");

    let _daemon = home.run();
    let report: Report = serde_json::from_slice(&home.output(&["doctor", "--json"]).stdout).unwrap();
    let gateway = report.findings.iter().find(|finding| finding.id == Check::Gateway).unwrap();
    assert_eq!(gateway.severity, Severity::Ok, "{report:?}");

    let output = home.output(&["doctor", "-s", "tun.mtu=big"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stdout).contains("ERROR    configuration: -s tun.mtu=big"),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn help_teaches_by_example() {
    let help = Home::new().output(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let help = text(&help.stdout);
    for needed in ["Examples:", "Exit codes:", "-s tun.mtu=1400", "check-config", "ratmand"] {
        assert!(help.contains(needed), "{needed} in {help}");
    }
}

#[test]
fn the_identity_is_made_once() {
    let home = Home::new();
    let first = home.output(&["identity", "--json"]);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    let json: serde_json::Value = serde_json::from_slice(&first.stdout).unwrap();
    assert!(json["overlay"].as_str().unwrap().starts_with("fd69:7264:"));
    let shown = text(&home.output(&["identity"]).stdout);
    for key in ["address", "router_id", "overlay"] {
        assert!(shown.contains(json[key].as_str().unwrap()), "{key} in {shown}");
    }
}

#[test]
fn a_daemon_answers_and_ends_on_sigterm() {
    let home = Home::new();
    let mut daemon = home.run();
    let output = home.output(&["status", "--json"]);
    let status: Status = serde_json::from_slice(&output.stdout).unwrap();
    let shown = text(&home.output(&["status"]).stdout);
    assert!(shown.contains(&status.address.to_string()) && shown.contains("Routes ("), "{shown}");

    let second = home.output(&["run"]);
    assert_eq!(second.status.code(), Some(1));
    let holder = format!("state_dir is in use by process {}", daemon.child.id());
    assert!(text(&second.stderr).contains(&holder), "{}", text(&second.stderr));
    assert!(home.output(&["status"]).status.success(), "the one that runs is not disturbed");

    kill(Pid::from_raw(daemon.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
    assert!(!home.path("control.sock").exists());
    let log: Vec<_> = daemon.log.take().unwrap().lines().map(Result::unwrap).collect();
    assert!(log.iter().any(|line| line.contains("made a new identity")), "{log:?}");
    let output = home.output(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot reach a running irdest-gateway"));
}

#[test]
fn a_message_is_taken_once_and_outlives_a_daemon_that_is_killed() {
    let home = Home::new();
    let daemon = home.run();
    let who = home.output(&["identity", "--json"]);
    let who: serde_json::Value = serde_json::from_slice(&who.stdout).unwrap();
    let address = who["address"].as_str().unwrap();
    let content: Vec<u8> = (0..50_000_u32).flat_map(u32::to_be_bytes).collect();
    let [message, taken] = ["message", "taken"].map(|name| home.path(name).to_str().unwrap().to_owned());
    fs::write(&message, &content).unwrap();
    let send = ["stream", "send", "--to", address, "--json", "--wait", "delivered", &message];
    let sent = home.output(&send);
    assert_eq!(sent.status.code(), Some(0), "{}", text(&sent.stderr));
    let told: Vec<serde_json::Value> =
        text(&sent.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!([&told[1], &told[2]].map(|line| &line["told"]), ["accepted", "delivered"]);
    assert!(told.iter().all(|line| line["to"] == address), "{told:?}");
    // Nobody is there: it is accepted, and waits.
    let nobody = "0101-0101-0101-0101-0101-0101-0101-0101-0101-0101-0101-0101-0101-0101-0101-0101";
    let accepted = home.output(&["stream", "send", "--to", nobody, "--wait", "accepted", &message]);
    assert_eq!(accepted.status.code(), Some(0), "{}", text(&accepted.stderr));

    let listed = home.output(&["stream", "list", "--json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let stages: Vec<_> =
        listed["streams"]["streams"].as_array().unwrap().iter().map(|stream| &stream["stage"]).collect();
    assert_eq!(stages, ["sending", "waiting"], "{listed}");
    let table = text(&home.output(&["stream", "list"]).stdout);
    assert!(table.starts_with("Streams (2)\n") && table.contains(address), "{table}");

    drop(daemon);
    let _daemon = home.run();
    let received = home.output(&["stream", "recv", "--no-wait", "--json", "--output", &taken]);
    assert_eq!(received.status.code(), Some(0), "{}", text(&received.stderr));
    assert!(fs::read(&taken).unwrap() == content);
    let arrived: serde_json::Value = serde_json::from_slice(&received.stderr).unwrap();
    assert_eq!(arrived["arrived"]["from"], address);
    assert_eq!(arrived["arrived"]["size"], content.len());
    assert_eq!(told[0]["told"]["opened"]["stream"], arrived["arrived"]["stream"]);
    let status: Status = serde_json::from_slice(&home.output(&["status", "--json"]).stdout).unwrap();
    assert_eq!(status.streams.unwrap().sending, 1);
    let none = home.output(&["stream", "recv", "--no-wait"]);
    assert_eq!((none.status.code(), text(&none.stderr)), (Some(1), "no stream is here\n".to_owned()));
}

#[test]
fn a_file_is_shared_announced_over_a_restart_and_taken_down() {
    let home = Home::new();
    let daemon = home.run();
    let who: serde_json::Value =
        serde_json::from_slice(&home.output(&["identity", "--json"]).stdout).unwrap();
    let address = who["address"].as_str().unwrap();
    let content: Vec<u8> = (0..50_000_u32).flat_map(u32::to_be_bytes).collect();
    let [file, taken] = ["file", "taken"].map(|name| home.path(name).to_str().unwrap().to_owned());
    fs::write(&file, &content).unwrap();
    let done = |arguments: &[&str]| {
        let output = home.output(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    };
    let nobody = "0101-0101-0101-0101-0101-0101-0101-0101-0101-0101-0101-0101-0101-0101-0101-0101";
    let urn = done(&["stream", "up", &file, "--to", nobody, "--lifetime", "30d"]);
    assert!(urn.starts_with("urn:eris:") && urn.len() == 115, "{urn}");
    assert_eq!(done(&["stream", "up", &file]), urn);
    let stages = || {
        let listed: serde_json::Value = serde_json::from_str(&done(&["stream", "list", "--json"])).unwrap();
        let streams = listed["streams"]["streams"].as_array().unwrap().clone();
        streams
            .into_iter()
            .map(|stream| (stream["stage"].to_string(), stream["urn"].clone()))
            .collect::<Vec<_>>()
    };
    let expected =
        [("\"sending\"".to_owned(), serde_json::Value::Null), ("\"shared\"".to_owned(), urn.clone().into())];
    assert_eq!(stages(), expected);

    drop(daemon);
    let _daemon = home.run();
    assert_eq!(stages(), expected);
    assert!(done(&["stream", "list"]).contains(&urn));
    assert_eq!(done(&["stream", "announce", &urn, "--to", address, "--wait", "delivered"]), "");
    done(&["stream", "recv", "--no-wait", "--output", &taken]);
    assert!(fs::read(&taken).unwrap() == content);
    let status: Status = serde_json::from_str(&done(&["status", "--json"])).unwrap();
    assert_eq!(status.streams.unwrap().shared, 1);
    done(&["stream", "down", &urn]);
    assert_eq!(stages(), []);
    let refused = home.output(&["stream", "announce", &urn, "--to", address]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("the sender does not share this content"));
    let wrong = home.output(&["stream", "down", "urn:eris:B4"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong.stderr));
}

#[test]
fn an_address_of_a_program_is_up_with_its_token_only_and_its_mail_waits() {
    let home = Home::new();
    let daemon = home.run();
    let [token, message, taken] =
        ["token", "message", "taken"].map(|name| home.path(name).to_str().unwrap().to_owned());
    fs::write(&message, "for a program").unwrap();
    let created = home.output(&["address", "create", "--token-file", &token]);
    assert_eq!(created.status.code(), Some(0), "{}", text(&created.stderr));
    let address = text(&created.stdout).trim().to_owned();
    assert_eq!(fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o600);
    let own = |what| home.output(&["address", what, &address, "--token-file", &token]);
    let listed = || text(&home.output(&["address", "list"]).stdout);
    let send = |wait| {
        let sent = home.output(&["stream", "send", "--to", &address, "--wait", wait, &message]);
        assert_eq!(sent.status.code(), Some(0), "{}", text(&sent.stderr));
    };
    let as_it = ["--as", &address, "--token-file", &token];
    let recv =
        |more: &[&str]| home.output(&[&["stream", "recv", "--output", &taken], &as_it[..], more].concat());

    assert!(own("up").status.success());
    let is_listed = |standing| {
        let list = listed();
        // When it was made and used follows.
        assert!(list.starts_with(&format!("{address}  {standing}  made 2")), "{list}");
        assert!(list.contains("  used 2") && list.contains("  user ") && list.lines().count() == 1, "{list}");
    };
    is_listed("up");
    send("delivered");
    let not_its_own = home.output(&["stream", "recv", "--no-wait"]);
    assert_eq!(not_its_own.status.code(), Some(1), "it is not the gateway's own");
    assert!(own("down").status.success());
    assert_eq!(recv(&["--no-wait"]).status.code(), Some(1), "nobody can open it");
    send("accepted");

    drop(daemon);
    let _daemon = home.run();
    // The daemon does not have the token.
    is_listed("down");
    assert_eq!(recv(&["--no-wait"]).status.code(), Some(1));
    assert!(own("up").status.success());
    for _ in 0..2 {
        assert!(recv(&[]).status.success());
        assert_eq!(fs::read(&taken).unwrap(), b"for a program");
    }
    let who: serde_json::Value =
        serde_json::from_slice(&home.output(&["identity", "--json"]).stdout).unwrap();
    let to = who["address"].as_str().unwrap();
    let sent = home.output(&[&["stream", "send", "--to", to, &message], &as_it[..]].concat());
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    let received = home.output(&["stream", "recv", "--json", "--output", &taken]);
    let arrived: serde_json::Value = serde_json::from_slice(&received.stderr).unwrap();
    assert_eq!(arrived["arrived"]["from"], address);

    let other = home.output(&["address", "create", "--json"]);
    let other: serde_json::Value = serde_json::from_slice(&other.stdout).unwrap();
    fs::write(&message, other["created"]["token"].as_str().unwrap()).unwrap();
    let refused = home.output(&["address", "destroy", &address, "--token-file", &message]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("this is not the auth token"), "{}", text(&refused.stderr));
    assert!(own("destroy").status.success());
    let other = other["created"]["address"].as_str().unwrap();
    let lost = home.output(&["address", "destroy", other, "--without-token"]);
    assert_eq!(lost.status.code(), Some(0), "{}", text(&lost.stderr));
    assert_eq!(listed(), "");
    assert!(text(&own("up").stderr).contains("no client has made the address"));
}

#[test]
fn contacts_and_trust_outlive_the_daemon_and_do_not_clash_with_the_configuration() {
    let home = Home::new();
    let mut people = [1, 2].map(|byte| SecretKey::from_seed([byte; 32]).address());
    people.sort_unstable();
    let [ann, bob] = people.map(|address| address.to_string());
    let config = fs::read_to_string(home.path("gateway.toml")).unwrap();
    let with = |contacts: &str| fs::write(home.path("gateway.toml"), format!("{config}{contacts}")).unwrap();
    with(&format!("contacts.bob = '{bob}'\n"));
    let daemon = home.run();
    let done = |arguments: &[&str]| {
        let output = home.output(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    done(&["contact", "add", "ann", &ann, "--trust", "5"]);
    done(&["trust", "set", "bob", "0"]);
    let refused = home.output(&["contact", "add", "bob", &ann]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains("in [contacts] of the configuration"),
        "{}",
        text(&refused.stderr)
    );
    let listed = format!("{ann}  ann  trust 5\n{bob}  bob  trust 0  (configuration)\n");
    assert_eq!(done(&["contact", "list"]), listed);

    drop(daemon);
    with(&format!("contacts.ann = '{bob}'\n"));
    let _daemon = home.run();
    let listed = format!("{ann}  ann  trust 5\n{bob}  ann  trust 0  (configuration)\n");
    assert_eq!(done(&["contact", "list"]), listed);
    done(&["trust", "unset", &bob]);
    done(&["contact", "remove", "ann"]);
    let json: serde_json::Value = serde_json::from_str(&done(&["contact", "list", "--json"])).unwrap();
    let left = serde_json::json!({ "address": bob, "name": "ann", "configured": true });
    assert_eq!(json["contacts"], serde_json::json!([left]));
}

#[test]
fn a_journal_that_cannot_be_opened_costs_streams_and_nothing_else() {
    let home = Home::new();
    assert!(home.output(&["identity"]).status.success());
    fs::create_dir(home.path("state/journal.redb")).unwrap();
    let _daemon = home.run();
    let status: Status = serde_json::from_slice(&home.output(&["status", "--json"]).stdout).unwrap();
    assert!(status.warnings[0].starts_with("no streams: "), "{:?}", status.warnings);
    assert_eq!(status.streams, None);
    let refused = home.output(&["stream", "recv", "--no-wait"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("this daemon has no streams"));
    let refused = home.output(&["contact", "list"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("keeps no addresses and contacts"));
}

#[test]
fn the_service_manager_is_told() {
    let home = Home::new();
    let manager = UnixDatagram::bind(home.path("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let next = || {
        let mut message = [0; 4096];
        // A process that was stopped and goes on finds its call interrupted where that has a limit of time (signal(7)).
        let length = loop {
            match manager.recv(&mut message) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                length => break length.unwrap(),
            }
        };
        text(&message[..length])
    };
    let child = home.command(&[]).env("NOTIFY_SOCKET", home.path("notify")).spawn().unwrap();
    let mut daemon = Daemon { child, log: None };
    let signal = |child: &Child, signal| kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
    assert_eq!(next(), "READY=1\n");
    assert!(home.output(&["status"]).status.success(), "it is ready");
    assert_eq!(next(), "STATUS=links: 0, sessions: 0\n");
    // Well or ill, a reload ends.
    let good = fs::read_to_string(home.path("gateway.toml")).unwrap();
    for file in [&good, "no TOML"] {
        fs::write(home.path("gateway.toml"), file).unwrap();
        signal(&daemon.child, Signal::SIGHUP);
        let reloading = next();
        assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
        assert_eq!(next(), "READY=1\n");
    }
    let refused = next();
    assert!(refused.starts_with("STATUS=links: 0, sessions: 0; reload refused: "), "{refused}");
    let table =
        text(&home.output(&["status", "--socket", &home.path("control.sock").display().to_string()]).stdout);
    assert!(table.contains("warning    reload refused: ") && table.contains("gateway.toml:1"), "{table}");
    // A good one ends it.
    fs::write(home.path("gateway.toml"), good).unwrap();
    signal(&daemon.child, Signal::SIGHUP);
    let said: Vec<_> = (0..3).map(|_| next()).collect();
    assert!(said[0].starts_with("RELOADING=1\n"), "{said:?}");
    assert_eq!(said[1..], ["READY=1\n", "STATUS=links: 0, sessions: 0\n"]);
    signal(&daemon.child, Signal::SIGTERM);
    assert_eq!(next(), "STOPPING=1\n");
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_start_that_fails_says_why_and_leaves_nothing_behind() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let listen = format!("inet.listen=[\"{address}\"]");
    let output = home.output(&["-s", "inet.enable=true", "-s", &listen]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains(&address.to_string()) && errors.contains("in use"), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    assert!(!home.path("control.sock").exists());
    home.run();
}
