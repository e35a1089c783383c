// SPDX-License-Identifier: AGPL-3.0-or-later
//! The lab for people who are not root: a user namespace in which they are, where the kernel allows it.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::unistd::geteuid;

use crate::lab_name::LabName;
use crate::programs::command;

/// What a normal user is told where the kernel refuses.
const REFUSED: &str = "the lab needs network namespaces, and this kernel lets only root make them.\n\
    Run the command as root, or allow user namespaces (as root, until the next start of the machine):\n\
    \x20   sysctl -w user.max_user_namespaces=10000\n\
    \x20   sysctl -w kernel.unprivileged_userns_clone=1            # Debian before 12\n\
    \x20   sysctl -w kernel.apparmor_restrict_unprivileged_userns=0  # Ubuntu from 24.04";

/// What TUN devices are made with; on Debian everybody may open it.
const TUN: &str = "/dev/net/tun";

/// Inside, `/run` is empty and private, so that named network namespaces can be made there.
const PREPARE: &str = "mount -t tmpfs tmpfs /run && ip link set lo up && exec \"$@\"";

/// The command as it has to be started so that it may make labs: as it is for root, and in namespaces of its
/// own for a normal user.
///
/// # Errors
/// Where the kernel refuses; the message says what to do.
pub fn isolated(program: Command) -> Result<Command> {
    if geteuid().is_root() {
        return Ok(program);
    }
    if !in_new_namespaces().arg("true").stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
        bail!(REFUSED);
    }
    let device = File::options().read(true).write(true).open(TUN);
    device.with_context(|| {
        format!("{TUN} has to be there (`modprobe tun`) and open for all (`chmod 666 {TUN}`)")
    })?;
    let mut wrapped = in_new_namespaces();
    wrapped.arg(program.get_program()).args(program.get_args());
    for (key, value) in program.get_envs() {
        match value {
            Some(value) => wrapped.env(key, value),
            None => wrapped.env_remove(key),
        };
    }
    if let Some(folder) = program.get_current_dir() {
        wrapped.current_dir(folder);
    }
    Ok(wrapped)
}

fn in_new_namespaces() -> Command {
    let mut unshare = command("unshare");
    unshare.args(["--user", "--map-root-user", "--net", "--mount", "--", "sh", "-c", PREPARE, "sh"]);
    unshare
}

/// A command that starts a program in the directory of a node of a living lab, also from outside of the lab's
/// user namespace.
pub fn enter_lab(lab: LabName, node: &str, program: &str) -> Command {
    let directory = lab.directory().join(node).display().to_string();
    let namespace = lab.namespace(node);
    let owner = lab.owner().to_string();
    let user_namespace = |process: &str| fs::read_link(Path::new("/proc").join(process).join("ns/user")).ok();
    let mut enter = if user_namespace(&owner) == user_namespace("self") {
        command("env")
    } else {
        let mut enter = command("nsenter");
        enter.args(["--target", &owner, "--user", "--mount", "--net", "--preserve-credentials", "--"]);
        enter
    };
    // Only inside: who enters a mount namespace starts at its root.
    enter.args(["sh", "-c", "cd \"$1\" && shift && exec \"$@\"", "sh", &directory]);
    enter.args(["ip", "netns", "exec", &namespace, program]);
    enter
}

/// The number of the user outside, where this is a user namespace that has one user (user_namespaces(7)).
pub(crate) fn user_outside() -> Result<Option<u32>> {
    Ok(only_user(&fs::read_to_string("/proc/self/uid_map").context("reading the users of this namespace")?))
}

/// In the first namespace all numbers stand for themselves; in one of `unshare` a single one is mapped.
fn only_user(uid_map: &str) -> Option<u32> {
    let mut numbers = uid_map.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(0)), Some(Ok(outside)), Some(Ok(1)), None) => Some(outside),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_namespace_with_one_user() {
        assert_eq!(only_user("         0          0 4294967295\n"), None);
        assert_eq!(only_user("         0       1000          1\n"), Some(1000));
        assert_eq!(only_user("0 1000 1\n1 100000 65536\n"), None);
    }
}
