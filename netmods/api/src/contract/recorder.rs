// SPDX-License-Identifier: AGPL-3.0-or-later
//! An inbox that keeps what it was told, for the tests of drivers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use ratman_types::{Hop, LinkId, RouterId, Timestamp};

use crate::{DownReason, Inbox, LinkUp};

/// How long anything that must happen may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a driver said.
#[derive(Clone, Debug)]
pub enum Event {
    /// [`Inbox::link_up`].
    Up(LinkUp),
    /// [`Inbox::link_down`].
    Down(Hop, DownReason),
    /// One frame of [`Inbox::receive`].
    Frame(Hop, Vec<u8>),
    /// [`Inbox::writable`].
    Writable(Hop),
}

/// Keeps every call in order and wakes who waits for it.
#[derive(Debug)]
pub struct Recorder {
    start: Instant,
    links: AtomicU32,
    events: Mutex<Vec<Event>>,
    news: Condvar,
    /// Whether frames are held up where the driver reads.
    held: Mutex<bool>,
    released: Condvar,
}

impl Recorder {
    /// An inbox that was told nothing yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            links: AtomicU32::new(0),
            events: Mutex::default(),
            news: Condvar::new(),
            held: Mutex::new(false),
            released: Condvar::new(),
        })
    }

    /// From now on blocks whoever brings frames, as no inbox may, until [`Recorder::release`]: the medium fills up.
    pub fn hold(&self) {
        *self.held.lock().expect("no test panics under this lock") = true;
    }

    /// Takes frames again.
    pub fn release(&self) {
        *self.held.lock().expect("no test panics under this lock") = false;
        self.released.notify_all();
    }

    /// How often [`Inbox::writable`] was called for a hop.
    pub fn writable_calls(&self, hop: Hop) -> usize {
        self.count(|event| matches!(event, Event::Writable(writable) if *writable == hop))
    }

    /// Waits until `found` finds something in all events so far.
    ///
    /// # Panics
    /// After 30 s.
    pub fn wait_until<T>(&self, mut found: impl FnMut(&mut Vec<Event>) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut events = self.events.lock().expect("no test panics under this lock");
        loop {
            if let Some(found) = found(&mut events) {
                return found;
            }
            assert!(Instant::now() < deadline, "waited in vain, so far: {events:#?}");
            // What is looked for may also depend on more than events, so look again now and then.
            let wait = self.news.wait_timeout(events, Duration::from_millis(50));
            events = wait.expect("no test panics under this lock").0;
        }
    }

    /// Waits for a link that is up, the latest if there are several.
    pub fn link(&self) -> LinkUp {
        self.wait_until(|events| links(events).pop())
    }

    /// The links that are up now.
    pub fn links(&self) -> Vec<LinkUp> {
        self.wait_until(|events| Some(links(events)))
    }

    /// Waits for a link to this router that is up, the latest if there are several.
    pub fn link_to(&self, router: RouterId) -> LinkUp {
        self.wait_until(|events| links(events).into_iter().rfind(|up| up.hop.neighbour == router))
    }

    /// Waits for the end of a hop.
    pub fn down(&self, hop: Hop) -> DownReason {
        self.wait_until(|events| {
            events.iter().find_map(|event| match event {
                Event::Down(down, reason) if *down == hop => Some(*reason),
                Event::Up(_) | Event::Down(..) | Event::Frame(..) | Event::Writable(_) => None,
            })
        })
    }

    /// Waits for so many frames and takes them out.
    pub fn take_frames(&self, count: usize) -> Vec<Vec<u8>> {
        self.wait_until(|events| {
            let is_frame = |event: &Event| matches!(event, Event::Frame(..));
            if events.iter().filter(|event| is_frame(event)).count() < count {
                return None;
            }
            let mut taken = Vec::new();
            events.retain(|event| match event {
                Event::Frame(_, frame) if taken.len() < count => {
                    taken.push(frame.clone());
                    false
                }
                Event::Up(_) | Event::Down(..) | Event::Frame(..) | Event::Writable(_) => true,
            });
            Some(taken)
        })
    }

    /// How many events so far are such.
    pub fn count(&self, such: impl Fn(&Event) -> bool) -> usize {
        self.wait_until(|events| Some(events.iter().filter(|event| such(event)).count()))
    }

    fn tell(&self, event: Event) {
        self.events.lock().expect("no test panics under this lock").push(event);
        self.news.notify_all();
    }
}

fn links(events: &[Event]) -> Vec<LinkUp> {
    let mut up: Vec<LinkUp> = Vec::new();
    for event in events {
        match event {
            Event::Up(link) => up.push(link.clone()),
            Event::Down(hop, _) => up.retain(|link| link.hop != *hop),
            Event::Frame(..) | Event::Writable(_) => {}
        }
    }
    up
}

impl Inbox for Recorder {
    fn now(&self) -> Timestamp {
        Timestamp::default() + self.start.elapsed()
    }

    fn next_link(&self) -> LinkId {
        LinkId(self.links.fetch_add(1, Ordering::Relaxed))
    }

    fn link_up(&self, link: LinkUp) {
        self.tell(Event::Up(link));
    }

    fn link_down(&self, hop: Hop, reason: DownReason) {
        self.tell(Event::Down(hop, reason));
    }

    fn receive(&self, from: Hop, _arrived: Timestamp, frames: &mut dyn Iterator<Item = &mut [u8]>) {
        let held = self.held.lock().expect("no test panics under this lock");
        drop(self.released.wait_while(held, |held| *held).expect("no test panics under this lock"));
        for frame in frames {
            self.tell(Event::Frame(from, frame.to_vec()));
        }
    }

    fn writable(&self, hop: Hop) {
        self.tell(Event::Writable(hop));
    }
}
