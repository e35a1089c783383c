// SPDX-License-Identifier: AGPL-3.0-or-later
//! What two thousand addresses cost a router with four neighbours, with ed25519: at most a quarter of a core.
//!
//! `cargo bench -p ratman-sim --bench addresses` makes the input first, then plays it in virtual time and adds up the
//! CPU time that the router takes; it fails above the limit. Every router of degree four gives each announcement to
//! three neighbours, so each announcement comes three times: the neighbour to whom we were first does not send it.
#![allow(clippy::print_stdout, reason = "a bench reports")]

use core::time::Duration;
use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Arc;

use nix::time::{ClockId, clock_gettime};
use ratman_sim::{Position, Random, Signatures};
use ratman_types::{Bandwidth, Digest, Hop, LinkId, Mtu, Now, Signer, Timestamp, WallTime};
use ratman_wire::announcement::{Announcement, PathLatency, origin_signed_bytes};
use ratman_wire::echo::Echo;
use ratman_wire::{Frame, Header, Mode};
use router_core::{LinkEvent, Router, RouterConfig};

const ADDRESSES: usize = 2_000;
const NEIGHBOURS: usize = 4;
const INTERVAL: Duration = Duration::from_secs(2);
/// Everything is new in the first rounds; what follows is measured.
const WARM_UP: Duration = Duration::from_secs(6);
const MEASURED: Duration = Duration::from_secs(10);
/// The share of a core, in thousandths, that is permitted.
const LIMIT: u128 = 250;

const BOOT: Timestamp = Timestamp::from_micros(1_000_000);
const START: WallTime = WallTime::from_micros(1_800_000_000_000_000);
const LINK_DELAY: Duration = Duration::from_millis(5);
const MTU: Mtu = Mtu(33_004);

/// A frame that a neighbour sends.
struct Arrival {
    at: Timestamp,
    from: usize,
    frame: Vec<u8>,
}

/// The neighbours and their links.
struct Neighbours {
    keys: Vec<Arc<dyn Signer>>,
    proofs: Digest,
}

impl Neighbours {
    fn hop(&self, index: usize) -> Hop {
        let link = LinkId(u32::try_from(index).expect("four links"));
        Hop { link, neighbour: self.keys[index].router_id() }
    }

    fn one_hop(&self, from: usize, mode: Mode, payload: &[u8]) -> Vec<u8> {
        let key = &self.keys[from];
        let header = Header::new(mode, key.public());
        let signature = Some(key.sign(&Frame { header, payload }.hop_signed_bytes(&self.proofs)));
        Frame { header: Header { signature, ..header }, payload }.encode()
    }

    /// The answer to a frame of the router, if it is an echo request.
    fn answer(&self, from: usize, frame: &[u8], at: Timestamp) -> Option<Arrival> {
        let request = Frame::decode(frame).ok().filter(|frame| frame.header.mode == Mode::ECHO_REQUEST)?;
        let echo = Echo::decode(request.payload).ok()?;
        let wall = wall_at(at + LINK_DELAY);
        let reply = Echo { time: wall, nonce: echo.nonce, wall_time: wall };
        let frame = self.one_hop(from, Mode::ECHO_REPLY, &reply.encode());
        Some(Arrival { at: at + 2 * LINK_DELAY, from, frame })
    }
}

fn wall_at(at: Timestamp) -> WallTime {
    START + at.since(BOOT)
}

/// The copies of one announcement: each neighbour's a little later and from a little further away.
fn copies(key: &dyn Signer, number: usize, sent: Timestamp, neighbours: &Neighbours) -> Vec<Arrival> {
    let origin_time = wall_at(sent);
    let address = key.address();
    let announcement = Announcement {
        origin_time,
        origin_signature: key.sign(&origin_signed_bytes(&address, origin_time)),
        peer: None,
        available_bw: Bandwidth::UNKNOWN,
        available_mtu: MTU,
    };
    (0..3_u32)
        .map(|place| {
            let from = (number + usize::try_from(place).expect("at most two")) % NEIGHBOURS;
            let latency = 20_000 + 3_000 * place;
            let position = Position {
                key: Arc::clone(&neighbours.keys[from]),
                hops: Vec::new(),
                now: Now { at: sent, wall: origin_time },
            };
            let frame = position.announce(&address, announcement, PathLatency(latency));
            Arrival { at: sent + Duration::from_micros(latency.into()) + LINK_DELAY, from, frame }
        })
        .collect()
}

/// Everything that reaches the router but echo replies, in order.
fn input(random: &mut Random, neighbours: &Neighbours) -> VecDeque<Arrival> {
    let end = BOOT + WARM_UP + MEASURED;
    let mut arrivals = Vec::new();
    for number in 0..ADDRESSES {
        let key = Signatures::Ed25519.key(random);
        // The first second is for the echoes, without which links bring no routes.
        let mut sent = BOOT + Duration::from_secs(1) + random.duration(INTERVAL);
        while sent < end {
            arrivals.extend(copies(&*key, number, sent, neighbours));
            sent = sent + INTERVAL;
        }
    }
    for from in 0..NEIGHBOURS {
        let mut sent = BOOT + Duration::from_millis(10);
        while sent < end {
            let wall = wall_at(sent);
            let echo = Echo { time: wall, nonce: [0; 8], wall_time: wall };
            let frame = neighbours.one_hop(from, Mode::ECHO_REQUEST, &echo.encode());
            arrivals.push(Arrival { at: sent + LINK_DELAY, from, frame });
            sent = sent + Duration::from_millis(500);
        }
    }
    arrivals.sort_by_key(|arrival| arrival.at);
    arrivals.into()
}

/// The router under test and the CPU time that it has taken.
struct Bench {
    router: Router,
    neighbours: Neighbours,
    replies: VecDeque<Arrival>,
    taken: Duration,
}

impl Bench {
    fn new(random: &mut Random) -> Self {
        let now = Now { at: BOOT, wall: START };
        let config = RouterConfig::new(random.bytes(), START);
        let key = Signatures::Ed25519.key(random);
        let mut router = Router::new(config, key, Signatures::Ed25519.verifier(), random.bytes(), now);
        let keys = (0..NEIGHBOURS).map(|_| Signatures::Ed25519.key(random)).collect();
        let neighbours = Neighbours { keys, proofs: Digest::from_bytes(random.bytes()) };
        for index in 0..NEIGHBOURS {
            let (hop, proofs) = (neighbours.hop(index), neighbours.proofs);
            router.handle_link(LinkEvent::Up { hop, mtu: MTU, proofs, dialed: true }, now);
        }
        Self { router, neighbours, replies: VecDeque::new(), taken: Duration::ZERO }
    }

    /// Gives the router one input and takes its output; only this is measured.
    fn step(&mut self, at: Timestamp, input: impl FnOnce(&mut Router, Now)) {
        let begin = cpu_time();
        input(&mut self.router, Now { at, wall: wall_at(at) });
        let output: Vec<_> = core::iter::from_fn(|| self.router.poll_transmit()).collect();
        while self.router.poll_event().is_some() {}
        self.taken += cpu_time() - begin;
        for transmit in output {
            let from = usize::try_from(transmit.hop.link.0).expect("four links");
            self.replies.extend(self.neighbours.answer(from, &transmit.frame, at));
        }
    }

    /// Plays the input up to `end`.
    fn play(&mut self, arrivals: &mut VecDeque<Arrival>, end: Timestamp) {
        loop {
            let deadline = self.router.poll_timeout().map_or(end, |(at, _)| at);
            let next = |queue: &VecDeque<Arrival>| queue.front().map_or(end, |arrival| arrival.at);
            let at = deadline.min(next(arrivals)).min(next(&self.replies));
            if at >= end {
                return;
            }
            let queue = if next(&self.replies) == at { &mut self.replies } else { &mut *arrivals };
            match queue.pop_front_if(|arrival| arrival.at == at) {
                Some(Arrival { from, frame, .. }) => {
                    let hop = self.neighbours.hop(from);
                    self.step(at, |router, now| router.handle_frame(hop, &frame, at, now));
                }
                None => self.step(at, Router::handle_timeout),
            }
        }
    }
}

/// The CPU time of this thread: what else the machine does is not counted.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock").into()
}

fn main() -> ExitCode {
    let mut random = Random::new(1);
    let mut bench = Bench::new(&mut random);
    let mut arrivals = input(&mut random, &bench.neighbours);
    bench.play(&mut arrivals, BOOT + WARM_UP);
    let (before, known) = (bench.router.counters(), bench.router.fib().len());
    bench.taken = Duration::ZERO;
    bench.play(&mut arrivals, BOOT + WARM_UP + MEASURED);
    let after = bench.router.counters();

    let seconds = u128::from(MEASURED.as_secs());
    let per_second = |after: u64, before: u64| (after - before) / MEASURED.as_secs();
    println!("{known} addresses, {NEIGHBOURS} neighbours; per second of virtual time:");
    println!(
        "  copies received       {}",
        per_second(after.announcements_received, before.announcements_received)
    );
    println!(
        "  announcements flooded {}",
        per_second(after.announcements_flooded, before.announcements_flooded)
    );
    println!("  signatures verified   {}", per_second(after.signatures_verified, before.signatures_verified));
    println!("  signatures made       {}", per_second(after.signatures_made, before.signatures_made));
    let share = bench.taken.as_micros() / seconds / 1_000;
    println!("  CPU time              {share} ms, {}.{} % of a core", share / 10, share % 10);
    if known != ADDRESSES {
        println!("failed: {ADDRESSES} addresses should be known");
        return ExitCode::FAILURE;
    }
    if share > LIMIT {
        println!("failed: at most {LIMIT} ms are permitted");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
