// SPDX-License-Identifier: AGPL-3.0-or-later
//! One daemon on a node: its configuration, its start and end, and what it tells of itself.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv6Addr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde::Deserialize;

use crate::links::Links;
use crate::node::Node;
use crate::process::Process;
use crate::programs::gateway_program;
use crate::status::Status;

/// TCP port on which every router of the lab listens, the daemon's default.
const PORT: u16 = 5860;

/// How long a daemon may take to listen, to end, or to answer.
const DAEMON_LIMIT: Duration = Duration::from_secs(15);

/// The user and the group of nobody on Debian.
const NOBODY: &str = "65534";

/// Where the machine keeps the TUN device to root, nobody gets another one to open, in the mounts of the daemon alone.
const AS_NOBODY: &str = "mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200 || exit
caps=-all,+net_admin,+bpf,+perfmon
exec setpriv --reuid=$0 --regid=$0 --clear-groups --inh-caps=$caps --ambient-caps=$caps --bounding-set=$caps \"$@\"";

/// What differs between the routers of a lab; the rest is the daemon's default.
#[derive(Clone, Debug, Default)]
pub struct GatewayConfig {
    /// Routers to dial.
    pub peers: Vec<Peer>,
    /// Prefixes and the addresses of the gateways behind which they lie.
    pub routes: Vec<(String, String)>,
    /// Addresses of the TUN device with prefix length; none makes it a router without TUN.
    pub tun: Option<Vec<String>>,
    /// Protocols and ports on which its firewall takes connections of configured remotes; none leaves `[firewall]`
    /// to `extra`.
    pub accept: Vec<(&'static str, Vec<u16>)>,
    /// Prefixes behind this gateway in which configured remotes reach everything.
    pub behind: Vec<String>,
    /// Further lines of TOML: tables that the rest does not mention, or top-level keys where it stands first.
    pub extra: String,
}

/// A router to dial.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it is, as `inet:HOST:PORT`.
    pub target: String,
    /// Who it has to be, where that matters.
    pub router_key: Option<String>,
    /// The largest frame that the link takes from us, in bytes, where it is not the default.
    pub mtu: Option<u32>,
}

/// Who a daemon is.
#[derive(Clone, Debug, Deserialize)]
pub struct Identity {
    /// Address of the gateway, which others name in their routes.
    pub address: String,
    /// Address of the router, which neighbours may expect.
    pub router_id: String,
    /// Overlay address of the gateway.
    pub overlay: Ipv6Addr,
}

/// A daemon, running or not. Dropped, it is killed.
#[derive(Debug)]
pub struct Gateway {
    node: Node,
    identity: Identity,
    process: Option<Process>,
}

impl From<&str> for Peer {
    fn from(target: &str) -> Self {
        Self { target: target.to_owned(), router_key: None, mtu: None }
    }
}

impl Peer {
    fn to_toml(&self) -> String {
        let target = quoted(&self.target);
        let key = self.router_key.as_ref().map(|key| format!(", router_key = {}", quoted(key)));
        let mtu = self.mtu.map(|mtu| format!(", mtu = {mtu}"));
        match (key, mtu) {
            (None, None) => target,
            (key, mtu) => {
                format!("{{ peer = {target}{}{} }}", key.unwrap_or_default(), mtu.unwrap_or_default())
            }
        }
    }
}

impl GatewayConfig {
    /// The configuration file of a daemon with its state in `directory`.
    fn to_toml(&self, directory: &Path) -> String {
        let inside = |name: &str| quoted(&directory.join(name).display().to_string());
        let peers: Vec<String> = self.peers.iter().map(Peer::to_toml).collect();
        let mut text = format!("state_dir = {}\npeers = [{}]\n", inside("state"), peers.join(", "));
        let _ = write!(text, "{}\n[identity]\npassphrase_file = {}\n", self.extra, inside("passphrase"));
        let _ = write!(text, "[control]\nsocket = {}\n", inside("control.sock"));
        let _ = write!(text, "[clients]\nsocket = {}\n", inside("clients.sock"));
        let addresses: Vec<String> = self.tun.iter().flatten().map(|address| quoted(address)).collect();
        let _ =
            write!(text, "[tun]\nenable = {}\naddresses = [{}]\n", self.tun.is_some(), addresses.join(", "));
        let rule = |(protocol, ports): &(&str, Vec<u16>)| {
            format!("{{ from = \"configured\", protocol = {}, ports = {ports:?} }}", quoted(protocol))
        };
        let accept: Vec<String> = self.accept.iter().map(rule).collect();
        if !accept.is_empty() || !self.behind.is_empty() {
            let _ = write!(
                text,
                "[firewall]
accept = [{}]
",
                accept.join(", ")
            );
        }
        if !self.behind.is_empty() {
            let to: Vec<String> = self.behind.iter().map(|prefix| quoted(prefix)).collect();
            let _ = writeln!(
                text,
                "rules = [{{ action = \"accept\", remote = \"configured\", protocol = \"all\", to = [{}] }}]",
                to.join(", ")
            );
        }
        for (prefix, via) in &self.routes {
            let _ = write!(text, "[[route]]\nprefix = {}\nvia = {}\n", quoted(prefix), quoted(via));
        }
        text
    }
}

/// A TOML basic string; what JSON escapes, TOML escapes alike.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Gateway {
    /// Writes a configuration on the node and lets the daemon make its identity, without starting it.
    pub fn prepare(node: Node, config: &GatewayConfig) -> Result<Self> {
        let passphrase = node.directory().join("passphrase");
        let secret = format!("only for {}", node.namespace());
        let mut private = fs::OpenOptions::new();
        let file = private.create(true).truncate(true).write(true).mode(0o600).open(&passphrase);
        std::io::Write::write_all(&mut file.context("making the passphrase file")?, secret.as_bytes())?;
        write_config(&node, config)?;
        let answer = node.run(
            gateway_program()?,
            &["identity", "-c", &config_path(&node), "--json"],
            node.limit().at_most(DAEMON_LIMIT),
        )?;
        let identity =
            serde_json::from_str(&answer).with_context(|| format!("reading identity `{answer}`"))?;
        Ok(Self { node, identity, process: None })
    }

    /// Replaces the configuration; it holds from the next start or [`reload`](Self::reload).
    pub fn configure(&self, config: &GatewayConfig) -> Result<()> {
        write_config(&self.node, config)
    }

    /// The node on which it runs.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The process id of the daemon, while it runs; it leads a process group of its own.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Starts it as `irdest-gateway` and returns once it listens and answers.
    pub fn start(&mut self) -> Result<()> {
        self.start_program(&gateway_program()?, &[])
    }

    /// Starts it by another program, which gets these arguments, then the daemon's program and its arguments, and becomes it
    /// (exec), such as `env`.
    pub fn start_by(&mut self, program: &str, arguments: &[&str]) -> Result<()> {
        let daemon = gateway_program()?.display().to_string();
        self.start_program(Path::new(program), &[arguments, &[&daemon]].concat())
    }

    /// Starts it under the name `ratmand`: the router alone.
    pub fn start_as_ratmand(&mut self) -> Result<()> {
        let name = self.node.directory().join("ratmand");
        if !name.exists() {
            symlink(gateway_program()?, &name)?;
        }
        self.start_program(&name, &[])
    }

    /// Starts it as the user nobody with the capabilities of the systemd unit, ambient ones: as that unit does where it
    /// names a user. To be called by the true root only.
    pub fn start_as_nobody(&mut self) -> Result<()> {
        let directory = self.node.directory();
        let lab = directory.parent().context("a node has its directory in that of its lab")?;
        fs::set_permissions(lab, fs::Permissions::from_mode(0o711)).context("opening the lab's directory")?;
        let own = directory.display().to_string();
        self.node.run("chown", &["-R", NOBODY, &own], self.node.limit())?;
        let program = gateway_program()?.display().to_string();
        self.start_program(Path::new("sh"), &["-c", AS_NOBODY, NOBODY, &program])
    }

    /// `before` are arguments ahead of those of the daemon.
    fn start_program(&mut self, program: &Path, before: &[&str]) -> Result<()> {
        ensure!(self.process.is_none(), "the daemon on node {} runs already", self.node.name());
        let config = config_path(&self.node);
        let arguments = [before, &["-c", &config]].concat();
        let mut process = self.node.spawn(program, &arguments, "gateway")?;
        let name = self.node.name();
        let limit = self.node.limit().at_most(DAEMON_LIMIT);
        limit.wait_for(&format!("the daemon on node {name} to listen and to answer"), || {
            ensure!(
                process.is_running(),
                "the daemon on node {name} ended at once; its log:\n{}",
                process.log()
            );
            Ok((self.node.listens(PORT)? && self.status().is_ok()).then_some(()))
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// Lets it read its configuration again with SIGHUP, and returns the line of its log about that.
    pub fn reload(&self) -> Result<String> {
        let process = self.process.as_ref().with_context(|| self.no_daemon())?;
        let before = process.log().len();
        process.signal(Signal::SIGHUP)?;
        let limit = self.node.limit().at_most(DAEMON_LIMIT);
        limit.wait_for(&format!("the daemon on node {} to reload", self.node.name()), || {
            let log = process.log();
            let new = log.get(before..).unwrap_or_default();
            Ok(new.lines().find(|line| line.contains("reloaded")).map(str::to_owned))
        })
    }

    /// What the daemon has logged so far, while it runs.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Ends it with SIGTERM.
    ///
    /// # Errors
    /// Where it does not end in time, or with an exit code other than 0.
    pub fn stop(&mut self) -> Result<()> {
        let process = self.running()?;
        let status = process.terminate(self.node.limit().at_most(DAEMON_LIMIT))?;
        ensure!(status.success(), "the daemon on node {} ended with {status}", self.node.name());
        Ok(())
    }

    /// Ends it with SIGKILL, as a power failure would.
    pub fn kill(&mut self) -> Result<()> {
        self.running().map(drop)
    }

    fn running(&mut self) -> Result<Process> {
        self.process.take().with_context(|| self.no_daemon())
    }

    fn no_daemon(&self) -> String {
        format!("no daemon runs on node {}", self.node.name())
    }

    /// What `irdest-gateway status --json` tells.
    pub fn status(&self) -> Result<Status> {
        let text = self.ask(&["status", "--json"])?;
        serde_json::from_str(&text)
            .with_context(|| format!("reading the status of node {}", self.node.name()))
    }

    /// What `irdest-gateway status` shows to people.
    pub fn status_table(&self) -> Result<String> {
        self.ask(&["status"])
    }

    /// What `irdest-gateway links --json` tells.
    pub fn links(&self) -> Result<Links> {
        let text = self.ask(&["links", "--json"])?;
        serde_json::from_str(&text).with_context(|| format!("reading the links of node {}", self.node.name()))
    }

    /// Starts another call of its program, on its own configuration, whose log is `LOG.log` in the node's directory.
    pub(crate) fn client(&self, arguments: &[&str], log: &str) -> Result<Process> {
        let config = config_path(&self.node);
        self.node.spawn(gateway_program()?, &[arguments, &["-c", &config]].concat(), log)
    }

    fn ask(&self, question: &[&str]) -> Result<String> {
        let config = config_path(&self.node);
        let arguments: Vec<&str> = question.iter().copied().chain(["-c", &config]).collect();
        self.node.run(gateway_program()?, &arguments, self.node.limit().at_most(DAEMON_LIMIT))
    }
}

fn config_path(node: &Node) -> String {
    node.directory().join("gateway.toml").display().to_string()
}

fn write_config(node: &Node, config: &GatewayConfig) -> Result<()> {
    let path = PathBuf::from(config_path(node));
    fs::write(&path, config.to_toml(&node.directory())).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_daemons_configuration() {
        let config = GatewayConfig {
            peers: vec![
                "inet:192.0.2.2:5860".into(),
                Peer { router_key: Some("RRRR".into()), ..Peer::from("inet:[2001:db8::2]:5860") },
                Peer { mtu: Some(1280), ..Peer::from("inet:192.0.2.3:5860") },
            ],
            routes: vec![("10.66.2.0/24".into(), "AAAA-BBBB".into())],
            tun: Some(vec!["10.66.1.1/24".into()]),
            accept: vec![("tcp", vec![8080, 22]), ("udp", vec![5201])],
            behind: vec!["10.66.3.0/24".into()],
            extra: "accept_unknown_peers = true".into(),
        };
        let expected = r#"state_dir = "/lab/a/state"
peers = ["inet:192.0.2.2:5860", { peer = "inet:[2001:db8::2]:5860", router_key = "RRRR" }, { peer = "inet:192.0.2.3:5860", mtu = 1280 }]
accept_unknown_peers = true
[identity]
passphrase_file = "/lab/a/passphrase"
[control]
socket = "/lab/a/control.sock"
[clients]
socket = "/lab/a/clients.sock"
[tun]
enable = true
addresses = ["10.66.1.1/24"]
[firewall]
accept = [{ from = "configured", protocol = "tcp", ports = [8080, 22] }, { from = "configured", protocol = "udp", ports = [5201] }]
rules = [{ action = "accept", remote = "configured", protocol = "all", to = ["10.66.3.0/24"] }]
[[route]]
prefix = "10.66.2.0/24"
via = "AAAA-BBBB"
"#;
        assert_eq!(config.to_toml(Path::new("/lab/a")), expected);
    }

    #[test]
    fn a_router_alone_has_no_tun() {
        let text = GatewayConfig::default().to_toml(Path::new("/lab/r"));
        assert!(text.contains("[tun]\nenable = false\naddresses = []\n"), "{text}");
        assert!(text.contains("peers = []\n"), "{text}");
    }
}
