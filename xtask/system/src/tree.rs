// SPDX-License-Identifier: AGPL-3.0-or-later
//! A tree that is booted: a node of a lab with a Debian of its own.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use irdest_lab::{Node, Process, TimeLimit};

use crate::base_tree::BaseTree;
use crate::cgroups::Cgroups;
use crate::journal::Journal;
use crate::notify_socket::NotifySocket;
use crate::processes;

/// How long a tree may take to boot or to end.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

/// How long a command in a tree may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(90);

/// Enters the control groups that it is given up to `--`, lays the tree over the base, and becomes the command that follows.
/// All that is mounted is so in its own namespace, and gone with it, also what nspawn notes about trees that it runs.
const PREPARE: &str = r#"until [ "$1" = -- ]; do echo $$ > "$1" || exit; shift; done
mount -t overlay overlay -o "$2" "$3" || exit
mkdir -p /run/systemd/nspawn && mount -t tmpfs tmpfs /run/systemd/nspawn || exit
shift 3
exec "$@""#;

/// The exit code by which systemd-nspawn asks to be started again, as its tree reboots.
const REBOOT: i32 = 133;

/// Arguments of nsenter(1) ahead of a program: all namespaces, an environment of its own, and an end with nsenter.
const INSIDE: [&str; 9] = [
    "--all",
    "env",
    "--ignore-environment",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG=C.UTF-8",
    "TERM=dumb",
    "setpriv",
    "--pdeathsig",
    "KILL",
];

/// A booted Debian. Dropped, it is killed as by a power failure.
#[derive(Debug)]
pub struct Tree {
    node: Node,
    base: BaseTree,
    notices: NotifySocket,
    running: Option<Running>,
}

/// From one boot to the next; in the order in which it has to go.
#[derive(Debug)]
struct Running {
    nspawn: Process,
    /// Known once it is up.
    leader: Option<u32>,
    _cgroups: Cgroups,
}

impl Tree {
    /// Boots a tree with the node's network, and returns once all its units have started.
    ///
    /// # Errors
    /// Where this machine cannot boot trees; the message has what systemd-nspawn said.
    pub fn boot(node: Node, base: &BaseTree) -> Result<Self> {
        let mut tree = Self::new(node, base)?;
        tree.begin_to_boot()?;
        tree.wait_until_up()?;
        Ok(tree)
    }

    /// A tree that is not booted yet.
    pub(crate) fn new(node: Node, base: &BaseTree) -> Result<Self> {
        for folder in ["upper", "work", "root"] {
            fs::create_dir(node.directory().join(folder)).context("making the folders of a tree")?;
        }
        let notices = NotifySocket::bind(node.directory().join("notices"))?;
        Ok(Self { node, base: base.clone(), notices, running: None })
    }

    pub(crate) fn begin_to_boot(&mut self) -> Result<()> {
        let cgroups = Cgroups::create(&self.node.namespace())?;
        let folder = |name: &str| self.node.directory().join(name).display().to_string();
        let overlay = format!(
            "lowerdir={},upperdir={},workdir={}",
            self.base.root().display(),
            folder("upper"),
            folder("work")
        );
        let mut command = self.node.command_outside("unshare");
        command.args(["--mount", "sh", "-c", PREPARE, "sh"]).args(cgroups.members());
        command.args(["--", &overlay, &folder("root")]);
        command.args(self.nspawn_arguments(&folder("root")));
        command.env("NOTIFY_SOCKET", self.notices.path());
        // The network is its own, and so are the sysctls of that.
        command.env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "network");
        let nspawn = Process::spawn(&mut command, self.node.directory().join("console.log"))?;
        self.running = Some(Running { nspawn, leader: None, _cgroups: cgroups });
        Ok(())
    }

    pub(crate) fn wait_until_up(&mut self) -> Result<()> {
        let limit = self.limit().at_most(BOOT_LIMIT);
        let running = self.running.as_mut().with_context(|| not_booted(&self.node))?;
        let nspawn = &mut running.nspawn;
        running.leader = Some(self.notices.wait_until_up(limit, || {
            ensure!(nspawn.is_running(), "a tree cannot be booted here; systemd-nspawn:\n{}", nspawn.log());
            Ok(())
        })?);
        Ok(())
    }

    fn nspawn_arguments(&self, root: &str) -> Vec<String> {
        let namespace = self.node.namespace();
        [
            "systemd-nspawn",
            "--quiet",
            "--boot",
            "--settings=no",
            "--register=no",
            "--keep-unit",
            "--notify-ready=yes",
            "--console=read-only",
            "--link-journal=no",
            "--resolv-conf=off",
            "--timezone=off",
            "--capability=all",
            "--system-call-filter=bpf",
            "--bind=/dev/net/tun",
            &format!("--directory={root}"),
            &format!("--machine={namespace}"),
            &format!("--hostname={}", self.node.name()),
            &format!("--network-namespace-path=/run/netns/{namespace}"),
        ]
        .map(str::to_owned)
        .into()
    }

    /// The node whose network it has.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The limit of every wait in it.
    pub fn limit(&self) -> TimeLimit {
        self.node.limit()
    }

    /// Runs a program in the tree to its end, as root, and returns its standard output.
    ///
    /// # Errors
    /// Where it fails or takes longer than 90 s; the message has its last words.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let leader = self.leader()?.to_string();
        let words = entering(&leader, program, arguments);
        self.node.run("nsenter", &words, self.limit().at_most(COMMAND_LIMIT))
    }

    /// Runs a script of sh(1), see [`Tree::run`].
    pub fn shell(&self, script: &str) -> Result<String> {
        self.run("sh", &["-c", script])
    }

    /// Starts a program in the tree that stays; its log is `LOG.log` in the node's directory.
    ///
    /// It has to be dropped before the tree is ended: systemd stops all that is left, nsenter(1) stops with its child, and
    /// then waits for somebody to continue it.
    pub fn spawn(&self, program: &str, arguments: &[&str], log: &str) -> Result<Process> {
        let leader = self.leader()?.to_string();
        self.node.spawn("nsenter", &entering(&leader, program, arguments), log)
    }

    /// Sends three echo requests from the tree, every one of which has to be answered, and returns what ping(8) says.
    pub fn ping(&self, target: &str) -> Result<String> {
        let text = self.run("ping", &["-n", "-i", "0.2", "-W", "2", "-c", "3", target])?;
        ensure!(text.contains(" 3 received"), "not all requests to {target} were answered:\n{text}");
        Ok(text)
    }

    /// Follows what the unit, and systemd about it, will write to the journal from now on.
    pub fn journal(&self, unit: &str) -> Result<Journal> {
        Journal::follow(self, unit)
    }

    /// Where a file of the tree is for this process; the path must have no symbolic links.
    pub fn path(&self, inside: &str) -> Result<PathBuf> {
        let root = PathBuf::from(format!("/proc/{}/root", self.leader()?));
        Ok(root.join(inside.trim_start_matches('/')))
    }

    /// How this machine numbers a process of the tree.
    ///
    /// # Errors
    /// Where there is none of this number in the tree.
    pub fn process(&self, inside: u32) -> Result<u32> {
        processes::outside(self.leader()?, inside)
    }

    /// Ends it in an orderly way.
    pub fn power_off(mut self) -> Result<()> {
        let code = self.end("poweroff")?;
        ensure!(code == Some(0), "the tree ended with {code:?}");
        Ok(())
    }

    /// Ends it in an orderly way and boots it again; files are as they were.
    pub fn reboot(&mut self) -> Result<()> {
        let code = self.end("reboot")?;
        ensure!(code == Some(REBOOT), "the tree ended with {code:?} and does not ask for the next boot");
        self.begin_to_boot()?;
        self.wait_until_up()
    }

    fn end(&mut self, verb: &str) -> Result<Option<i32>> {
        self.run("systemctl", &["--no-block", verb])?;
        let mut running = self.running.take().with_context(|| not_booted(&self.node))?;
        let limit = self.limit().at_most(BOOT_LIMIT);
        Ok(running.nspawn.wait(limit)?.code())
    }

    fn leader(&self) -> Result<u32> {
        self.running.as_ref().and_then(|running| running.leader).with_context(|| not_booted(&self.node))
    }
}

/// Arguments of nsenter(1) that start a program in the tree of this leader.
fn entering<'a>(leader: &'a str, program: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    [&["--target", leader][..], &INSIDE, &[program], arguments].concat()
}

fn not_booted(node: &Node) -> String {
    format!("tree {} is not booted", node.name())
}
