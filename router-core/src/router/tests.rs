// SPDX-License-Identifier: AGPL-3.0-or-later
//! One router with neighbours made by hand: they answer echoes after 2 ms, sign what they are told to, and keep
//! what they get. Signatures are real.

mod announcing;
mod carriers;
mod forwarding;
mod measured;
mod one_hop;
mod receipt;
mod routes;
mod sybils;

use core::time::Duration;

use ratman_types::{
    Bandwidth, Capacity, Digest, Ed25519Verifier, LinkId, LinkSample, Mtu, SampleSource, SecretKey,
};
use ratman_wire::announcement::{Announcement, PathLatency, Peer, origin_signed_bytes};
use ratman_wire::echo::Echo;
use ratman_wire::{Header, Mode};

use super::*;
use crate::{LinkState, Lookup};

const BUILD: WallTime = WallTime::from_micros(1_700_000_000_000_000);
const RTT: Duration = Duration::from_millis(2);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A neighbour over one link.
struct Neighbour {
    key: SecretKey,
    hop: Hop,
    proofs: Digest,
    answers: bool,
    /// Added to the right time in echo replies.
    clock_off: i64,
    time: WallTime,
    replies: VecDeque<(Timestamp, [u8; 8])>,
    got: Vec<Vec<u8>>,
}

impl Neighbour {
    fn one_hop(&mut self, mode: Mode, payload: &[u8]) -> Vec<u8> {
        let header = Header::new(mode, self.key.public());
        let signature = self.key.sign(&Frame { header, payload }.hop_signed_bytes(&self.proofs));
        Frame { header: Header { signature: Some(signature), ..header }, payload }.encode()
    }

    fn next_time(&mut self) -> WallTime {
        self.time = self.time + Duration::from_micros(1);
        self.time
    }

    /// The announcements that it got since the last time.
    fn take(&mut self) -> Vec<(Header, Announcement)> {
        self.got
            .drain(..)
            .filter_map(|bytes| {
                let frame = Frame::decode(&bytes).unwrap();
                (frame.header.mode == Mode::ANNOUNCEMENT)
                    .then(|| (frame.header, Announcement::decode(frame.payload).unwrap()))
            })
            .collect()
    }
}

/// An address somewhere in the mesh.
struct Origin {
    key: SecretKey,
}

impl Origin {
    fn new(byte: u8) -> Self {
        Self { key: SecretKey::from_seed([byte; 32]) }
    }

    fn address(&self) -> Address {
        self.key.address()
    }

    /// A copy without peer part.
    fn bare(&self, time: WallTime) -> Announcement {
        Announcement {
            origin_time: time,
            origin_signature: self.key.sign(&origin_signed_bytes(&self.address(), time)),
            peer: None,
            available_bw: Bandwidth::UNKNOWN,
            available_mtu: Mtu(33_004),
        }
    }

    /// A copy with the peer part of `router`.
    fn copy(&self, time: WallTime, router: &SecretKey, latency: u32) -> Announcement {
        sign_peer(self.address(), self.bare(time), router, latency, 2)
    }
}

fn sign_peer(
    address: Address,
    announcement: Announcement,
    router: &SecretKey,
    latency: u32,
    interval: u16,
) -> Announcement {
    let (id, latency) = (router.router_id(), PathLatency(latency));
    let signature = router.sign(&announcement.hop_signed_bytes(&address, &id, latency, interval));
    Announcement { peer: Some(Peer { router: id, latency, interval, signature }), ..announcement }
}

fn frame_of(address: Address, announcement: &Announcement) -> Vec<u8> {
    let header = Header { hops_left: 60, ..Header::new(Mode::ANNOUNCEMENT, *address.as_bytes()) };
    Frame { header, payload: &announcement.encode() }.encode()
}

/// The router under test and everything around it.
struct Rig {
    router: Router,
    now: Now,
    neighbours: Vec<Neighbour>,
    events: Vec<Event>,
    /// Whether origin times cannot be made durable.
    disk_full: bool,
}

impl Rig {
    fn new() -> Self {
        Self::with(RouterConfig::new([9; 32], BUILD))
    }

    fn with(config: RouterConfig) -> Self {
        let now = Now { at: Timestamp::from_micros(1_000_000_000), wall: BUILD + secs(1_000_000) };
        Self::at(config, now)
    }

    fn at(config: RouterConfig, now: Now) -> Self {
        let key = Arc::new(SecretKey::from_seed([200; 32]));
        let router = Router::new(config, key, Arc::new(Ed25519Verifier), [3; 32], now);
        Self { router, now, neighbours: Vec::new(), events: Vec::new(), disk_full: false }
    }

    /// A router with so many neighbours whose links are live.
    fn with_neighbours(count: u8) -> Self {
        let mut rig = Self::new();
        for byte in 0..count {
            rig.link(byte, 100 + byte);
        }
        rig.settle_links();
        rig
    }

    /// A new link to the router with the key made of `byte`.
    fn link(&mut self, link: u8, byte: u8) -> usize {
        let key = SecretKey::from_seed([byte; 32]);
        let hop = Hop { link: LinkId(link.into()), neighbour: key.router_id() };
        let proofs = Digest::from_bytes([link; 32]);
        self.neighbours.push(Neighbour {
            key,
            hop,
            proofs,
            answers: true,
            clock_off: 0,
            time: BUILD,
            replies: VecDeque::new(),
            got: Vec::new(),
        });
        let event = LinkEvent::Up { hop, mtu: Mtu(30_000), proofs, dialed: false };
        self.router.handle_link(event, self.now);
        self.collect();
        self.neighbours.len() - 1
    }

    fn settle_links(&mut self) {
        self.pass(millis(10));
        for neighbour in &mut self.neighbours {
            neighbour.got.clear();
        }
    }

    /// Takes out what the router has to say, makes origin times durable, and has the neighbours answer its echoes.
    fn collect(&mut self) {
        while let Some(event) = self.router.poll_event() {
            if let Event::OriginTime { address, time } = event
                && !self.disk_full
            {
                self.router.handle_origin_time_stored(&address, time, self.now);
            }
            self.events.push(event);
        }
        while let Some(Transmit { hop, frame, .. }) = self.router.poll_transmit() {
            let decoded = Frame::decode(&frame).unwrap();
            let Some(neighbour) = self.neighbours.iter_mut().find(|other| other.hop == hop) else { continue };
            if decoded.header.mode == Mode::ECHO_REQUEST && neighbour.answers {
                let nonce = Echo::decode(decoded.payload).unwrap().nonce;
                neighbour.replies.push_back((self.now.at + RTT, nonce));
            }
            neighbour.got.push(frame);
        }
    }

    /// Lets time pass, at least to the deadlines on the way.
    fn pass(&mut self, duration: Duration) {
        let end = self.now.at + duration;
        loop {
            let timeout = self.router.poll_timeout().map(|(at, _)| at);
            let reply =
                self.neighbours.iter().filter_map(|other| other.replies.front().map(|(at, _)| *at)).min();
            let Some(next) = timeout.into_iter().chain(reply).min().filter(|at| *at <= end) else { break };
            self.now = self.now + next.since(self.now.at);
            self.answer();
            self.router.handle_timeout(self.now);
            self.collect();
        }
        self.now = self.now + end.since(self.now.at);
    }

    fn answer(&mut self) {
        for index in 0..self.neighbours.len() {
            while let Some((_, nonce)) =
                self.neighbours[index].replies.pop_front_if(|(at, _)| *at <= self.now.at)
            {
                let neighbour = &mut self.neighbours[index];
                let wall_time = (self.now.wall.shifted(neighbour.clock_off)).shifted(-1_000);
                let echo = Echo { time: neighbour.next_time(), nonce, wall_time };
                let frame = neighbour.one_hop(Mode::ECHO_REPLY, &echo.encode());
                self.receive(index, &frame);
            }
        }
    }

    fn receive(&mut self, from: usize, frame: &[u8]) {
        self.router.handle_frame(self.neighbours[from].hop, frame, self.now.at, self.now);
        self.collect();
    }

    /// `from` sends a copy of the announcement that `origin` made at `time`, signed with its own latency.
    fn announce(&mut self, from: usize, origin: &Origin, time: WallTime, latency: u32) {
        let copy = origin.copy(time, &self.neighbours[from].key, latency);
        self.receive(from, &frame_of(origin.address(), &copy));
    }

    /// What `reason` was counted while `action` ran.
    fn dropped(&mut self, reason: DropReason, action: impl FnOnce(&mut Self)) -> u64 {
        let before = self.router.drops().get(reason);
        action(self);
        self.router.drops().get(reason) - before
    }

    fn verified(&mut self, action: impl FnOnce(&mut Self)) -> u64 {
        let before = self.router.counters().signatures_verified;
        action(self);
        self.router.counters().signatures_verified - before
    }

    fn hop_to(&self, address: &Address) -> Option<Hop> {
        match self.router.fib().lookup(address, None) {
            Lookup::Via(via) => Some(via.hop),
            Lookup::Local | Lookup::OnlyWayBack | Lookup::NoRoute => None,
        }
    }

    fn hop(&self, index: usize) -> Option<Hop> {
        Some(self.neighbours[index].hop)
    }

    fn wall(&self) -> WallTime {
        self.now.wall
    }
}

#[test]
fn equal_seeds_and_inputs_give_equal_outputs() {
    let run = || {
        let mut rig = Rig::with_neighbours(3);
        rig.router.add_local(Arc::new(SecretKey::from_seed([1; 32])), WallTime::default(), rig.now);
        let origin = Origin::new(2);
        rig.announce(0, &origin, rig.wall(), 500);
        rig.announce(1, &origin, rig.wall(), 700);
        rig.pass(secs(8));
        let got: Vec<_> = rig.neighbours.iter().map(|neighbour| neighbour.got.clone()).collect();
        (got, rig.events)
    };
    assert_eq!(run(), run());
}
