// SPDX-License-Identifier: AGPL-3.0-or-later
//! A long wire between two nodes, on any kernel: a thread that holds each packet back for a while.
//!
//! The wire is a node of its own between the two, with a packet socket at each end. Its time counts from the moment at
//! which the kernel got a packet, so that a thread which wakes up late delays nothing that is not due yet.

mod queue;

use std::io::{self, PipeReader, PipeWriter, pipe};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl::set_timerslack;
use nix::sys::time::TimeSpec;

use crate::lab::{Lab, LinkEnd};
use crate::packet_socket::PacketSocket;
use queue::Queue;

/// The devices of the wire's own node.
const ENDS: [&str; 2] = ["left", "right"];

/// The longest packet: the MTU of an Ethernet and its header, with a VLAN tag. The ends send nothing longer.
const LONGEST: usize = 1518;

/// Packets that are received before it is looked what is due: a burst must not hold back the other direction.
const AT_ONCE: usize = 64;

/// A link whose delay can be set while it is in use, and which can fail without telling anybody. Dropped, it carries
/// nothing any more; its devices go with the lab, which has to outlive it.
#[derive(Debug)]
pub struct DelayLine {
    control: Arc<Control>,
    /// The thread ends when this does.
    alive: Option<PipeWriter>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// What a delay line did with the packets that it got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Delivered at the other end.
    pub delivered: u64,
    /// Dropped because it was silent.
    pub silenced: u64,
    /// Dropped for want of room, or longer than an Ethernet's packets.
    pub dropped: u64,
}

#[derive(Debug, Default)]
struct Control {
    /// In nanoseconds, from the left to the right and back.
    delays: [AtomicU64; 2],
    silent: AtomicBool,
    delivered: AtomicU64,
    silenced: AtomicU64,
    dropped: AtomicU64,
}

impl Lab {
    /// Connects two nodes as [`Lab::link`] does, by a link that takes so long each way. The ends send packets one by one,
    /// with checksums, as on a real wire.
    pub fn delay_line(&self, left: LinkEnd<'_>, right: LinkEnd<'_>, each_way: Duration) -> Result<DelayLine> {
        static LINES: AtomicU32 = AtomicU32::new(0);
        let wire = self.node(&format!("line{}", LINES.fetch_add(1, Ordering::Relaxed)))?;
        // The kernel of the wire itself must not speak.
        let no_ipv6 = "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6";
        wire.run("sh", &["-c", no_ipv6], self.limit())?;
        for (end, device) in [(left, ENDS[0]), (right, ENDS[1])] {
            self.link(end, LinkEnd { node: &wire, device, addresses: &[] })?;
            end.node.without_offloads(end.device, self.limit())?;
        }
        let control = Arc::<Control>::default();
        let (hangup, alive) = pipe().context("making a pipe")?;
        let (ready, opened) = mpsc::channel();
        let shared = Arc::clone(&control);
        let thread = wire.thread(move || {
            let line = Line::open(shared).map_err(|error| ready.send(Err(error)));
            line.map_or(Ok(()), |mut line| {
                // Who waits for this has its end open.
                let _ = ready.send(Ok(()));
                line.run(&hangup)
            })
        })?;
        opened.recv().unwrap_or_else(|_| Err(anyhow!("the thread of a delay line ended")))?;
        let line = DelayLine { control, alive: Some(alive), thread: Some(thread) };
        line.set_delay(each_way, each_way);
        Ok(line)
    }
}

impl DelayLine {
    /// Sets how long packets take from the left end to the right, and back. They never overtake each other: after a
    /// longer delay a shorter one holds for what comes later.
    pub fn set_delay(&self, forth: Duration, back: Duration) {
        for (stored, delay) in self.control.delays.iter().zip([forth, back]) {
            stored.store(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// Lets it drop everything, also what is on its way, while both devices stay up; or carry again.
    pub fn set_silent(&self, silent: bool) {
        self.control.silent.store(silent, Ordering::Relaxed);
    }

    /// What it did so far.
    pub fn counts(&self) -> LineCounts {
        let Control { delivered, silenced, dropped, .. } = &*self.control;
        let [delivered, silenced, dropped] =
            [delivered, silenced, dropped].map(|counter| counter.load(Ordering::Relaxed));
        LineCounts { delivered, silenced, dropped }
    }
}

impl Drop for DelayLine {
    fn drop(&mut self) {
        drop(self.alive.take());
        // What went wrong in the thread has shown in the traffic already.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What the thread works on.
struct Line {
    sockets: [PacketSocket; 2],
    /// What came in at the socket of the same number.
    queues: [Queue; 2],
    /// What the sockets missed so far.
    missed: [u32; 2],
    control: Arc<Control>,
}

impl Line {
    /// Opens both ends in the namespace of this thread.
    fn open(control: Arc<Control>) -> Result<Self> {
        // Waiting ends when it should, not up to 50 µs later (prctl(2), PR_SET_TIMERSLACK).
        set_timerslack(1)?;
        let sockets = [PacketSocket::open(ENDS[0])?, PacketSocket::open(ENDS[1])?];
        Ok(Self { sockets, queues: Default::default(), missed: [0; 2], control })
    }

    /// Carries packets until the other end of the pipe is closed.
    fn run(&mut self, hangup: &PipeReader) -> io::Result<()> {
        while !self.wait(hangup)? {
            for end in 0..self.sockets.len() {
                self.receive(end)?;
            }
            for end in 0..self.sockets.len() {
                self.deliver(end);
            }
        }
        Ok(())
    }

    /// Waits for a packet, or until one is due; returns whether it is over.
    fn wait(&self, hangup: &PipeReader) -> io::Result<bool> {
        let [left, right] = &self.sockets;
        let mut watched = [
            PollFd::new(left.as_fd(), PollFlags::POLLIN),
            PollFd::new(right.as_fd(), PollFlags::POLLIN),
            PollFd::new(hangup.as_fd(), PollFlags::POLLIN),
        ];
        let due = self.queues.iter().filter_map(Queue::due).min();
        let pause = due.map(|due| TimeSpec::from(due.saturating_duration_since(Instant::now())));
        match ppoll(&mut watched, pause, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(watched[2].any().unwrap_or(false))
    }

    fn receive(&mut self, end: usize) -> io::Result<()> {
        let control = &self.control;
        let delay = Duration::from_nanos(control.delays[end].load(Ordering::Relaxed));
        let silent = control.silent.load(Ordering::Relaxed);
        let mut packet = [0; LONGEST];
        for _ in 0..AT_ONCE {
            let Some(received) = self.sockets[end].receive(&mut packet)? else { break };
            if received.outgoing {
                continue;
            }
            let whole = packet.get(..received.length);
            let due = instant_of(received.at) + delay;
            if silent {
                count(&control.silenced, 1);
            } else if !whole.is_some_and(|packet| self.queues[end].push(due, packet)) {
                count(&control.dropped, 1);
            }
        }
        let missed = self.sockets[end].missed();
        count(&control.dropped, missed.wrapping_sub(self.missed[end]).into());
        self.missed[end] = missed;
        Ok(())
    }

    fn deliver(&mut self, end: usize) {
        let control = &self.control;
        let to = &self.sockets[1 - end];
        let now = Instant::now();
        while let Some(packet) = self.queues[end].pop(now) {
            if control.silent.load(Ordering::Relaxed) {
                count(&control.silenced, 1);
            } else if to.send(packet).is_ok() {
                count(&control.delivered, 1);
            } else {
                count(&control.dropped, 1);
            }
        }
    }
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// The wall clock's time on the clock that is never set.
fn instant_of(at: SystemTime) -> Instant {
    let now = Instant::now();
    now.checked_sub(at.elapsed().unwrap_or_default()).unwrap_or(now)
}
