// SPDX-License-Identifier: AGPL-3.0-or-later
//! One router's attachment to a [`Bus`], and its way out to each other one.

use core::fmt;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use netmod_api::{Activity, Capabilities, Class, FrameParts, Inbox, MAX_UNIT, Netmod, Outbox, Sent, Target};
use ratman_types::{Hop, LinkId, Mtu, RouterId};
use ratman_wire::ModeClass;
use ratman_wire::carrier::peek_mode;

use crate::Bus;

pub(crate) const NAME: &str = "mem";
/// Lost frames that a wire remembers, the newest: more than any test sends into the void.
const LOST_LIMIT: usize = 1024;

/// One router on a bus: the driver that its router is given.
pub struct Station {
    router: RouterId,
    /// One attachment is one link, with as many neighbours as the bus has.
    link: LinkId,
    inbox: Arc<dyn Inbox>,
    bus: Bus,
    /// Frames dropped on the way out, by this and by every wire.
    dropped: Arc<AtomicU64>,
}

impl Station {
    pub(crate) fn new(router: RouterId, inbox: Arc<dyn Inbox>, bus: Bus) -> Self {
        Self { router, link: inbox.next_link(), inbox, bus, dropped: Arc::default() }
    }

    pub(crate) fn router(&self) -> RouterId {
        self.router
    }

    pub(crate) fn inbox(&self) -> &dyn Inbox {
        &*self.inbox
    }

    fn hop(&self, neighbour: RouterId) -> Hop {
        Hop { link: self.link, neighbour }
    }

    /// The way out to a neighbour.
    pub(crate) fn wire_to(&self, neighbour: RouterId) -> Wire {
        let [sent_bytes, received_frames, dropped] = Default::default();
        Wire {
            bus: self.bus.clone(),
            from: self.router,
            hop: self.hop(neighbour),
            sent_bytes,
            received_frames,
            dropped,
            busy: Mutex::default(),
            lost: Mutex::default(),
            dropped_by_all: Arc::clone(&self.dropped),
        }
    }

    fn drop_one(&self) -> Sent {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        Sent { accepted: 0, dropped: 1 }
    }

    fn wire(&self, hop: Hop) -> Option<Arc<Wire>> {
        self.bus.wire(self.router, hop.neighbour).filter(|wire| wire.hop == hop)
    }
}

impl Netmod for Station {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        self.bus.shared().capabilities
    }

    fn mtu(&self, target: Option<Hop>) -> Option<Mtu> {
        target.is_none_or(|hop| self.wire(hop).is_some()).then_some(self.bus.shared().mtu)
    }

    fn send(&self, target: Target<'_>, class: Class, frame: &[u8]) -> Sent {
        let can = self.capabilities();
        let frames = [FrameParts::whole(frame)];
        match target {
            Target::One(hop) => match self.wire(hop).filter(|_| can.unicast()) {
                Some(wire) => wire.send(class, &frames),
                None => self.drop_one(),
            },
            Target::AllBut(_) if !can.broadcast() => self.drop_one(),
            Target::AllBut(neighbours) => {
                let mut sent = Sent::default();
                for neighbour in self.bus.neighbours(self.router) {
                    // Nobody can be left out where everybody hears everything.
                    let reached = !can.unicast() || !neighbours.contains(&neighbour);
                    if let Some(wire) = self.bus.wire(self.router, neighbour).filter(|_| reached) {
                        sent += wire.put(class, &frames, &[neighbour]);
                    }
                }
                sent
            }
        }
    }

    fn close(&self, hop: Hop) {
        if self.wire(hop).is_some() {
            self.bus.part(self.router, hop.neighbour);
        }
    }

    fn drops(&self) -> Vec<(&'static str, u64)> {
        vec![("dropped_frames", self.dropped.load(Ordering::Relaxed))]
    }

    fn network_changed(&self) {}
}

impl fmt::Debug for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Station")
            .field("router", &self.router)
            .field("bus", &self.bus)
            .finish_non_exhaustive()
    }
}

/// One direction between two routers.
#[derive(Debug)]
pub(crate) struct Wire {
    bus: Bus,
    from: RouterId,
    hop: Hop,
    sent_bytes: AtomicU64,
    received_frames: AtomicU64,
    dropped: AtomicU64,
    busy: Mutex<Busy>,
    /// Data frames lost since the last that arrived.
    lost: Mutex<VecDeque<Vec<u8>>>,
    /// The count of the whole station.
    dropped_by_all: Arc<AtomicU64>,
}

/// Whether a wire takes data.
#[derive(Debug, Default)]
struct Busy {
    busy: bool,
    /// Whether somebody was refused, and is to be told when it is over.
    wanted: bool,
}

impl Wire {
    pub(crate) fn hop(&self) -> Hop {
        self.hop
    }

    pub(crate) fn count_received(&self) {
        self.received_frames.fetch_add(1, Ordering::Relaxed);
    }

    /// Begins or ends a busy time; whether somebody is to be told that it is over.
    pub(crate) fn set_busy(&self, busy: bool) -> bool {
        let mut state = self.busy();
        state.busy = busy;
        !busy && core::mem::take(&mut state.wanted)
    }

    /// Whether data is refused now; who asks is told when it is over.
    fn refuses(&self) -> bool {
        let mut state = self.busy();
        state.wanted |= state.busy;
        state.busy
    }

    fn busy(&self) -> MutexGuard<'_, Busy> {
        self.busy.lock().expect("INVARIANT: nothing panics under this lock")
    }

    fn is_up(&self) -> bool {
        self.bus.wire(self.from, self.hop.neighbour).is_some()
    }

    fn put(&self, class: Class, frames: &[FrameParts<'_>], hearers: &[RouterId]) -> Sent {
        let data = class == Class::Data;
        if data && self.is_up() && self.refuses() {
            return Sent::default();
        }
        let mut sent = Sent::default();
        let mtu = usize::try_from(self.bus.shared().mtu.0).unwrap_or(usize::MAX);
        let oversized = data && frames.iter().map(FrameParts::len).sum::<usize>() > MAX_UNIT;
        for frame in frames {
            if oversized || !self.is_up() || frame.len() > mtu {
                sent.dropped += 1;
                self.dropped.fetch_add(1, Ordering::Relaxed);
                self.dropped_by_all.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            sent.accepted += 1;
            let bytes = frame.pieces().concat();
            self.sent_bytes.fetch_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
            let mut heard = false;
            for hearer in hearers {
                heard |= self.bus.deliver(self.from, *hearer, &bytes);
            }
            if data {
                self.acknowledge(bytes, heard);
            }
        }
        sent
    }

    /// Remembers a frame that nobody heard, or forgets them all as one was.
    fn acknowledge(&self, frame: Vec<u8>, heard: bool) {
        let mut lost = self.lost();
        if heard {
            lost.clear();
        } else if peek_mode(&frame).is_none_or(|mode| mode.class() != ModeClass::OneHop) {
            if lost.len() == LOST_LIMIT {
                lost.pop_front();
            }
            lost.push_back(frame);
        }
    }

    fn lost(&self) -> MutexGuard<'_, VecDeque<Vec<u8>>> {
        self.lost.lock().expect("INVARIANT: nothing panics under this lock but who takes lost frames")
    }
}

impl Outbox for Wire {
    fn mtu(&self) -> Mtu {
        self.bus.shared().mtu
    }

    /// Where only broadcast is possible, everybody on the bus hears it.
    fn send(&self, class: Class, frames: &[FrameParts<'_>]) -> Sent {
        if self.bus.shared().capabilities.unicast() {
            self.put(class, frames, &[self.hop.neighbour])
        } else {
            self.put(class, frames, &self.bus.neighbours(self.from))
        }
    }

    fn ready(&self) -> bool {
        self.is_up() && !self.refuses()
    }

    fn unacknowledged(&self, take: &mut dyn FnMut(&[u8])) {
        if self.is_up() {
            self.lost().iter().for_each(|frame| take(frame));
        }
    }

    fn activity(&self) -> Activity {
        Activity {
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            received_frames: self.received_frames.load(Ordering::Relaxed),
            acked_bytes: None,
            queued_bytes: 0,
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }
}
