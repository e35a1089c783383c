// SPDX-License-Identifier: AGPL-3.0-or-later
//! Frames over a link that is up.

use std::sync::{Arc, Condvar, Mutex};

use netmod_api::contract::{Recorder, check};
use netmod_api::{Class, DownReason, FrameParts, Inbox, LinkUp, Netmod, Sent};
use netmod_inet::{InetConfig, InetLimits};
use ratman_types::{Hop, LinkId, Timestamp};

use crate::routers::{any_port, dialing, has_ipv6, id, listening, start, start_with};

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_is_kept_over_ipv4_and_ipv6_and_in_both_roles() {
    for ip in ["127.0.0.1", "::1"].into_iter().filter(|ip| *ip != "::1" || has_ipv6()) {
        for dialer_first in [true, false] {
            let listener = start(1, listening(any_port(ip)));
            let dialer = start(2, dialing(&[listener.address()]));
            assert_eq!(dialer.inbox.link().hop.neighbour, id(1));
            assert_eq!(listener.inbox.link().hop.neighbour, id(2));
            assert!(dialer.inbox.link().dialed && !listener.inbox.link().dialed);
            if dialer_first {
                check(dialer.end(), listener.end());
            } else {
                check(listener.end(), dialer.end());
            }
        }
    }
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

/// An inbox that takes nothing until its gate opens.
struct Slow {
    recorder: Arc<Recorder>,
    open: Mutex<bool>,
    opened: Condvar,
}

impl Slow {
    fn open(&self) {
        *self.open.lock().expect("no panic under this lock") = true;
        self.opened.notify_all();
    }
}

impl Inbox for Slow {
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
        let open = self.open.lock().expect("no panic under this lock");
        drop(self.opened.wait_while(open, |open| !*open).expect("no panic under this lock"));
        self.recorder.receive(from, arrived, frames);
    }
}

/// A peer that does not read costs bounded memory, gets whole frames only, in order, and control before data.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_slow_reader_gets_whole_frames_in_order_and_control_first() {
    let recorder = Recorder::new();
    let slow = Arc::new(Slow { recorder: recorder.clone(), open: Mutex::new(false), opened: Condvar::new() });
    let listener = start_with(1, listening(any_port("127.0.0.1")), slow.clone()).expect("a free port");
    let dialer = start(2, dialing(&[listener.listening()[0]]));
    let outbox = dialer.inbox.link().outbox;

    let numbered = |number: u32| {
        // Both of a pair are as long, so that the full queue drops both or the second.
        let length = 1000 + usize::try_from(number / 2).expect("it fits") * 7919 % 32_000;
        [&[0xee][..], &number.to_be_bytes(), &vec![0; length]].concat()
    };
    let mut sent = 0_u32;
    loop {
        let frames = [numbered(sent), numbered(sent + 1)];
        let parts = [
            FrameParts { head: &frames[0][..5], body: &frames[0][5..900], tail: &frames[0][900..] },
            FrameParts::whole(&frames[1]),
        ];
        let Sent { accepted, dropped } = outbox.send(Class::Data, &parts);
        sent += u32::try_from(accepted).expect("two at most");
        if dropped > 0 {
            break;
        }
    }
    let activity = outbox.activity();
    assert!(activity.queued_bytes > 4_000_000 && activity.queued_bytes < 4_400_000, "{activity:?}");
    assert_eq!(outbox.send(Class::Control, &[FrameParts::whole(b"\xeecontrol")]).accepted, 1);

    slow.open();
    let total = usize::try_from(sent).expect("it fits") + 1;
    let frames = recorder.take_frames(total);
    let control = frames.iter().position(|frame| frame == b"\xeecontrol").expect("it arrives");
    // Data that waited in our queue, and not in the kernel's, came later.
    assert!(total - control > 50, "{control} of {total}");
    let data = frames.iter().filter(|frame| *frame != b"\xeecontrol");
    for (number, frame) in (0..).zip(data) {
        assert!(*frame == numbered(number), "frame {number}");
    }
    assert_eq!(outbox.activity().queued_bytes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_the_queues_of_all_links_together_lack_is_counted_apart() {
    let slow = Arc::new(Slow { recorder: Recorder::new(), open: Mutex::new(false), opened: Condvar::new() });
    let listener = start_with(1, listening(any_port("127.0.0.1")), slow.clone()).expect("a free port");
    let limits = InetLimits { queued_bytes: 0, ..InetLimits::default() };
    let dialer = start(2, InetConfig { limits, ..dialing(&[listener.listening()[0]]) });
    let outbox = dialer.inbox.link().outbox;
    let frame = vec![0xee; 20_000];
    while outbox.send(Class::Data, &[FrameParts::whole(&frame)]).dropped == 0 {}
    let counters = dialer.inet.counters();
    assert_eq!((counters.dropped_all_queues_full, counters.dropped_frames), (1, 0));
    let activity = outbox.activity();
    assert!(activity.queued_bytes <= 128 * 1024 + 33_008 && activity.dropped == 1, "{activity:?}");

    // The end of the link gives back what waited, though the outbox is kept.
    dialer.inet.close(dialer.inbox.link().hop);
    dialer.inbox.wait_until(|_| (outbox.activity().queued_bytes == 0).then_some(()));
    slow.open();
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
