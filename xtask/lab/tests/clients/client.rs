// SPDX-License-Identifier: AGPL-3.0-or-later
//! Programs in Python on a node of the lab, and what they print.

use std::path::PathBuf;

use irdest_lab::{Gateway, Process};
use serde::Deserialize;
use serde_json::Value;

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/client.py");
const CROWD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/crowd.py");

/// An address on a router, with the file of its token there.
pub(crate) struct Client {
    name: &'static str,
    /// In hexadecimal digits.
    pub(crate) address: String,
}

/// A stream that came.
#[derive(Debug, Deserialize)]
pub(crate) struct Come {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) size: u64,
    pub(crate) file: PathBuf,
}

/// A client that waits for streams. Dropped, it is killed.
pub(crate) struct Waiting<'a> {
    gateway: &'a Gateway,
    process: Process,
}

impl Client {
    /// With an address that is new, and up.
    pub(crate) fn create(gateway: &Gateway, name: &'static str) -> Self {
        let made = run(gateway, &["create", name]);
        Self { name, address: text(&made[0], "address") }
    }

    /// What a command prints that ends well.
    pub(crate) fn run(&self, gateway: &Gateway, command: &str, arguments: &[&str]) -> Vec<Value> {
        run(gateway, &[&[command, self.name], arguments].concat())
    }

    /// What the router objects with.
    pub(crate) fn objection(&self, gateway: &Gateway, command: &str, arguments: &[&str]) -> String {
        let mut waiting = self.spawn(gateway, command, arguments);
        let status = waiting.process.wait(gateway.node().limit()).unwrap();
        assert!(!status.success(), "{command} succeeds");
        text(waiting.said().last().unwrap_or(&Value::Null), "objection")
    }

    /// A command that lasts.
    pub(crate) fn spawn<'a>(&self, gateway: &'a Gateway, command: &str, arguments: &[&str]) -> Waiting<'a> {
        let arguments = python(CLIENT, &[&[command, self.name], arguments].concat());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let log = format!("client-{}", next_number());
        Waiting { gateway, process: gateway.node().spawn("python3", &arguments, &log).unwrap() }
    }

    /// Sends these files one after the other, each to all of these at once.
    pub(crate) fn send(&self, gateway: &Gateway, way: &[&str], to: &[&str], files: &[PathBuf]) {
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        self.run(gateway, "send", &[way, &["--to"], to, &["--content"], &files].concat());
    }
}

impl Waiting<'_> {
    /// Waits until it has said so many lines, and says the last of these.
    pub(crate) fn line(&mut self, number: usize) -> Value {
        let Self { gateway, process } = self;
        let line = gateway.node().limit().wait_for("a client to say something", || {
            let running = process.is_running();
            let line = values(&process.log()).into_iter().nth(number - 1);
            anyhow::ensure!(running || line.is_some(), "a client ended:\n{}", process.log());
            Ok(line)
        });
        line.unwrap()
    }

    /// All that it said.
    pub(crate) fn said(&self) -> Vec<Value> {
        values(&self.process.log())
    }

    /// Waits until it ends well; all that it said.
    pub(crate) fn end(mut self) -> Vec<Value> {
        let status = self.process.wait(self.gateway.node().limit()).unwrap();
        assert!(status.success(), "{status}\n{}", self.process.log());
        self.said()
    }
}

/// Runs many clients to their end, and says what they measured.
pub(crate) fn crowd(gateway: &Gateway, arguments: &[&str]) -> Value {
    run_program(gateway, CROWD, arguments).pop().unwrap()
}

fn run(gateway: &Gateway, arguments: &[&str]) -> Vec<Value> {
    run_program(gateway, CLIENT, arguments)
}

/// What a program prints that ends well.
fn run_program(gateway: &Gateway, program: &str, arguments: &[&str]) -> Vec<Value> {
    let arguments = python(program, arguments);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    values(&gateway.node().run("python3", &arguments, gateway.node().limit()).unwrap())
}

/// Nothing is left beside the source.
fn python(program: &str, arguments: &[&str]) -> Vec<String> {
    ["-B", program].iter().chain(arguments).map(|argument| (*argument).to_owned()).collect()
}

/// The streams among what was said, in their order.
pub(crate) fn come(said: &[Value]) -> Vec<Come> {
    said.iter().filter_map(|line| serde_json::from_value(line.clone()).ok()).collect()
}

pub(crate) fn text(line: &Value, name: &str) -> String {
    line[name].as_str().unwrap_or_else(|| panic!("no {name} in {line}")).to_owned()
}

fn values(log: &str) -> Vec<Value> {
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn next_number() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}
