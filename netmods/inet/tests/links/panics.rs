// SPDX-License-Identifier: AGPL-3.0-or-later
//! A router that panics in what a link calls costs that link and no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use netmod_api::contract::{Event, Recorder};
use netmod_api::{DownReason, Inbox, LinkUp};
use netmod_inet::{InetConfig, InetLimits};
use ratman_types::{Hop, LinkId, Timestamp};

use crate::routers::{any_port, dialing, id, listening, start, start_with};
use crate::stranger::Stranger;

/// Panics over a certain frame, and over the first link if it is told to.
struct Panicky {
    recorder: Arc<Recorder>,
    over_link: AtomicBool,
}

impl Panicky {
    fn new(over_link: bool) -> (Arc<Recorder>, Arc<Self>) {
        let recorder = Recorder::new();
        (recorder.clone(), Arc::new(Self { recorder, over_link: AtomicBool::new(over_link) }))
    }
}

impl Inbox for Panicky {
    fn now(&self) -> Timestamp {
        self.recorder.now()
    }

    fn next_link(&self) -> LinkId {
        self.recorder.next_link()
    }

    fn link_up(&self, link: LinkUp) {
        self.recorder.link_up(link);
        assert!(!self.over_link.swap(false, Ordering::Relaxed), "over the first link");
    }

    fn link_down(&self, hop: Hop, reason: DownReason) {
        self.recorder.link_down(hop, reason);
    }

    fn receive(&self, _from: Hop, _arrived: Timestamp, frames: &mut dyn Iterator<Item = &mut [u8]>) {
        for frame in frames {
            assert_ne!(frame, b"\xeepanic", "over a frame");
        }
    }

    fn writable(&self, hop: Hop) {
        self.recorder.writable(hop);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_over_a_frame_ends_its_link_once_and_frees_its_place() {
    let (recorder, inbox) = Panicky::new(false);
    let limits = InetLimits { links: 1, links_reserved: 0, ..InetLimits::default() };
    let config = InetConfig { limits, ..listening(any_port("127.0.0.1")) };
    let listener = start_with(1, config, inbox).expect("a free port");
    for seed in [2, 3] {
        let mut peer = Stranger::peer(listener.listening()[0], seed);
        let hop = recorder.link_to(id(seed)).hop;
        peer.say(b"\xeepanic");
        assert_eq!(recorder.down(hop), DownReason::Failed);
        peer.wait_until_closed();
        assert_eq!(recorder.count(|event| matches!(event, Event::Down(down, _) if *down == hop)), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_over_a_new_link_does_not_stop_the_dialer() {
    let listener = start(1, listening(any_port("127.0.0.1")));
    let (recorder, inbox) = Panicky::new(true);
    let _dialer = start_with(2, dialing(&[listener.address()]), inbox).expect("nothing to listen on");
    let first = recorder.wait_until(|events| match events.first() {
        Some(Event::Up(link)) => Some(link.hop),
        Some(Event::Down(..) | Event::Frame(..) | Event::Writable(_)) | None => None,
    });
    assert_eq!(recorder.down(first), DownReason::Failed);
    assert_ne!(recorder.link_to(id(1)).hop, first);
}
