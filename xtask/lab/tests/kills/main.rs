// SPDX-License-Identifier: AGPL-3.0-or-later
//! Routers are killed at random points of what streams go through: what was acknowledged arrives, whole and once.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests end and report tests, too")]

mod ledger;

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use irdest_lab::{Dials, Gateway, Streams, ThreeRouters, TimeLimit, repetitions};
use ledger::Ledger;

/// How long after what was told before it somebody is killed at most: a commit of the journal and some frames.
const LONGEST_DELAY: Duration = Duration::from_millis(40);

/// The longest contents of each kind: in a manifest, in blocks of 1 KiB, in a few large blocks, and more than is on its way
/// at a time.
const SIZES: [u64; 5] = [255, 28 << 10, 200 << 10, 1 << 20, 4 << 20];

/// At once from A to B.
const STREAMS: u64 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Router {
    A,
    R,
    B,
}

/// Chance that can be repeated: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    /// `IRDEST_SEED` where that is set, and the time otherwise.
    fn from_environment() -> Self {
        let given = std::env::var("IRDEST_SEED").ok().map(|seed| seed.parse().unwrap());
        let time = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let seed = given.unwrap_or_else(time);
        println!("IRDEST_SEED={seed} chooses these points again");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        let place = self.below(all.len().try_into().unwrap());
        all[usize::try_from(place).unwrap()]
    }

    /// Content in which nothing comes twice.
    fn content(&mut self) -> Vec<u8> {
        let most = self.one_of(&SIZES);
        let size = usize::try_from(1 + self.below(most)).unwrap();
        let mut content: Vec<u8> = (0..size.div_ceil(8)).flat_map(|_| self.next().to_be_bytes()).collect();
        content.truncate(size);
        content
    }
}

/// Three routers, those who use them, and chance.
struct Play {
    routers: ThreeRouters,
    ledger: Ledger,
    chance: Chance,
    killed: u32,
}

impl Play {
    fn begin(seconds: u64) -> Self {
        let limit = TimeLimit::within(Duration::from_secs(seconds));
        let mut routers = ThreeRouters::prepare(limit, Dials::Edges).unwrap();
        routers.start().unwrap();
        routers.wait_for_routes().unwrap();
        let ledger = Ledger::new();
        [&routers.a, &routers.b].iter().for_each(|gateway| ledger.take_all(gateway));
        Self { routers, ledger, chance: Chance::from_environment(), killed: 0 }
    }

    fn gateway(&mut self, router: Router) -> &mut Gateway {
        match router {
            Router::A => &mut self.routers.a,
            Router::R => &mut self.routers.r,
            Router::B => &mut self.routers.b,
        }
    }

    fn start(&mut self, router: Router) {
        let gateway = self.gateway(router);
        match router {
            Router::R => gateway.start_as_ratmand().unwrap(),
            Router::A | Router::B => gateway.start().unwrap(),
        }
        match router {
            Router::A => self.ledger.take_all(&self.routers.a),
            Router::B => self.ledger.take_all(&self.routers.b),
            Router::R => {}
        }
    }

    fn send_some(&mut self) {
        for _ in 0..STREAMS {
            let content = self.chance.content();
            self.ledger.send(&self.routers.a, &self.routers.b, content);
        }
    }

    /// Kills somebody when less than so many things more were told, and a moment later.
    fn kill(&mut self, router: Router, told: u64, when: &str) {
        let told = self.chance.below(told);
        let delay = self.chance.below(LONGEST_DELAY.as_micros().try_into().unwrap());
        (0..told).for_each(|_| self.ledger.hear());
        thread::sleep(Duration::from_micros(delay));
        self.gateway(router).kill().unwrap();
        self.killed += 1;
        println!("{}: {router:?} killed {when}, {delay} us after {told} things were told", self.killed);
    }

    /// Whoever relays, sends or receives is killed while all are up.
    fn kill_while_it_relays(&mut self) {
        let router = self.chance.one_of(&[Router::R, Router::R, Router::R, Router::A, Router::B]);
        self.send_some();
        let content = self.chance.content();
        self.ledger.send(&self.routers.b, &self.routers.a, content);
        // Of each stream at least these are told: opened, accepted, delivered, that it came, that it was taken.
        self.kill(router, 5 * (STREAMS + 1), "relaying");
        self.start(router);
        self.end_round();
    }

    /// R, or A, is killed while R stores what is for B, which is off, and R or B when B is back and A is off.
    fn kill_while_it_stores_and_delivers(&mut self) {
        let first = self.chance.one_of(&[Router::R, Router::R, Router::A]);
        let second = self.chance.one_of(&[Router::R, Router::R, Router::B]);
        self.without_b();
        self.send_some();
        // Of each stream these are told: opened, accepted, stored.
        self.kill(first, 3 * STREAMS, "storing");
        self.start(first);
        if first == Router::R {
            self.ledger.wait_for(|stream| stream.is_stored() || stream.has_come());
            self.routers.a.kill().unwrap();
        }
        self.start(Router::B);
        // Of each that was accepted these are told: that it came, that it was taken.
        self.ledger.catch_up();
        let told = 2 * self.ledger.awaited();
        self.kill(second, told.max(1), "delivering");
        self.start(second);
        self.ledger.wait_for(|stream| stream.has_come());
        if first == Router::R {
            self.start(Router::A);
        }
        self.end_round();
    }

    /// Ends B, somehow, and waits until the others know it.
    fn without_b(&mut self) {
        if self.chance.below(2) == 0 {
            self.routers.b.kill().unwrap();
        } else {
            self.routers.b.stop().unwrap();
        }
        let (a, r, b) = (&self.routers.a, &self.routers.r, &self.routers.b.identity().address);
        let gone = |gateway: &Gateway| Ok::<_, anyhow::Error>(gateway.status()?.next_hop(b).is_none());
        self.routers.limit().wait_for("B to be gone", || Ok((gone(a)? && gone(r)?).then_some(()))).unwrap();
    }

    /// Everything accepted has come, and nothing is left of it anywhere, so nothing can come any more.
    fn end_round(&mut self) {
        self.ledger.wait_for(|stream| stream.has_come());
        self.ledger.wait_for_senders();
        let left = self.ledger.abandoned();
        for gateway in [&self.routers.a, &self.routers.r, &self.routers.b] {
            let what = format!("nothing to be left at {} but {left} abandoned", gateway.node().name());
            let over = |Streams { sending, receiving, carried, .. }| {
                sending == 0 && receiving <= left && carried <= left
            };
            let looks = || Ok(over(gateway.status()?.streams()).then_some(()));
            gateway.node().limit().at_most(Duration::from_secs(60)).wait_for(&what, looks).unwrap();
        }
        self.ledger.catch_up();
    }
}

#[test]
fn what_was_acknowledged_arrives_once_whoever_is_killed() {
    let points = repetitions(20, 1000);
    let mut play = Play::begin(u64::from(repetitions(200, 7200)));
    let began = Instant::now();
    while play.killed < points {
        play.kill_while_it_relays();
        play.kill_while_it_relays();
        play.kill_while_it_stores_and_delivers();
    }
    println!("{} points took {:.1} s", play.killed, began.elapsed().as_secs_f32());
}
