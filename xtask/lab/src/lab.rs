// SPDX-License-Identifier: AGPL-3.0-or-later
//! The lab as a value: nodes and links that exist as long as it does.

use std::fs;
use std::os::unix::fs::DirBuilderExt;

use anyhow::{Context, Result};

use crate::lab_name::LabName;
use crate::leftovers::{remove, remove_leftovers};
use crate::node::Node;
use crate::process::{last_lines, run_quick};
use crate::programs::command;
use crate::time_limit::TimeLimit;

/// Lines of each log that are shown when something failed.
const LOG_TAIL: usize = 30;

/// Nodes and links. Dropped, it kills every process of the lab and removes all that it made; where a test
/// panics it shows the last lines of each log first.
#[derive(Debug)]
pub struct Lab {
    name: LabName,
    limit: TimeLimit,
}

/// One end of a link between two nodes.
#[derive(Clone, Copy, Debug)]
pub struct LinkEnd<'a> {
    /// The node at this end.
    pub node: &'a Node,
    /// Name of the device there, at most 15 bytes.
    pub device: &'a str,
    /// Its addresses with prefix length, IPv4 and IPv6, such as `192.0.2.1/24`.
    pub addresses: &'a [&'a str],
}

impl Lab {
    /// Makes an empty lab whose waits all end within the limit, after removing what killed labs left behind.
    ///
    /// # Errors
    /// Where the kernel or the rights of the user do not allow it.
    pub fn create(limit: TimeLimit) -> Result<Self> {
        remove_leftovers()?;
        let name = LabName::next();
        let directory = name.directory();
        let made = fs::DirBuilder::new().mode(0o700).create(&directory);
        made.with_context(|| format!("making {}", directory.display()))?;
        Ok(Self { name, limit })
    }

    /// The name that all its parts carry.
    pub fn name(&self) -> LabName {
        self.name
    }

    /// The limit of every wait in it.
    pub fn limit(&self) -> TimeLimit {
        self.limit
    }

    /// Adds a node with nothing but its loopback device. The name consists of letters and digits.
    pub fn node(&self, name: &str) -> Result<Node> {
        Node::create(self.name, name, self.limit).with_context(|| format!("making node {name}"))
    }

    /// Connects two nodes by a veth pair, which never exists outside of their namespaces.
    pub fn link(&self, left: LinkEnd<'_>, right: LinkEnd<'_>) -> Result<()> {
        let (here, there) = (left.node.namespace(), right.node.namespace());
        let mut add = command("ip");
        add.args(["link", "add", "name", left.device, "netns", &here, "type", "veth"]);
        add.args(["peer", "name", right.device, "netns", &there]);
        run_quick(&mut add)?;
        for end in [left, right] {
            for address in end.addresses {
                // nodad: an IPv6 address is usable at once, not after the second that detection takes.
                let nodad = address.contains(':').then_some("nodad");
                let arguments = ["address", "add", address, "dev", end.device].into_iter().chain(nodad);
                end.node.ip(&arguments.collect::<Vec<_>>())?;
            }
            end.node.ip(&["link", "set", end.device, "up"])?;
        }
        Ok(())
    }

    /// The last lines of every log in the lab, each under its name.
    pub fn log_tails(&self) -> String {
        let mut text = String::new();
        for folder in entries(&self.name.directory()) {
            for log in entries(&folder).into_iter().filter(|path| path.extension() == Some("log".as_ref())) {
                let content = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
                let tail = last_lines(&content, LOG_TAIL);
                let name = log.strip_prefix(self.name.directory()).unwrap_or(&log).display().to_string();
                text += &format!("--- {name}, last lines\n{tail}");
            }
        }
        text
    }
}

impl Drop for Lab {
    #[allow(clippy::print_stderr, reason = "the logs go with the lab, and a failed test has no other place")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprint!("{}", self.log_tails());
        }
        if let Err(error) = remove(self.name) {
            eprintln!("could not remove all of {}: {error:#}", self.name);
        }
    }
}

fn entries(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
