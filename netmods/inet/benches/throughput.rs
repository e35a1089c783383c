// SPDX-License-Identifier: AGPL-3.0-or-later
//! How fast one link over loopback carries frames, from `Outbox::send` to `Inbox::receive`: large ones as the data
//! path sends them, and small ones, whose cost is per frame. 3 s in all: `cargo bench -p netmod-inet`.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use netmod_api::{Class, DownReason, FrameParts, Inbox, LinkUp};
use netmod_inet::{Inet, InetConfig, PeerLine};
use ratman_types::{Ed25519Verifier, Hop, LinkId, SecretKey, Timestamp};
use tokio::runtime::Runtime;

/// How long each length is sent.
const DURATION: Duration = Duration::from_millis(1500);
/// A super-packet of 64 KiB as frames of 22 KiB, and as many small frames as one `writev` takes.
const CASES: [(usize, usize); 2] = [(22 * 1024, 3), (200, 64)];

/// Counts frames.
struct Counting {
    start: Instant,
    links: AtomicU32,
    frames: AtomicU64,
    up: mpsc::Sender<LinkUp>,
    writable: Mutex<bool>,
    told: Condvar,
}

impl Counting {
    fn new() -> (Arc<Self>, mpsc::Receiver<LinkUp>) {
        let (up, told) = mpsc::channel();
        let (start, links, frames) = (Instant::now(), AtomicU32::new(0), AtomicU64::new(0));
        let (writable, condvar) = (Mutex::new(false), Condvar::new());
        (Arc::new(Self { start, links, frames, up, writable, told: condvar }), told)
    }

    /// Waits until the link takes data again.
    fn wait(&self) {
        let writable = self.writable.lock().expect("no panic under this lock");
        let mut writable =
            self.told.wait_while(writable, |writable| !*writable).expect("no panic under this lock");
        *writable = false;
    }
}

impl Inbox for Counting {
    fn now(&self) -> Timestamp {
        Timestamp::default() + self.start.elapsed()
    }

    fn next_link(&self) -> LinkId {
        LinkId(self.links.fetch_add(1, Ordering::Relaxed))
    }

    fn link_up(&self, link: LinkUp) {
        // Nobody listens any more when the bench is over.
        let _ = self.up.send(link);
    }

    fn link_down(&self, _: Hop, _: DownReason) {}

    fn receive(&self, _: Hop, _: Timestamp, frames: &mut dyn Iterator<Item = &mut [u8]>) {
        let count = u64::try_from(frames.count()).expect("it fits");
        self.frames.fetch_add(count, Ordering::Relaxed);
    }

    fn writable(&self, _: Hop) {
        *self.writable.lock().expect("no panic under this lock") = true;
        self.told.notify_all();
    }
}

fn start(seed: u8, config: InetConfig, inbox: Arc<Counting>) -> Arc<Inet> {
    let key = Arc::new(SecretKey::from_seed([seed; 32]));
    Inet::start(config, key, Arc::new(Ed25519Verifier), Arc::new(|_| ()), inbox).expect("a free port")
}

/// Sends for a while, as much as the link takes; returns frames that arrived and batches that had to wait.
fn flood(link: &LinkUp, near: &Counting, far: &Counting, (length, batch): (usize, usize)) -> (u64, u64) {
    let frame = vec![0xee; length];
    let frames = vec![FrameParts::whole(&frame); batch];
    let before = far.frames.load(Ordering::Relaxed);
    let mut waits = 0;
    let start = Instant::now();
    while start.elapsed() < DURATION {
        if link.outbox.send(Class::Data, &frames).accepted == 0 {
            waits += 1;
            near.wait();
        }
    }
    (far.frames.load(Ordering::Relaxed) - before, waits)
}

fn main() -> io::Result<()> {
    let runtime = Runtime::new()?;
    let _entered = runtime.enter();
    let ((near, told), (far, _)) = (Counting::new(), Counting::new());
    let address = "127.0.0.1:0".parse().expect("an address");
    let listening = InetConfig { listen: vec![address], accept_unknown_peers: true, ..InetConfig::default() };
    let listener = start(1, listening, Arc::clone(&far));
    let address = listener.listening()[0];
    let peer = PeerLine { host: address.ip().to_string(), port: address.port(), router_key: None, mtu: None };
    let _dialer = start(2, InetConfig { peers: vec![peer], ..InetConfig::default() }, Arc::clone(&near));
    let link = told.recv().expect("the inbox lives");
    for case in CASES {
        let (frames, waits) = flood(&link, &near, &far, case);
        let millis = u64::try_from(DURATION.as_millis()).expect("it fits");
        let bits = frames * 8 * u64::try_from(case.0).expect("it fits");
        let (rate, megabits) = (frames * 1000 / millis, bits / 1000 / millis);
        let gigabits = format!("{}.{:03}", megabits / 1000, megabits % 1000);
        writeln!(io::stdout(), "{:>6} bytes: {gigabits} Gbit/s, {rate} frames/s, {waits} waits", case.0)?;
        // What still waits is not the next case's.
        while link.outbox.activity().queued_bytes > 0 {
            thread::yield_now();
        }
    }
    Ok(())
}
