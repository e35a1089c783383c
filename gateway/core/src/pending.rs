// SPDX-License-Identifier: AGPL-3.0-or-later
//! Packets that wait because the route or the session to their remote is not there yet. Bounded in packets, bytes
//! and time; whoever waits longest gives way first.

use core::net::Ipv6Addr;
use core::time::Duration;
use std::collections::VecDeque;

use ratman_types::{Address, Timestamp};

/// How long a packet may wait: a session needs one round trip, a route at most the time to the next announcement that
/// is already on its way. Applications repeat a SYN after 1 s and give up a DNS query after 5 s.
pub const MAX_WAIT: Duration = Duration::from_secs(3);

/// Packets that may wait for one remote: the first packets of that many connections.
pub const MAX_PACKETS_PER_REMOTE: usize = 64;

/// Bytes that may wait for one remote: four super-packets.
pub const MAX_BYTES_PER_REMOTE: usize = 256 * 1024;

/// Packets that may wait in all; also bounds the work of one call, as remotes are found by looking along the queue.
pub const MAX_PACKETS: usize = 1024;

/// Bytes that may wait in all.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What a packet waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Awaited {
    /// A route or a session to this remote.
    Remote(Address),
    /// The announcement of the address that this overlay address belongs to.
    Overlay(Ipv6Addr),
}

/// A packet that waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting<M> {
    /// What it waited for.
    pub awaited: Awaited,
    /// What was read from the TUN device with it.
    pub metadata: M,
    /// The IP packet.
    pub packet: Box<[u8]>,
    until: Timestamp,
}

/// All packets that wait, in the order in which they came; `M` is what belongs to a packet beside its bytes.
#[derive(Debug)]
pub struct Pending<M> {
    // INVARIANT: `until` does not shrink from front to back, as all wait equally long.
    queue: VecDeque<Waiting<M>>,
    bytes: usize,
}

impl<M> Default for Pending<M> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), bytes: 0 }
    }
}

impl<M> Pending<M> {
    /// Keeps a packet for at most [`MAX_WAIT`]. Returns how many older packets gave way to it; the caller counts
    /// them as [`WaitingFull`](crate::drop_reason::GatewayDrop::WaitingFull).
    pub fn push(&mut self, awaited: Awaited, metadata: M, packet: &[u8], now: Timestamp) -> usize {
        let mut displaced = 0;
        let (mut packets, mut bytes) = self.share(awaited);
        while packets >= MAX_PACKETS_PER_REMOTE
            || (packets > 0 && bytes + packet.len() > MAX_BYTES_PER_REMOTE)
        {
            bytes -= self.drop_oldest(|waiting| waiting.awaited == awaited);
            packets -= 1;
            displaced += 1;
        }
        while self.queue.len() >= MAX_PACKETS
            || (!self.queue.is_empty() && self.bytes + packet.len() > MAX_BYTES)
        {
            self.drop_oldest(|_| true);
            displaced += 1;
        }
        let last = self.queue.back().map_or(now, |waiting| waiting.until);
        self.bytes += packet.len();
        self.queue.push_back(Waiting {
            awaited,
            metadata,
            packet: packet.into(),
            until: last.max(now + MAX_WAIT),
        });
        displaced
    }

    /// All packets that wait for this, in the order in which they came.
    pub fn take(&mut self, awaited: Awaited) -> Vec<Waiting<M>> {
        let (taken, kept): (VecDeque<_>, _) =
            self.queue.drain(..).partition(|waiting| waiting.awaited == awaited);
        self.queue = kept;
        self.bytes -= taken.iter().map(|waiting| waiting.packet.len()).sum::<usize>();
        taken.into()
    }

    /// The packets whose time is over, to be answered with ICMP unreachable and counted as
    /// [`WaitedTooLong`](crate::drop_reason::GatewayDrop::WaitedTooLong).
    pub fn expire(&mut self, now: Timestamp) -> impl Iterator<Item = Waiting<M>> {
        core::iter::from_fn(move || {
            let waiting = self.queue.pop_front_if(|waiting| waiting.until <= now)?;
            self.bytes -= waiting.packet.len();
            Some(waiting)
        })
    }

    /// When [`expire`](Self::expire) has something to yield.
    pub fn next_timeout(&self) -> Option<Timestamp> {
        self.queue.front().map(|waiting| waiting.until)
    }

    /// Whether a packet waits for this.
    pub fn awaits(&self, awaited: Awaited) -> bool {
        self.queue.iter().any(|waiting| waiting.awaited == awaited)
    }

    /// What the packets wait for, once for each packet, in the order in which they came.
    pub fn awaited(&self) -> impl DoubleEndedIterator<Item = Awaited> + '_ {
        self.queue.iter().map(|waiting| waiting.awaited)
    }

    /// How many packets wait, at most [`MAX_PACKETS`].
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many bytes of packets wait, at most [`MAX_BYTES`].
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn share(&self, awaited: Awaited) -> (usize, usize) {
        let same = self.queue.iter().filter(|waiting| waiting.awaited == awaited);
        same.fold((0, 0), |(packets, bytes), waiting| (packets + 1, bytes + waiting.packet.len()))
    }

    /// Drops the oldest packet that matches and returns its length.
    fn drop_oldest(&mut self, matches: impl Fn(&Waiting<M>) -> bool) -> usize {
        let oldest = self.queue.iter().position(matches).and_then(|at| self.queue.remove(at));
        let len = oldest.map_or(0, |waiting| waiting.packet.len());
        self.bytes -= len;
        len
    }
}

#[cfg(test)]
mod tests;
