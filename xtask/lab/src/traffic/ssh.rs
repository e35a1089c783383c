// SPDX-License-Identifier: AGPL-3.0-or-later
//! A login with OpenSSH, by keys that live as long as the lab.

use std::fs;
use std::net::IpAddr;

use anyhow::{Context, Result};

use crate::node::Node;
use crate::process::Process;
use crate::programs::find_program;
use crate::time_limit::TimeLimit;
use crate::user_namespace::user_outside;

const PORT: u16 = 2222;

/// `sshd` wants its folder in `/run`. `ip netns exec` gives each process a mount namespace of its own, so an
/// empty `/run` there is nobody else's.
const START: &str = "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec \"$@\"";

/// An `sshd` of its own, with keys of its own.
#[derive(Debug)]
pub struct SshServer {
    address: IpAddr,
    login: String,
    client_key: String,
    known_hosts: String,
    // Dropped with the server: it ends.
    _process: Process,
}

impl SshServer {
    /// Makes the keys, starts `sshd` and returns once it listens.
    pub fn start(node: &Node, address: IpAddr, limit: TimeLimit) -> Result<Self> {
        let file = |name: &str| node.directory().join(name).display().to_string();
        let (host_key, client_key) = (file("ssh-host-key"), file("ssh-client-key"));
        for key in [&host_key, &client_key] {
            node.run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", key], limit)?;
        }
        let host_public = fs::read_to_string(format!("{host_key}.pub"))?;
        let known_hosts = file("known_hosts");
        fs::write(&known_hosts, format!("[{address}]:{PORT} {host_public}"))?;
        let settings = format!(
            "ListenAddress {address}\nPort {PORT}\nHostKey {host_key}\nAuthorizedKeysFile {client_key}.pub\n\
             PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        );
        fs::write(file("sshd_config"), settings)?;
        let sshd = find_program("sshd").context("sshd is not installed")?.display().to_string();
        let config = file("sshd_config");
        let user = user_outside()?;
        let as_user = user.map(|id| format!("--map-user={id}"));
        let mut arguments = vec!["-c", START, "sh"];
        if let Some(as_user) = &as_user {
            // As root sshd wants a second user, and a user namespace has one. It does without where it is not root,
            // hence one more namespace, in which the user has the number that is theirs outside.
            arguments.extend(["unshare", "--user", as_user]);
        }
        arguments.extend([sshd.as_str(), "-D", "-e", "-f", &config]);
        let process = node.spawn("sh", &arguments, "sshd")?;
        let login = node.run("id", &["-un", &user.unwrap_or(0).to_string()], limit)?.trim().to_owned();
        limit.wait_for("sshd to listen", || Ok(node.listens(PORT)?.then_some(())))?;
        Ok(Self { address, login, client_key, known_hosts, _process: process })
    }

    /// Logs in from the node, runs a command over there, and returns what it wrote.
    pub fn run(&self, from: &Node, command: &str, limit: TimeLimit) -> Result<String> {
        let known_hosts = format!("UserKnownHostsFile={}", self.known_hosts);
        let (port, target) = (PORT.to_string(), format!("{}@{}", self.login, self.address));
        let strict = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", &known_hosts];
        let mut arguments = vec!["-F", "none", "-i", &self.client_key, "-p", &port];
        arguments.extend(strict);
        arguments.extend([target.as_str(), command]);
        from.run("ssh", &arguments, limit)
    }
}
