// SPDX-License-Identifier: AGPL-3.0-or-later
//! The TUN driver, the kernel, and what it lets be loaded.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use caps::{CapSet, Capability};
use nix::unistd::geteuid;

use super::modules::{self, proc_text};
use crate::config::Config;
use crate::doctor::judge::device::{Device, Driver, Interface, ProbesSeen};
use crate::doctor::judge::kernel::{Kernel, Version};

const TUN: &str = "/dev/net/tun";

/// Looks at what a TUN device is made with.
pub(super) fn look(config: &Config) -> Device {
    let may_configure = caps::has_cap(None, CapSet::Effective, Capability::CAP_NET_ADMIN).ok();
    Device {
        driver: driver(),
        may_configure: may_configure.filter(|may| *may || geteuid().is_root()),
        interface: interface(config.tun.name.as_str()),
    }
}

fn driver() -> Driver {
    match fs::metadata(TUN) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Driver::Refused(error.to_string());
        }
        Ok(meta) if meta.file_type().is_char_device() => {}
        Ok(_) | Err(_) => return Driver::Missing,
    }
    // Opening the device would load the module; where it is not loaded, it is enough that there is one.
    if !Path::new("/sys/class/misc/tun").exists() && Path::new("/sys/class/misc").exists() {
        return if modules::has("tun") { Driver::Ready } else { Driver::Missing };
    }
    match fs::File::options().read(true).write(true).open(TUN) {
        Ok(_) => Driver::Ready,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Driver::Refused(error.to_string()),
        Err(_) => Driver::Missing,
    }
}

/// A device of ours has a file of flags that no other kind has.
fn interface(name: &str) -> Interface {
    let folder = Path::new("/sys/class/net").join(name);
    if !folder.exists() {
        return Interface::Absent;
    }
    if !folder.join("tun_flags").exists() {
        return Interface::Other;
    }
    let flags = proc_text(&folder.join("flags").display().to_string());
    let flags = flags.strip_prefix("0x").and_then(|digits| u32::from_str_radix(digits, 16).ok());
    // IFF_UP (netdevice(7)).
    Interface::Tun { up: flags.is_none_or(|flags| flags & 1 != 0) }
}

/// Asks whether probes could be loaded.
pub(super) fn probes() -> ProbesSeen {
    let lockdown = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    ProbesSeen {
        loadable: ebpf_loader::loadable().map(drop).map_err(|error| error.to_string()),
        // What was left out of this program, and the kernel's age, are the same for everybody.
        counts: geteuid().is_root() || ebpf_loader::object().is_none(),
        locked_down: lockdown.contains("[confidentiality]"),
    }
}

/// Reads which kernel runs.
pub(super) fn kernel() -> Kernel {
    let (release, version) = (proc_text("/proc/sys/kernel/osrelease"), proc_text("/proc/sys/kernel/version"));
    let signature = fs::read_to_string("/proc/version_signature").ok();
    let found = Version::find(&release, &version, signature.as_deref());
    Kernel { version: found.ok_or_else(|| format!("the version of this kernel is not known: {release:?}")) }
}
