// SPDX-License-Identifier: AGPL-3.0-or-later
//! A minimal Debian 12 in a folder: made once by mmdebstrap, kept, and never booted itself.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use irdest_lab::{Process, TimeLimit};
use nix::unistd::geteuid;

use crate::sources::{SUITE, Sources};

/// The environment variable that names the folder in which trees are kept.
pub const TREES: &str = "IRDEST_TREES";

/// What a tree has beside Debian's essential packages and apt: what a server has that the package is installed on, and what
/// the tests use.
const PACKAGES: &str = "systemd,systemd-sysv,iproute2,iputils-ping,nftables,procps,kmod,iperf3,faketime";

/// Units that only cost time: nobody logs in, nothing is updated, and no clock is set.
const MASKED: [&str; 9] = [
    "console-getty.service",
    "getty.target",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "systemd-logind.service",
    "systemd-update-utmp-runlevel.service",
];

/// How long a mirror may take: some 80 MB, unpacked by slow processors.
const MAKE_LIMIT: Duration = Duration::from_secs(900);

/// The folder of a Debian 12 that all trees share and none writes to.
#[derive(Clone, Debug)]
pub struct BaseTree {
    root: PathBuf,
}

impl BaseTree {
    /// The tree in the folder that `IRDEST_TREES` names, where [`BaseTree::keep`] has made it.
    ///
    /// # Errors
    /// Where the variable is not set or there is no such tree.
    pub fn kept() -> Result<Self> {
        let run = "`cargo xtask test --system` makes it";
        let folder =
            std::env::var_os(TREES).with_context(|| format!("{TREES} names no folder of trees: {run}"))?;
        let root = Path::new(&folder).join(SUITE);
        ensure!(root.is_dir(), "there is no tree at {}: {run}", root.display());
        Ok(Self { root })
    }

    /// The tree in the folder; it is made where it is not there or was made in another way, which takes minutes.
    ///
    /// # Errors
    /// For users other than root, and where mmdebstrap fails; the message has what it said.
    pub fn keep(folder: &Path) -> Result<Self> {
        let (root, recipe) = (folder.join(SUITE), folder.join(format!("{SUITE}.recipe")));
        let wanted = wanted_recipe();
        if fs::read_to_string(&recipe).is_ok_and(|made| made == wanted) && root.is_dir() {
            return Ok(Self { root });
        }
        ensure!(geteuid().is_root(), "only root can make and boot trees");
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let new = folder.join(format!("{SUITE}.new"));
        for old in [&new, &root] {
            remove(old)?;
        }
        make(&new, folder)?;
        finish(&new)?;
        fs::rename(&new, &root)?;
        fs::write(&recipe, wanted)?;
        Ok(Self { root })
    }

    /// Its root folder.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

fn wanted_recipe() -> String {
    format!("{SUITE} with {PACKAGES} without {}\n", MASKED.join(","))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", folder.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Fetches and unpacks, as apt would do on this machine: with its sources, keys, proxies and other options of fetching.
fn make(root: &Path, folder: &Path) -> Result<()> {
    let sources = Sources::of_this_machine()?.write(folder)?;
    let options = folder.join("machine.conf");
    fs::write(&options, fetch_options()?).context("writing the options of apt")?;
    // What is mounted meanwhile goes with it, however it ends.
    let mut command = Command::new("unshare");
    command.args(["--mount", "mmdebstrap", "--mode=root", "--format=directory", "--variant=minbase"]);
    command.arg(format!("--include={PACKAGES}"));
    command.args(["--dpkgopt=force-unsafe-io", &format!("--aptopt={}", options.display()), SUITE]);
    command.arg(root).args(sources);
    let mut process = Process::spawn(&mut command, folder.join("mmdebstrap.log"))?;
    let status = process.wait(TimeLimit::within(MAKE_LIMIT))?;
    ensure!(status.success(), "making a tree of Debian {SUITE} failed, {status}:\n{}", process.log());
    Ok(())
}

/// The options of apt.conf(5) by which this machine fetches.
fn fetch_options() -> Result<String> {
    let output = Command::new("apt-config").arg("dump").output().context("starting apt-config")?;
    ensure!(output.status.success(), "apt-config dump: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().filter(|line| line.starts_with("Acquire::")).map(|line| format!("{line}\n")).collect())
}

/// Makes it anybody's: every boot has a name of its own, and nothing of this machine's network.
fn finish(root: &Path) -> Result<()> {
    let etc = root.join("etc");
    for of_this_machine in ["hostname", "resolv.conf"] {
        let file = etc.join(of_this_machine);
        if file.exists() {
            fs::remove_file(&file).with_context(|| format!("removing {}", file.display()))?;
        }
    }
    fs::write(etc.join("machine-id"), "").context("emptying the machine's number")?;
    for unit in MASKED {
        let mask = etc.join("systemd/system").join(unit);
        match symlink(OsStr::new("/dev/null"), &mask) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(error).with_context(|| format!("masking {unit}"))?;
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_of_the_same_recipe_is_taken_as_it_is() {
        let folder = std::env::temp_dir().join(format!("irdest-trees-{}", std::process::id()));
        fs::create_dir_all(folder.join(SUITE)).unwrap();
        fs::write(folder.join(format!("{SUITE}.recipe")), wanted_recipe()).unwrap();
        let tree = BaseTree::keep(&folder).unwrap();
        assert_eq!(tree.root(), folder.join(SUITE));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_finished_tree_has_no_name_and_no_network() {
        let root = std::env::temp_dir().join(format!("irdest-tree-{}", std::process::id()));
        fs::create_dir_all(root.join("etc/systemd/system")).unwrap();
        fs::write(root.join("etc/hostname"), "somebody").unwrap();
        finish(&root).unwrap();
        finish(&root).unwrap();
        assert!(!root.join("etc/hostname").exists());
        assert_eq!(fs::read(root.join("etc/machine-id")).unwrap(), b"");
        let mask = fs::read_link(root.join("etc/systemd/system/getty.target")).unwrap();
        assert_eq!(mask, Path::new("/dev/null"));
        fs::remove_dir_all(root).unwrap();
    }
}
