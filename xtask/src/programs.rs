// SPDX-License-Identifier: AGPL-3.0-or-later
//! Programs of the system that commands need, and the Debian packages that hold them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use irdest_lab::find_program;
use nix::unistd::geteuid;

use crate::cargo::run;

/// A program, and how to get it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    /// The call that succeeds where it is complete; where it is a bare name, that the file exists is enough.
    probe: &'static [&'static str],
    /// Debian packages that bring it.
    packages: &'static [&'static str],
}

/// A C compiler with its library, for the assembly in the packages of cryptography.
pub(crate) const CC: Program = Program { probe: &["cc"], packages: &["gcc", "libc6-dev"] };
/// Namespaces, devices, addresses.
pub(crate) const IP: Program = Program { probe: &["ip"], packages: &["iproute2"] };
/// Reachability.
pub(crate) const PING: Program = Program { probe: &["ping"], packages: &["iputils-ping"] };
/// Throughput.
pub(crate) const IPERF3: Program = Program { probe: &["iperf3"], packages: &["iperf3"] };
/// HTTP at both ends. `python3-minimal` has the program without these modules.
pub(crate) const PYTHON: Program =
    Program { probe: &["python3", "-c", "import http.server, urllib.request"], packages: &["python3"] };
/// Login from one node to another.
pub(crate) const SSH: Program = Program { probe: &["ssh"], packages: &["openssh-client"] };
/// The other end of it.
pub(crate) const SSHD: Program = Program { probe: &["sshd"], packages: &["openssh-server"] };

/// The filter and NAT of what a gateway forwards.
pub(crate) const NFT: Program = Program { probe: &["nft"], packages: &["nftables"] };

/// WireGuard in user space, and what configures it.
pub(crate) const WIREGUARD_GO: Program = Program { probe: &["wireguard-go"], packages: &["wireguard-go"] };
/// See [`WIREGUARD_GO`].
pub(crate) const WG: Program = Program { probe: &["wg"], packages: &["wireguard-tools"] };
/// Another mesh.
pub(crate) const TINC: Program = Program { probe: &["tincd"], packages: &["tinc"] };

/// A daemon whose wall clock is wrong.
pub(crate) const FAKETIME: Program = Program { probe: &["faketime"], packages: &["faketime"] };

/// What looks through the scripts of the package.
pub(crate) const SHELLCHECK: Program = Program { probe: &["shellcheck"], packages: &["shellcheck"] };
/// What looks through the unit.
pub(crate) const SYSTEMD_ANALYZE: Program = Program { probe: &["systemd-analyze"], packages: &["systemd"] };

/// What a package needs of other packages, found out from the libraries that its programs load.
pub(crate) const DPKG_DEV: Program = Program { probe: &["dpkg-shlibdeps"], packages: &["dpkg-dev"] };
/// What boots a Debian tree.
pub(crate) const NSPAWN: Program = Program { probe: &["systemd-nspawn"], packages: &["systemd-container"] };
/// What makes one.
pub(crate) const MMDEBSTRAP: Program = Program { probe: &["mmdebstrap"], packages: &["mmdebstrap"] };
/// What enters it.
pub(crate) const NSENTER: Program = Program { probe: &["nsenter"], packages: &["util-linux"] };

/// What the window is made with.
pub(crate) const GTK: Program =
    Program { probe: &["pkg-config", "--exists", "gtk4"], packages: &["pkg-config", "libgtk-4-dev"] };
/// A screen that nobody sees.
pub(crate) const XVFB: Program = Program { probe: &["Xvfb"], packages: &["xvfb", "fonts-dejavu-core"] };
/// Pictures of it.
pub(crate) const IMPORT: Program = Program { probe: &["import", "-version"], packages: &["imagemagick"] };
/// What reads them.
pub(crate) const TESSERACT: Program =
    Program { probe: &["tesseract"], packages: &["tesseract-ocr", "tesseract-ocr-eng"] };

/// A Rust compiler with a library for the kernel's own programs.
pub(crate) const RUSTC_BPF: Program = Program {
    probe: &["sh", "-c", "test -x /usr/bin/cargo && test -d /usr/lib/rustlib/bpfel-unknown-none"],
    packages: &["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"],
};
/// What bpf-linker is made of.
pub(crate) const LLVM: Program =
    Program { probe: &["llvm-config-22", "--libdir"], packages: &["llvm-22-dev"] };
/// Libraries that LLVM refers to.
pub(crate) const COMPRESSION: Program = Program {
    probe: &["sh", "-c", "echo 'int main(void) { return 0; }' | cc -x c - -lz -lzstd -o /dev/null"],
    packages: &["zlib1g-dev", "libzstd-dev"],
};
/// Filters of interfaces.
pub(crate) const TC: Program = Program { probe: &["tc"], packages: &["iproute2"] };
/// What the programs in the kernel cost.
pub(crate) const BPFTOOL: Program = Program { probe: &["bpftool"], packages: &["bpftool"] };

/// What the daemon's build needs.
pub(crate) const TO_BUILD: &[Program] = &[CC];
/// What making the Debian package needs besides.
pub(crate) const TO_PACKAGE: &[Program] = &[CC, DPKG_DEV];
/// What the build of the probes needs, where rustup's nightly compiler cannot do it.
pub(crate) const TO_BUILD_PROBES: &[Program] = &[CC, RUSTC_BPF];
/// What the build of their linker needs.
pub(crate) const TO_BUILD_LINKER: &[Program] = &[CC, LLVM, COMPRESSION];
/// What the tests of the probes need.
pub(crate) const TO_TEST_PROBES: &[Program] = &[IP, TC, PING];
/// What a lab needs.
pub(crate) const FOR_A_LAB: &[Program] = &[IP];
/// What the demonstration shows its traffic with.
pub(crate) const TO_DEMONSTRATE: &[Program] = &[IP, PING, IPERF3, PYTHON];
/// What the lab tests send, and what judges scripts and unit.
pub(crate) const TO_TEST: &[Program] =
    &[IP, TC, PING, IPERF3, PYTHON, SSH, SSHD, NFT, FAKETIME, SHELLCHECK, SYSTEMD_ANALYZE];
/// What boots trees; what runs inside is theirs.
pub(crate) const TO_TEST_THE_SYSTEM: &[Program] = &[IP, NSPAWN, MMDEBSTRAP, NSENTER];
/// What shows the window, and reads what it shows.
pub(crate) const TO_TEST_THE_WINDOW: &[Program] = &[CC, IP, GTK, XVFB, IMPORT, TESSERACT];
/// What the bench measures with.
pub(crate) const TO_MEASURE: &[Program] = &[IP, PING, IPERF3];
/// What the bench of links measures with.
pub(crate) const TO_MEASURE_LINKS: &[Program] = &[IP, TC, PING, IPERF3, PYTHON, BPFTOOL];
/// Other products that Debian has.
pub(crate) const FOR_PEERS: &[Program] = &[WIREGUARD_GO, WG, TINC];

/// Makes sure that the programs are there: as root it installs those that are missing, and says so.
///
/// # Errors
/// For a normal user, and where there is no apt: the message is the command that installs them.
pub(crate) fn require(programs: &[Program]) -> Result<()> {
    let missing = missing_packages(programs, is_there);
    if missing.is_empty() {
        return Ok(());
    }
    if !geteuid().is_root() || find_program("apt-get").is_none() {
        bail!("programs are missing; on Debian this installs them, as root:\n\n    {}\n", by_hand(&missing));
    }
    println!("Installing with apt-get what is missing here: {}", missing.join(" "));
    install(&missing)?;
    let still = missing_packages(programs, is_there);
    if !still.is_empty() {
        bail!("apt-get has installed {}, but not all of their programs work", still.join(" "));
    }
    Ok(())
}

fn missing_packages(programs: &[Program], is_there: impl Fn(&Program) -> bool) -> Vec<&'static str> {
    let missing = programs.iter().filter(|program| !is_there(program));
    missing.flat_map(|program| program.packages).copied().collect()
}

fn by_hand(packages: &[&str]) -> String {
    format!("apt-get update && apt-get install --no-install-recommends {}", packages.join(" "))
}

fn is_there(program: &Program) -> bool {
    let [name, arguments @ ..] = program.probe else { return false };
    let Some(file) = find_program(name) else { return false };
    if arguments.is_empty() {
        return true;
    }
    let mut probe = Command::new(file);
    probe.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

fn install(packages: &[&str]) -> Result<()> {
    let _no_daemons = NoDaemons::declare()?;
    let install = |quiet: bool| {
        // What would push something else out is for the administrator to decide.
        let mut command = apt_get(&["install", "--yes", "--quiet", "--no-install-recommends", "--no-remove"]);
        command.args(packages);
        if quiet {
            command.stderr(Stdio::null());
        }
        run(&mut command)
    };
    // The lists may be missing or older than the packages that they name: only then they are fetched.
    if install(true).is_err() {
        run(&mut apt_get(&["update", "--quiet"]))?;
        install(false).with_context(|| format!("by hand: {}", by_hand(packages)))?;
    }
    if packages.contains(&"openssh-server") {
        forget_ssh_service();
    }
    Ok(())
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    command
}

/// Only the program `sshd` was wanted: a machine must not let people in because it ran a test.
fn forget_ssh_service() {
    if find_program("systemctl").is_some() {
        println!("The service ssh of openssh-server stays off; `systemctl enable ssh` is yours to type.");
        // Where there is no such service there is nothing to disable.
        let _ = Command::new("systemctl").args(["--quiet", "disable", "ssh.service"]).status();
    }
}

/// While it lives, packages that are installed may not start their daemons (Debian policy, invoke-rc.d(8)).
struct NoDaemons {
    remove: Option<PathBuf>,
}

impl NoDaemons {
    fn declare() -> Result<Self> {
        let policy = Path::new("/usr/sbin/policy-rc.d");
        if policy.exists() {
            // The administrator has a policy already, and it is not ours to replace.
            return Ok(Self { remove: None });
        }
        let declared = Self { remove: Some(policy.to_owned()) };
        fs::write(policy, "#!/bin/sh\nexit 101\n").context("forbidding packages to start daemons")?;
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))?;
        Ok(declared)
    }
}

impl Drop for NoDaemons {
    fn drop(&mut self) {
        if let Some(error) = self.remove.as_ref().and_then(|policy| fs::remove_file(policy).err()) {
            eprintln!("could not remove /usr/sbin/policy-rc.d, please do: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_the_packages_of_missing_programs_only() {
        assert!(missing_packages(TO_TEST, |_| true).is_empty());
        let without_ping = |program: &Program| program.probe != ["ping"];
        assert_eq!(missing_packages(TO_DEMONSTRATE, without_ping), ["iputils-ping"]);
        assert_eq!(missing_packages(TO_BUILD, |_| false), ["gcc", "libc6-dev"]);
    }

    #[test]
    fn a_probe_is_tried_and_not_only_looked_for() {
        let probe = |probe| is_there(&Program { probe, packages: &[] });
        assert!(probe(&["sh"]) && probe(&["sh", "-c", "exit 0"]));
        assert!(!probe(&["sh", "-c", "exit 1"]) && !probe(&["no-such-program-anywhere"]));
    }

    #[test]
    fn says_the_whole_command() {
        let command = "apt-get update && apt-get install --no-install-recommends iperf3 python3";
        assert_eq!(by_hand(&["iperf3", "python3"]), command);
    }
}
