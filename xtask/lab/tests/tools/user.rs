// SPDX-License-Identifier: AGPL-3.0-or-later
//! Somebody who uses the tools.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

use irdest_lab::{Gateway, gateway_program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The exit code where nothing came.
const NOTHING_THERE: i32 = 5;

/// Somebody on the host of a gateway, with an identity.
pub(crate) struct User<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) home: PathBuf,
    pub(crate) address: String,
}

impl<'a> User<'a> {
    pub(crate) fn new(gateway: &'a Gateway, name: &str) -> Self {
        let home = gateway.node().directory().join(name);
        fs::create_dir_all(&home).unwrap();
        let mut user = Self { gateway, home, address: String::new() };
        user.done("ratctl", &["address", "create"]);
        user.address = user.says("ratcat", &["id"]);
        user
    }

    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let program = gateway_program().unwrap().with_file_name(program);
        let mut command = self.gateway.node().command(program);
        command.args(arguments).current_dir(&self.home).env("HOME", &self.home);
        for unset in
            ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "IRDEST_SOCKET", "IRDEST_IDENTITY"]
        {
            command.env_remove(unset);
        }
        command
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program, arguments).stdin(Stdio::null()).output().unwrap()
    }

    #[track_caller]
    pub(crate) fn done(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        let output = self.run(program, arguments);
        assert!(output.status.success(), "{program} {arguments:?}: {}", told(&output));
        output.stdout
    }

    /// The line that it prints.
    #[track_caller]
    pub(crate) fn says(&self, program: &str, arguments: &[&str]) -> String {
        String::from_utf8(self.done(program, arguments)).unwrap().trim().to_owned()
    }

    /// It fails so, and says why.
    #[track_caller]
    pub(crate) fn fails(&self, (program, arguments): (&str, &[&str]), code: i32, why: &str) {
        let output = self.run(program, arguments);
        assert_eq!(output.status.code(), Some(code), "{program} {arguments:?}: {}", told(&output));
        assert!(told(&output).contains(why), "{}", told(&output));
    }

    /// Nothing is there for it.
    #[track_caller]
    pub(crate) fn has_nothing(&self, arguments: &[&str]) {
        self.fails(("ratcat", arguments), NOTHING_THERE, "nothing is here");
    }

    pub(crate) fn begin(&self, program: &str, arguments: &[&str]) -> Child {
        self.begin_with(program, arguments, &[])
    }

    fn begin_with(&self, program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Child {
        let mut command = self.command(program, arguments);
        command.envs(environment.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Sends what a pipe has.
    #[track_caller]
    pub(crate) fn pipe(&self, content: &[u8], arguments: &[&str]) {
        let mut child = self.begin("ratcat", &[&["send"], arguments].concat());
        child.stdin.take().unwrap().write_all(content).unwrap();
        assert_done(child);
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }
}

#[track_caller]
fn assert_done(child: Child) -> Vec<u8> {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    output.stdout
}

pub(crate) fn told(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}: {}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// A program that stays, until it is interrupted.
pub(crate) struct Staying {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Staying {
    pub(crate) fn begin(user: &User<'_>, program: &str, arguments: &[&str]) -> Self {
        Self::begin_with(user, (program, arguments), &[])
    }

    /// In this environment.
    pub(crate) fn begin_with(
        user: &User<'_>,
        (program, arguments): (&str, &[&str]),
        environment: &[(&str, &str)],
    ) -> Self {
        let mut child = user.begin_with(program, arguments, environment);
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// What it prints next.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).unwrap() > 0, "it ended");
        line.trim_end().to_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // `ip netns exec` has become the program itself.
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// How it ends by Ctrl-C, and what it prints then.
    pub(crate) fn interrupt(mut self) -> (ExitStatus, String) {
        self.signal(Signal::SIGINT);
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _gone = self.child.wait();
    }
}
