// SPDX-License-Identifier: AGPL-3.0-or-later
//! One link over a slow hop with a deep queue: it is used, and its queue is not filled.
//!
//! ```text
//!   dialer 10.1.0.1 ── veth ── 10.1.0.2  hop  10.2.0.2 ── veth, shaped ── 10.2.0.1 listener
//! ```
//!
//! Needs root, or user namespaces, and iproute2.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod capacity;
mod silent;
mod trains;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use irdest_lab::{Lab, LinkEnd, Node, TimeLimit};
use netmod_api::contract::Recorder;
use netmod_api::{Class, DownReason, FrameParts, Inbox, LinkUp, Netmod, SAMPLES_EVERY, Sent};
use netmod_inet::{Inet, InetConfig, PeerLine, TrainConfig};
use ratman_types::{Ed25519Verifier, Hop, LinkId, LinkSample, SecretKey, Timestamp};
use tokio::runtime::Builder;

/// Bytes of one frame and of one call: a quarter of a super-packet.
const FRAME: usize = 16 * 1024;
/// How long is sent, and how much of that is the beginning in which the link learns.
const SENDING: Duration = Duration::from_secs(4);
const LEARNING: Duration = Duration::from_secs(1);

/// Notes how long every frame took, by the stamp that it begins with; who sends waits here while the link is busy.
struct Bench {
    recorder: Arc<Recorder>,
    start: Instant,
    arrived: Mutex<Vec<(Duration, Duration)>>,
    samples: Mutex<Vec<LinkSample>>,
    writable: Mutex<bool>,
    told: Condvar,
}

impl Bench {
    fn new(start: Instant) -> Arc<Self> {
        let (arrived, samples, writable, told) = Default::default();
        Arc::new(Self { recorder: Recorder::new(), start, arrived, samples, writable, told })
    }

    fn wait(&self) {
        let writable = self.writable.lock().unwrap();
        *self.told.wait_while(writable, |writable| !*writable).unwrap() = false;
    }

    /// Sends one frame after the other, each stamped when the link was ready for it, for some time.
    fn send(&self, time: Duration) {
        self.send_while(|| self.start.elapsed() < time);
    }

    fn send_while(&self, more: impl Fn() -> bool) {
        let mut frame = vec![0xee; FRAME];
        while more() {
            self.wait_until_ready();
            let stamp = u64::try_from(self.start.elapsed().as_micros()).unwrap();
            frame[1..9].copy_from_slice(&stamp.to_be_bytes());
            self.send_frame(&frame);
        }
    }

    fn wait_until_ready(&self) {
        while !self.recorder.link().outbox.ready() {
            self.wait();
        }
    }

    fn send_frame(&self, frame: &[u8]) {
        let sent = self.recorder.link().outbox.send(Class::Data, &[FrameParts::whole(frame)]);
        assert_eq!(sent, Sent { accepted: 1, dropped: 0 });
    }
}

impl Inbox for Bench {
    fn now(&self) -> Timestamp {
        self.recorder.now()
    }

    fn next_link(&self) -> LinkId {
        self.recorder.next_link()
    }

    fn link_up(&self, link: LinkUp) {
        self.recorder.link_up(link);
    }

    fn link_down(&self, hop: Hop, reason: DownReason) {
        self.recorder.link_down(hop, reason);
    }

    fn receive(&self, _: Hop, _: Timestamp, frames: &mut dyn Iterator<Item = &mut [u8]>) {
        let now = self.start.elapsed();
        for frame in frames {
            let stamp = Duration::from_micros(u64::from_be_bytes(*frame[1..].first_chunk().unwrap()));
            self.arrived.lock().unwrap().push((now, now.saturating_sub(stamp)));
        }
    }

    fn writable(&self, _: Hop) {
        *self.writable.lock().unwrap() = true;
        self.told.notify_all();
    }
}

/// Runs a router on a node until `done` says so, and shows it each second.
fn run(
    node: &Node,
    seed: u8,
    config: InetConfig,
    inbox: Arc<impl Inbox + 'static>,
    done: Receiver<()>,
    each_second: impl Fn(&Inet) + Send + 'static,
) {
    node.thread(move || {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let _entered = runtime.enter();
        let key = Arc::new(SecretKey::from_seed([seed; 32]));
        let verifier = Arc::new(Ed25519Verifier);
        let inet = Inet::start(config, key, verifier, Arc::new(|_| ()), inbox).unwrap();
        while done.recv_timeout(SAMPLES_EVERY) == Err(RecvTimeoutError::Timeout) {
            each_second(&inet);
        }
    })
    .unwrap();
}

/// Runs routers at the ends of a row, the second of which is dialled, until what is returned is dropped.
fn run_both<I: Inbox + 'static>(
    [dialer, _, listener]: &[Node; 3],
    [near, far]: [&Arc<I>; 2],
    trains: Option<TrainConfig>,
    each_second: [impl Fn(&Inet) + Send + 'static; 2],
) -> [Sender<()>; 2] {
    let (listening, listening_done) = channel();
    let (dialing, dialing_done) = channel();
    let address = "10.2.0.1:5860".parse().unwrap();
    let [near_second, far_second] = each_second;
    let config =
        InetConfig { listen: vec![address], accept_unknown_peers: true, trains, ..InetConfig::default() };
    run(listener, 1, config, Arc::clone(far), listening_done, far_second);
    let peer = PeerLine { host: "10.2.0.1".into(), port: 5860, router_key: None, mtu: None };
    let config = InetConfig { peers: vec![peer], trains, ..InetConfig::default() };
    run(dialer, 2, config, Arc::clone(near), dialing_done, near_second);
    [listening, dialing]
}

/// Three nodes in a row; the last hop is shaped as the arguments of `tc qdisc add` say.
fn row(lab: &Lab, shape: &[&str]) -> [Node; 3] {
    let [dialer, hop, listener] = ["dialer", "hop", "listener"].map(|name| lab.node(name).unwrap());
    lab.link(
        LinkEnd { node: &dialer, device: "out", addresses: &["10.1.0.1/24"] },
        LinkEnd { node: &hop, device: "left", addresses: &["10.1.0.2/24"] },
    )
    .unwrap();
    lab.link(
        LinkEnd { node: &hop, device: "right", addresses: &["10.2.0.2/24"] },
        LinkEnd { node: &listener, device: "out", addresses: &["10.2.0.1/24"] },
    )
    .unwrap();
    dialer.ip(&["route", "add", "default", "via", "10.1.0.2"]).unwrap();
    listener.ip(&["route", "add", "default", "via", "10.2.0.2"]).unwrap();
    hop.run("sysctl", &["-qw", "net.ipv4.ip_forward=1"], lab.limit()).unwrap();
    if !shape.is_empty() {
        let arguments = [&["qdisc", "add", "dev", "right", "root"], shape].concat();
        hop.run("tc", &arguments, lab.limit()).unwrap();
    }
    [dialer, hop, listener]
}

/// Benches at the ends of a row, the second of which is dialled. Dropped, they end.
struct Routers {
    near: Arc<Bench>,
    far: Arc<Bench>,
    _running: [Sender<()>; 2],
}

impl Routers {
    fn start(nodes: &[Node; 3], trains: Option<TrainConfig>) -> Self {
        let start = Instant::now();
        let (near, far) = (Bench::new(start), Bench::new(start));
        let each_second = [&near, &far].map(|bench| {
            let bench = Arc::clone(bench);
            move |inet: &Inet| {
                let samples = inet.samples(bench.now());
                bench.samples.lock().unwrap().extend(samples.into_iter().map(|(_, sample)| sample));
            }
        });
        let _running = run_both(nodes, [&near, &far], trains, each_second);
        Self { near, far, _running }
    }
}

/// Sends as much as the link takes: the rate in bytes per second and the median of what frames waited, once it has
/// learnt.
fn measure(shape: &[&str]) -> (u64, Duration) {
    let lab = Lab::create(TimeLimit::within(Duration::from_secs(30))).unwrap();
    let Routers { near, far, _running } = Routers::start(&row(&lab, shape), None);
    near.send(SENDING);
    let arrived = far.arrived.lock().unwrap().clone();
    let learnt: Vec<_> = arrived.into_iter().filter(|(at, _)| *at > LEARNING && *at < SENDING).collect();
    let mut waits: Vec<_> = learnt.iter().map(|(_, wait)| *wait).collect();
    waits.sort();
    let bytes = u64::try_from(learnt.len() * FRAME).unwrap();
    (bytes / (SENDING - LEARNING).as_secs(), waits[waits.len() / 2])
}

#[test]
fn a_slow_hop_is_used_and_its_queue_is_not_filled() {
    let (rate, wait) = measure(&["tbf", "rate", "50mbit", "burst", "32kb", "latency", "200ms"]);
    assert!(rate / 125 > 50_000 * 85 / 100, "{} kbit/s", rate / 125);
    assert!(wait < Duration::from_millis(12), "{wait:?}");
}

/// What bounds a slow path must not bound a fast one; 6 Gbit/s where nothing else runs.
#[test]
fn a_fast_hop_is_not_bounded() {
    let (rate, _) = measure(&[]);
    assert!(rate / 125_000 > 800, "{} Mbit/s", rate / 125_000);
}

/// Tries links of several rates at the same time, each in namespaces of its own.
fn at_each_rate(try_one: impl Fn(u32) + Sync) {
    std::thread::scope(|scope| {
        for mbit in [10, 50, 200] {
            let try_one = &try_one;
            scope.spawn(move || try_one(mbit));
        }
    });
}
