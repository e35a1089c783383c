// SPDX-License-Identifier: AGPL-3.0-or-later
//! A thread in a network namespace of its own, and the interfaces in it.

use std::fs::File;
use std::future::Future;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};

use crate::ethtool::without_offloads;

/// Longer than any case takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// One case at a time: an `ip` that another case starts holds our descriptors between its fork and its exec, so that
/// a closed device would still be there.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs a case on a thread and a runtime of its own, in a fresh namespace with its loopback up.
pub(crate) fn run<Case: Future<Output = ()>>(case: impl FnOnce() -> Case + Send + 'static) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let thread = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("CAP_SYS_ADMIN is needed");
        ip("link set lo up");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(DEADLINE, case()).await.expect("in time") });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// `ip ARGUMENTS` in the namespace of this thread.
pub(crate) fn ip(arguments: &str) {
    run_program("ip", arguments);
}

/// A program of iproute2 in the namespace of this thread; it must succeed.
pub(crate) fn run_program(program: &str, arguments: &str) {
    let output =
        Command::new(program).args(arguments.split_whitespace()).output().expect("iproute2 is needed");
    assert!(output.status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A counter of TCP in the namespace of this thread.
pub(crate) fn tcp_counter(name: &str) -> u64 {
    let counters = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let mut lines = counters.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|other| other == name).unwrap();
    values.split(' ').nth(at).unwrap().parse().unwrap()
}

/// What `ip ARGUMENTS` prints.
pub(crate) fn ip_says(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("iproute2 is needed");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `task`, and returns what was logged beside it.
pub(crate) fn saying<T>(task: impl FnOnce() -> T) -> (T, String) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let writer = Log(Arc::clone(&log));
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let result = tracing::subscriber::with_default(subscriber, task);
    let said = String::from_utf8(log.lock().unwrap().clone()).unwrap();
    (result, said)
}

#[derive(Clone)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Nobody else is on our links, so nothing is gained by waiting for who might have the same address.
const NO_DAD: (&str, &str) = ("ipv6/conf/default/dad_transmits", "0");

/// A second namespace, behind a veth whose two ends have no offloads: what crosses it is complete, or is dropped.
pub(crate) struct Behind {
    home: File,
    away: File,
}

impl Behind {
    pub(crate) fn a_veth() -> Self {
        let home = current();
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let away = current();
        sysctl(NO_DAD.0, NO_DAD.1);
        setns(&home, CloneFlags::CLONE_NEWNET).unwrap();
        sysctl(NO_DAD.0, NO_DAD.1);
        let behind = Self { home, away };
        let target = format!("/proc/{}/fd/{}", std::process::id(), behind.away.as_raw_fd());
        ip("link add near type veth peer name far");
        ip(&format!("link set far netns {target}"));
        for path in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            sysctl(path, "1");
        }
        without_offloads("near");
        up("near", "10.8.0.1/24", "fd08::1/64");
        behind.enter(|| {
            without_offloads("far");
            up("far", "10.8.0.2/24", "fd08::2/64");
            await_ipv6("far", "fd08::/64");
            ip("route add default via 10.8.0.1");
            ip("route add default via fd08::1");
        });
        await_ipv6("near", "fd08::/64");
        behind
    }

    /// Runs `task` on this thread, in the second namespace; sockets made there stay there.
    pub(crate) fn enter<T>(&self, task: impl FnOnce() -> T) -> T {
        setns(&self.away, CloneFlags::CLONE_NEWNET).unwrap();
        let result = task();
        setns(&self.home, CloneFlags::CLONE_NEWNET).unwrap();
        result
    }
}

/// Gives an interface its addresses and brings it up.
pub(crate) fn up(interface: &str, v4: &str, v6: &str) {
    ip(&format!("addr add {v4} dev {interface}"));
    ip(&format!("addr add {v6} dev {interface} nodad"));
    ip(&format!("link set {interface} up"));
}

/// Waits until IPv6 works on an interface that is up.
///
/// The kernel makes its route and takes its addresses into use some time after the carrier is there, on a machine under
/// load visibly later; until then it drops what comes.
pub(crate) fn await_ipv6(interface: &str, prefix: &str) {
    let start = Instant::now();
    while !ip_says(&format!("-6 route show dev {interface}")).contains(prefix)
        || !ip_says(&format!("-6 addr show dev {interface} tentative")).is_empty()
        || ip_says(&format!("-6 addr show dev {interface} scope link")).is_empty()
    {
        assert!(start.elapsed() < DEADLINE, "{interface} gets no IPv6");
        thread::yield_now();
    }
}

/// Sets a value of this thread's network namespace.
fn sysctl(path: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/{path}"), value).unwrap();
}

fn current() -> File {
    File::open("/proc/thread-self/ns/net").unwrap()
}
