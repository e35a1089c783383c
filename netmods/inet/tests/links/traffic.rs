// SPDX-License-Identifier: AGPL-3.0-or-later
//! Frames over a link that is up.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use netmod_api::contract::{Event, Recorder, check};
use netmod_api::{Class, DownReason, Executor, FrameParts, Inbox, LinkUp, MAX_UNIT, Netmod, Sent};
use netmod_inet::{InetConfig, InetError, PeerLine};
use ratman_types::{ByteCount, Hop, LinkId, Mtu, Timestamp};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::routers::{any_port, dialing, has_ipv6, id, line, listening, start, start_with};

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_is_kept_over_ipv4_and_ipv6_and_in_both_roles() {
    for ip in ["127.0.0.1", "::1"].into_iter().filter(|ip| *ip != "::1" || has_ipv6()) {
        for dialer_first in [true, false] {
            let listener = start(1, listening(any_port(ip)));
            let dialer = start(2, dialing(&[listener.address()]));
            assert_eq!(dialer.inbox.link().hop.neighbour, id(1));
            assert_eq!(listener.inbox.link().hop.neighbour, id(2));
            assert!(dialer.inbox.link().dialed && !listener.inbox.link().dialed);
            let (a, b) = if dialer_first { (&dialer, &listener) } else { (&listener, &dialer) };
            check(a.end(), b.end(), &|stall| if stall { b.inbox.hold() } else { b.inbox.release() });
        }
    }
}

/// Runs what reads a link and what writes to it in different runtimes, neither of which watches its socket.
#[derive(Debug)]
struct Elsewhere {
    handles: [Handle; 2],
    spawned: AtomicUsize,
}

impl Executor for Elsewhere {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let number = self.spawned.fetch_add(1, Ordering::Relaxed);
        self.handles[number % 2].spawn(task);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_is_kept_by_tasks_that_another_runtime_runs() {
    let runtimes =
        [(); 2].map(|()| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());
    let handles = runtimes.each_ref().map(|runtime| runtime.handle().clone());
    let elsewhere = Arc::new(Elsewhere { handles, spawned: AtomicUsize::new(0) });
    let executor = || -> Option<Arc<dyn Executor>> { Some(elsewhere.clone()) };
    let listener = start(1, InetConfig { executor: executor(), ..listening(any_port("127.0.0.1")) });
    let dialer = start(2, InetConfig { executor: executor(), ..dialing(&[listener.address()]) });
    check(dialer.end(), listener.end(), &|stall| {
        if stall { listener.inbox.hold() } else { listener.inbox.release() }
    });
    let spawned = elsewhere.spawned.load(Ordering::Relaxed);
    assert!(spawned >= 4 && spawned.is_multiple_of(2), "{spawned} tasks: two per end of a link");
    runtimes.into_iter().for_each(Runtime::shutdown_background);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_has_the_mtu_of_its_line_or_of_the_driver() {
    let small = |mtu| Some(Mtu(mtu));
    let listener = start(1, InetConfig { mtu: small(2000), ..listening(any_port("127.0.0.1")) });
    let peers = vec![PeerLine { mtu: small(1280), ..line(listener.address()) }];
    let dialer = start(2, InetConfig { peers, mtu: small(9000), ..InetConfig::default() });
    let (out, back) = (dialer.inbox.link(), listener.inbox.link());
    assert_eq!([out.mtu, back.mtu], [Mtu(1280), Mtu(2000)]);
    assert_eq!([dialer.inet.mtu(None), listener.inet.mtu(None)], [small(1280), small(2000)]);
    check(dialer.end(), listener.end(), &|stall| {
        if stall { listener.inbox.hold() } else { listener.inbox.release() }
    });
    assert!(dialer.inet.counters().dropped_frames > 0);
}

/// Marks need CAP_NET_ADMIN, which the user who runs the tests may lack: then the error says so.
#[tokio::test(flavor = "multi_thread")]
async fn sockets_are_marked_or_the_driver_says_why_not() {
    let config = InetConfig { mark: Some(0x6972), ..listening(any_port("127.0.0.1")) };
    match start_with(1, config, Recorder::new()) {
        Ok(listener) => {
            let marked = InetConfig { mark: Some(0x6972), ..dialing(&[listener.listening()[0]]) };
            start(2, marked).inbox.link();
        }
        Err(error) => {
            assert!(matches!(error, InetError::Mark { mark: 0x6972, .. }), "{error}");
            assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_buffer_carries_links() {
    let buffer = Some(ByteCount(64 * 1024));
    let listener = start(1, InetConfig { buffer, ..listening(any_port("127.0.0.1")) });
    let dialer = start(2, InetConfig { buffer, ..dialing(&[listener.address()]) });
    dialer.inbox.link();
    check(dialer.end(), listener.end(), &|stall| {
        if stall { listener.inbox.hold() } else { listener.inbox.release() }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_bytes_are_told() {
    let listener = start(1, listening(any_port("127.0.0.1")));
    let dialer = start(2, dialing(&[listener.address()]));
    let outbox = dialer.inbox.link().outbox;
    let before = outbox.activity().acked_bytes.expect("Linux tells");
    outbox.send(Class::Data, &[FrameParts::whole(&[0xee; 10_000])]);
    assert_eq!(outbox.activity().sent_bytes, 10_004);
    dialer.inbox.wait_until(|_| {
        (outbox.activity().acked_bytes.expect("Linux tells") >= before + 10_004).then_some(())
    });
}

/// A peer that does not read costs bounded memory, gets whole frames only, in order, and control before data.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_slow_reader_gets_whole_frames_in_order_and_control_first() {
    let listener = start(1, listening(any_port("127.0.0.1")));
    let dialer = start(2, dialing(&[listener.address()]));
    let outbox = dialer.inbox.link().outbox;
    listener.inbox.hold();

    let numbered = |number: u32| {
        let length = 1000 + usize::try_from(number).expect("it fits") * 7919 % 32_000;
        [&[0xee][..], &number.to_be_bytes(), &vec![0; length]].concat()
    };
    let mut sent = 0_u32;
    let mut asked_again = 0;
    while asked_again < 3 {
        let frames = [numbered(sent), numbered(sent + 1)];
        let parts = [
            FrameParts { head: &frames[0][..5], body: &frames[0][5..900], tail: &frames[0][900..] },
            FrameParts::whole(&frames[1]),
        ];
        match outbox.send(Class::Data, &parts) {
            Sent { accepted: 2, dropped: 0 } => (sent, asked_again) = (sent + 2, 0),
            nothing => {
                assert_eq!(nothing, Sent::default());
                asked_again += 1;
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
    let activity = outbox.activity();
    let limit = u64::try_from(MAX_UNIT).expect("it fits");
    assert!(activity.queued_bytes > 0 && activity.queued_bytes < limit, "{activity:?}");
    assert_eq!(outbox.send(Class::Control, &[FrameParts::whole(b"\xeecontrol")]).accepted, 1);

    listener.inbox.release();
    let total = usize::try_from(sent).expect("it fits") + 1;
    let frames = listener.inbox.take_frames(total);
    let data = frames.iter().filter(|frame| *frame != b"\xeecontrol");
    for (number, frame) in (0..).zip(data) {
        assert!(*frame == numbered(number), "frame {number}");
    }
    assert_eq!(outbox.activity().queued_bytes, 0);
}

/// The end of a link gives back what waited, though the outbox is kept, and tells nobody that it is writable.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_link_that_ends_while_data_waits_says_nothing_more() {
    let listener = start(1, listening(any_port("127.0.0.1")));
    let dialer = start(2, dialing(&[listener.address()]));
    let link = dialer.inbox.link();
    listener.inbox.hold();
    let frame = vec![0xee; 20_000];
    let mut calls = usize::MAX;
    while dialer.inbox.writable_calls(link.hop) != calls {
        calls = dialer.inbox.writable_calls(link.hop);
        while link.outbox.send(Class::Data, &[FrameParts::whole(&frame)]).accepted == 1 {}
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(link.outbox.activity().queued_bytes > 0);
    dialer.inet.close(link.hop);
    dialer.inbox.down(link.hop);
    assert_eq!(link.outbox.activity().queued_bytes, 0);
    listener.inbox.release();
    listener
        .inbox
        .wait_until(|events| events.iter().any(|event| matches!(event, Event::Down(..))).then_some(()));
    assert_eq!(dialer.inbox.writable_calls(link.hop), calls);
}

/// Tells a sender that its outbox takes data again, as the data path will be told.
struct Gate {
    recorder: Arc<Recorder>,
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    /// Waits to be told; whether that happened in time.
    fn wait(&self) -> bool {
        let open = self.open.lock().expect("no panic under this lock");
        let wait = self.opened.wait_timeout_while(open, Duration::from_secs(20), |open| !*open);
        let (mut open, _) = wait.expect("no panic under this lock");
        std::mem::take(&mut *open)
    }
}

impl Inbox for Gate {
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

    fn receive(&self, from: Hop, arrived: Timestamp, frames: &mut dyn Iterator<Item = &mut [u8]>) {
        self.recorder.receive(from, arrived, frames);
    }

    fn writable(&self, _: Hop) {
        *self.open.lock().expect("no panic under this lock") = true;
        self.opened.notify_all();
    }
}

/// Of two threads that share a link, each sleeps whenever it is refused: one lost wake-up and both sleep for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_wake_up_is_lost_between_senders_and_the_drain() {
    const CALLS: u32 = 6_000;
    let listener = start(1, listening(any_port("127.0.0.1")));
    let (open, opened) = (Mutex::new(false), Condvar::new());
    let gate = Arc::new(Gate { recorder: Recorder::new(), open, opened });
    let _dialer = start_with(2, dialing(&[listener.address()]), gate.clone()).expect("nothing to listen on");
    let outbox = gate.recorder.link().outbox;
    let refused = AtomicU32::new(0);
    let alive = Arc::new(());
    let (others, refused_calls) = (Arc::downgrade(&alive), &refused);
    let (outbox, gate, listener, others) = (&outbox, &gate, &listener, &others);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _alive = alive;
            for number in 0..CALLS {
                // Lengths that end anywhere in the socket's room.
                let length = 5 + usize::try_from(number).expect("it fits") * 7919 % 30_000;
                let frame = [&[0xee][..], &number.to_be_bytes(), &vec![0; length]].concat();
                // By turns who asks first and who just tries.
                while (number % 2 == 0 && !outbox.ready())
                    || outbox.send(Class::Data, &[FrameParts::whole(&frame)]) == Sent::default()
                {
                    refused_calls.fetch_add(1, Ordering::Relaxed);
                    assert!(gate.wait(), "nobody told that data is taken again, before call {number}");
                }
            }
        });
        scope.spawn(|| {
            while others.strong_count() > 0 {
                outbox.send(Class::Control, &[FrameParts::whole(b"\xeecontrol")]);
                std::thread::sleep(Duration::from_micros(50));
            }
        });
        scope.spawn(|| {
            while others.strong_count() > 0 {
                listener.inbox.hold();
                std::thread::sleep(Duration::from_micros(500));
                listener.inbox.release();
                std::thread::sleep(Duration::from_micros(500));
            }
        });
    });
    assert!(refused.load(Ordering::Relaxed) > 50, "the reader was too fast to prove anything: {refused:?}");
    let numbers = listener.inbox.wait_until(|events| {
        let numbers: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                Event::Frame(_, frame) if frame != b"\xeecontrol" => frame[1..].first_chunk().copied(),
                Event::Up(_) | Event::Down(..) | Event::Frame(..) | Event::Writable(_) => None,
            })
            .map(u32::from_be_bytes)
            .collect();
        (numbers.len() >= usize::try_from(CALLS).expect("it fits")).then_some(numbers)
    });
    assert!(numbers.into_iter().eq(0..CALLS), "every call once and in order");
}

/// The data path is no task of the runtime.
#[tokio::test(flavor = "multi_thread")]
async fn any_threads_send() {
    let listener = start(1, listening(any_port("127.0.0.1")));
    let dialer = start(2, dialing(&[listener.address()]));
    let outbox = dialer.inbox.link().outbox;
    let frame = |thread: u8, number: u8| vec![0xee, thread, number, 0, 0];
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let outbox = &outbox;
            scope.spawn(move || {
                for number in 0..250 {
                    let frame = frame(thread, number);
                    outbox.send(Class::Data, &[FrameParts::whole(&frame)]);
                }
            });
        }
    });
    let frames = listener.inbox.take_frames(1000);
    for thread in 0..4 {
        let of_thread: Vec<_> = frames.iter().filter(|frame| frame[1] == thread).cloned().collect();
        let expected: Vec<_> = (0..250).map(|number| frame(thread, number)).collect();
        assert_eq!(of_thread, expected);
    }
}
