// SPDX-License-Identifier: AGPL-3.0-or-later
//! Two network namespaces with a veth pair between them.

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;

use ebpf_loader::{Interface, Layer};
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns, unshare};

/// The near end, with the probes.
pub(crate) const NEAR: &str = "near";

/// Runs a case on a thread in a network namespace of its own.
pub(crate) fn run(case: impl FnOnce() + Send + 'static) {
    let thread = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("CAP_SYS_ADMIN is needed");
        ip("link set lo up");
        case();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// `ip ARGUMENTS` in the namespace of this thread.
pub(crate) fn ip(arguments: &str) {
    program("ip", arguments);
}

/// What a program of iproute2 prints; it must succeed.
pub(crate) fn program(name: &str, arguments: &str) -> String {
    let output = Command::new(name).args(arguments.split_whitespace()).output().expect("iproute2 is needed");
    assert!(output.status.success(), "{name} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// An interface of this thread's namespace, with Ethernet headers.
pub(crate) fn interface(name: &str) -> Interface {
    Interface { index: if_nametoindex(name).unwrap(), name: name.to_owned(), layer: Layer::Ethernet }
}

/// A namespace behind a veth: 10.8.0.1 and fd08::1 are near, 10.8.0.2 and fd08::2 far.
pub(crate) struct Far {
    home: File,
    away: File,
}

impl Far {
    pub(crate) fn new() -> Self {
        let home = current();
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let far = Self { home, away: current() };
        setns(&far.home, CloneFlags::CLONE_NEWNET).unwrap();
        ip(&format!("link add {NEAR} type veth peer name far"));
        let target = format!("/proc/{}/fd/{}", std::process::id(), far.away.as_raw_fd());
        ip(&format!("link set far netns {target}"));
        for (name, number) in [(NEAR, 1), ("far", 2)] {
            let up = || {
                ip(&format!("addr add 10.8.0.{number}/24 dev {name}"));
                ip(&format!("addr add fd08::{number}/64 dev {name} nodad"));
                ip(&format!("link set {name} up"));
            };
            if number == 1 { up() } else { far.enter(up) }
        }
        far
    }

    /// Runs `task` on this thread in the far namespace; sockets made there stay there.
    pub(crate) fn enter<T>(&self, task: impl FnOnce() -> T) -> T {
        setns(&self.away, CloneFlags::CLONE_NEWNET).unwrap();
        let result = task();
        setns(&self.home, CloneFlags::CLONE_NEWNET).unwrap();
        result
    }
}

/// An address of one of the two ends.
pub(crate) fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn current() -> File {
    File::open("/proc/thread-self/ns/net").unwrap()
}
