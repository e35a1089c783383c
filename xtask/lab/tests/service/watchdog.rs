// SPDX-License-Identifier: AGPL-3.0-or-later
//! The watchdog of the service manager is fed while every thread goes on, and no longer. Threads are stopped one by one with
//! ptrace(2), as if they hung.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use irdest_lab::Gateway;
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::scene::{complete, prepared};

/// What the service manager allows.
const LIMIT: Duration = Duration::from_secs(1);

/// A service manager that listens.
struct Manager(UnixDatagram);

impl Manager {
    /// The next message, if it comes in time.
    fn next(&self, limit: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(limit)).unwrap();
        let mut message = [0; 4096];
        match self.0.recv(&mut message) {
            Ok(length) => Some(String::from_utf8(message[..length].to_vec()).unwrap()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// How often it is fed from now on within `time`.
    fn fed(&self, time: Duration) -> usize {
        while self.next(Duration::from_millis(1)).is_some() {}
        let end = Instant::now() + time;
        let mut fed = 0;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            fed += usize::from(self.next(left).is_some_and(|message| message == "WATCHDOG=1\n"));
        }
        fed
    }

    fn wait_for(&self, wanted: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        while self.next(LIMIT).as_deref() != Some(wanted) {
            assert!(Instant::now() < end, "no {wanted}");
        }
    }
}

/// Threads that are stopped until this is dropped, by the thread of the test that made it.
struct Stopped(Vec<Pid>);

impl Stopped {
    fn new(threads: Vec<Pid>) -> Self {
        for thread in &threads {
            ptrace::seize(*thread, ptrace::Options::empty()).unwrap();
            ptrace::interrupt(*thread).unwrap();
            waitpid(*thread, Some(WaitPidFlag::__WALL)).unwrap();
        }
        Self(threads)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for thread in &self.0 {
            // It has ended where this fails.
            let _ = ptrace::detach(*thread, None);
        }
    }
}

/// The threads of a daemon with this name.
fn threads(gateway: &Gateway, name: &str) -> Vec<Pid> {
    let folder = format!("/proc/{}/task", gateway.process_id().unwrap());
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let named = entries.filter(|entry| fs::read_to_string(entry.path().join("comm")).unwrap().trim() == name);
    named.map(|entry| Pid::from_raw(entry.file_name().to_str().unwrap().parse().unwrap())).collect()
}

#[test]
fn the_watchdog_is_fed_only_while_every_thread_goes_on() {
    let mut routers = prepared();
    let socket = routers.a.node().directory().join("notify");
    let manager = Manager(UnixDatagram::bind(&socket).unwrap());
    let notify = format!("NOTIFY_SOCKET={}", socket.display());
    let limit = format!("WATCHDOG_USEC={}", LIMIT.as_micros());
    routers.a.start_by("env", &[&notify, &limit]).unwrap();
    complete(&mut routers);
    let fed = manager.fed(LIMIT * 3);
    assert!((3..=7).contains(&fed), "twice in the limit: {fed}");

    let main = Pid::from_raw(routers.a.process_id().unwrap().try_into().unwrap());
    let data = threads(&routers.a, "data");
    assert!(!data.is_empty());
    for hanging in [vec![main], data] {
        let stopped = Stopped::new(hanging);
        // One may have been on its way.
        assert!(manager.fed(LIMIT * 3) <= 1, "{:?}", stopped.0);
        drop(stopped);
        manager.wait_for("WATCHDOG=1\n");
    }
    routers.a.stop().unwrap();
}
