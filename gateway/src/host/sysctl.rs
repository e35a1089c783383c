// SPDX-License-Identifier: AGPL-3.0-or-later
//! The switches of the kernel for forwarding (Linux, Documentation/networking/ip-sysctl): on for the device and the interfaces
//! that were named, and put back.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use tracing::info;

use super::nat::Closed;
use super::record::{Changed, Record};
use super::{Forward, HostError};

/// Since Linux 6.17 IPv6 is forwarded by interface, too.
const FORCE: &str = "force_forwarding";
const ALL_V6: &str = "net/ipv6/conf/all/forwarding";

/// `/proc/sys`, in the network namespace of the thread that asks.
#[derive(Clone, Debug)]
pub(super) struct Sysctls {
    root: PathBuf,
}

/// What a sysctl has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    name: String,
    value: &'static str,
}

impl Sysctls {
    pub(super) fn of_the_host() -> Self {
        Self { root: "/proc/sys".into() }
    }

    /// What has to be set so that `forward` works between its interfaces and `device`.
    pub(super) fn wanted(&self, device: &str, forward: &Forward, record: &Record) -> Vec<Setting> {
        let mut wanted = Vec::new();
        if forward.is_off() {
            return wanted;
        }
        if !self.has_force() && self.read(ALL_V6).is_some() {
            // The switch for all interfaces makes a router of the host, which no longer listens to routers unless told to.
            if self.before(ALL_V6, record).as_deref() == Some("0") {
                wanted.extend(self.listening(record).into_iter().map(|name| Setting { name, value: "2" }));
            }
            wanted.push(Setting { name: ALL_V6.to_owned(), value: "1" });
        }
        for interface in forward.all().into_iter().chain([device]) {
            wanted.push(Setting { name: v4(interface), value: "1" });
            if self.has_force() {
                wanted.push(Setting { name: v6(interface), value: "1" });
            }
        }
        wanted
    }

    /// The interfaces from which nothing was forwarded before.
    pub(super) fn closed(&self, forward: &Forward, record: &Record) -> Closed {
        let is_off = |name: String, default: &str| {
            let value = self.before(&name, record).or_else(|| self.read(default));
            value.as_deref() == Some("0")
        };
        let closed = |name: fn(&str) -> String, default: &str| -> Vec<String> {
            let all = forward.all().into_iter();
            all.filter(|interface| is_off(name(interface), default)).map(str::to_owned).collect()
        };
        let v6_off = is_off(ALL_V6.to_owned(), ALL_V6);
        Closed {
            v4: closed(v4, "net/ipv4/conf/default/forwarding"),
            v6: if v6_off && self.has_force() { closed(v6, &v6("default")) } else { Vec::new() },
            v6_all: v6_off && !self.has_force(),
        }
    }

    /// Sets what is not so yet, remembering what it was; what cannot be set comes back in words for the operator.
    pub(super) fn set(&self, wanted: Vec<Setting>, record: &mut Record) -> Result<Vec<String>, HostError> {
        let mut words = Vec::new();
        for Setting { name, value } in wanted {
            let Some(before) = self.read(&name) else {
                words.push(format!(
                    "{name}: no such sysctl; nothing is forwarded there until the interface comes"
                ));
                continue;
            };
            if before == value {
                continue;
            }
            match File::options().write(true).open(self.root.join(&name)) {
                Ok(mut file) => {
                    record.remember(Changed { name: name.clone(), before, set: value.to_owned() })?;
                    if let Err(error) = file.write_all(value.as_bytes()) {
                        words.push(by_hand(&name, value, &error));
                    }
                }
                Err(error) => words.push(by_hand(&name, value, &error)),
            }
        }
        Ok(words)
    }

    /// Puts back all but `keep`, last first, where nobody else has changed it since; an interface may have gone.
    pub(super) fn put_back(&self, keep: &[Setting], record: &mut Record) {
        let done: Vec<_> = record.sysctls().iter().rev().cloned().collect();
        for Changed { name, before, set } in done {
            if keep.iter().any(|setting| setting.name == name) {
                continue;
            }
            if is_ours(&name)
                && self.read(&name).is_some_and(|now| now == set)
                && let Err(error) = fs::write(self.root.join(&name), &before)
            {
                info!(sysctl = name, before, %error, "could not put a sysctl back");
            }
            if let Err(error) = record.forget(&name) {
                info!(%error, "the record of changes is not up to date");
            }
        }
    }

    fn has_force(&self) -> bool {
        self.read(&v6("default")).is_some()
    }

    /// Interfaces that took their routes from router advertisements before we came, by the sysctl that says so.
    fn listening(&self, record: &Record) -> Vec<String> {
        let interfaces = fs::read_dir(self.root.join("net/ipv6/conf")).into_iter().flatten().flatten();
        let names = interfaces.filter_map(|entry| entry.file_name().into_string().ok());
        let sysctls = names.map(|interface| format!("net/ipv6/conf/{interface}/accept_ra"));
        sysctls.filter(|name| self.before(name, record).as_deref() == Some("1")).collect()
    }

    fn before(&self, name: &str, record: &Record) -> Option<String> {
        let known = record.sysctls().iter().find(|changed| changed.name == name);
        known.map(|changed| changed.before.clone()).or_else(|| self.read(name))
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.root.join(name)).ok().map(|text| text.trim().to_owned())
    }
}

fn by_hand(name: &str, value: &str, error: &io::Error) -> String {
    format!("cannot set a sysctl ({error}), please do: sysctl -w {name}={value}")
}

fn v4(interface: &str) -> String {
    format!("net/ipv4/conf/{interface}/forwarding")
}

fn v6(interface: &str) -> String {
    format!("net/ipv6/conf/{interface}/{FORCE}")
}

/// The record is a file, and a file may have been edited: nothing but what we set is written.
fn is_ours(name: &str) -> bool {
    let parts: Vec<_> = name.split('/').collect();
    matches!(
        parts[..],
        ["net", "ipv4" | "ipv6", "conf", interface, "forwarding" | FORCE | "accept_ra"] if interface != ".."
    )
}

#[cfg(test)]
mod tests;
