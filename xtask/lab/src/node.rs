// SPDX-License-Identifier: AGPL-3.0-or-later
//! One node of the lab: a network namespace, a private directory, and programs that run inside.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};

use crate::lab_name::{LabName, MARK};
use crate::process::{Process, run_quick, run_to_end};
use crate::programs::command;
use crate::time_limit::TimeLimit;

/// A machine of the lab. Cheap to clone; what it stands for lives as long as the [`Lab`](crate::Lab).
#[derive(Clone, Debug)]
pub struct Node {
    lab: LabName,
    name: String,
    limit: TimeLimit,
}

impl Node {
    /// Makes the namespace, with its loopback device up, and the directory.
    pub(crate) fn create(lab: LabName, name: &str, limit: TimeLimit) -> Result<Self> {
        let node = Self { lab, name: name.to_owned(), limit };
        fs::create_dir(node.directory()).with_context(|| format!("making the directory of node {name}"))?;
        run_quick(command("ip").args(["netns", "add", &node.namespace()]))?;
        node.ip(&["link", "set", "lo", "up"])?;
        Ok(node)
    }

    /// Its name in the lab, such as `a`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its private directory, for configurations, keys, sockets and logs.
    pub fn directory(&self) -> PathBuf {
        self.lab.directory().join(&self.name)
    }

    /// The limit of the whole lab.
    pub fn limit(&self) -> TimeLimit {
        self.limit
    }

    /// Its network namespace.
    pub fn namespace(&self) -> String {
        self.lab.namespace(&self.name)
    }

    /// A command that runs inside and is known as the lab's.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut inside = command("ip");
        inside.args(["netns", "exec", &self.namespace()]).arg(program.as_ref());
        inside.env(MARK, self.lab.to_string()).current_dir(self.directory());
        inside
    }

    /// A command that runs outside, in the machine's own network, and is known as the lab's.
    pub fn command_outside(&self, program: impl AsRef<Path>) -> Command {
        let mut outside = Command::new(program.as_ref());
        outside.env(MARK, self.lab.to_string()).current_dir(self.directory());
        outside
    }

    /// Runs a program to its end, and returns its standard output.
    ///
    /// # Errors
    /// Where it fails, or lasts longer than `limit`; the message has its last words.
    pub fn run(&self, program: impl AsRef<Path>, arguments: &[&str], limit: TimeLimit) -> Result<String> {
        let mut inside = self.command(program);
        run_to_end(inside.args(arguments), &self.directory(), limit)
            .with_context(|| format!("on node {}", self.name))
    }

    /// Starts a program that stays; its log is `LOG.log` in the node's directory.
    pub fn spawn(&self, program: impl AsRef<Path>, arguments: &[&str], log: &str) -> Result<Process> {
        let log = self.directory().join(format!("{log}.log"));
        Process::spawn(self.command(program).args(arguments), log)
    }

    /// Runs `ip ARGUMENTS` on the node's devices, addresses and routes.
    pub fn ip(&self, arguments: &[&str]) -> Result<String> {
        run_quick(command("ip").args(["-n", &self.namespace()]).args(arguments))
    }

    /// Calls `task` in a thread whose new sockets belong to this node.
    pub fn thread<T, F>(&self, task: F) -> Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let path = Path::new("/run/netns").join(self.namespace());
        let namespace = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        let inside = move || {
            setns(&namespace, CloneFlags::CLONE_NEWNET).expect("who made the namespace may enter it");
            task()
        };
        thread::Builder::new().name(self.namespace()).spawn(inside).context("starting a thread")
    }

    /// Whether a TCP socket of this node listens on the port, whatever its address.
    pub fn listens(&self, port: u16) -> Result<bool> {
        let limit = self.limit;
        let tables = self.run("cat", &["/proc/self/net/tcp", "/proc/self/net/tcp6"], limit)?;
        Ok(tables.lines().any(|line| is_listener(line, port)))
    }
}

/// Whether a line of `/proc/net/tcp` or `tcp6` (proc_pid_net(5)) is a socket in the state LISTEN on the port.
fn is_listener(line: &str, port: u16) -> bool {
    const LISTEN: &str = "0A";
    let mut fields = line.split_whitespace().skip(1);
    let (local, _, state) = (fields.next(), fields.next(), fields.next());
    let local_port = local.and_then(|local| local.rsplit_once(':')).map(|(_, port)| port);
    local_port == Some(format!("{port:04X}").as_str()) && state == Some(LISTEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_listener_from_a_connection() {
        let listener = "   0: 00000000:16E4 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0";
        let v6 = "   1: 00000000000000000000000000000000:16E4 00000000000000000000000000000000:0000 0A 0:0";
        let connection = "   2: 0100007F:16E4 0100007F:8E2C 01 00000000:00000000 00:00000000 00000000   0";
        assert!(is_listener(listener, 5860));
        assert!(is_listener(v6, 5860));
        assert!(!is_listener(connection, 5860));
        assert!(!is_listener(listener, 5861));
        assert!(!is_listener("  sl  local_address rem_address   st tx_queue rx_queue", 5860));
        assert!(!is_listener("", 5860));
    }
}
