// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which of two links to one neighbour is chosen, and that the choice rests while nothing changes.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests end and report tests, too")]

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use irdest_lab::traffic::IperfServer;
use irdest_lab::{LinkTraits, Neighbours, Process, Rate, TimeLimit};

/// How long an idle link's capacity may take to be known, and until a swap is followed.
const KNOWN_WITHIN: Duration = Duration::from_secs(60);
const FOLLOWED_WITHIN: Duration = Duration::from_secs(40);

/// How long traffic runs over a choice that must stay.
const LOADED: Duration = Duration::from_secs(60);

/// In any such time the route changes less than twice.
const CALM: Duration = Duration::from_secs(30);

/// Time between two looks at the daemon.
const LOOK: Duration = Duration::from_millis(250);

fn limit() -> TimeLimit {
    TimeLimit::within(Duration::from_secs(300))
}

fn link(round_trip_us: u64, mbit_per_second: u32) -> LinkTraits {
    LinkTraits { round_trip: Duration::from_micros(round_trip_us), rate: Some(Rate::mbit(mbit_per_second)) }
}

/// A TCP stream from A to B that outlasts the test, and its server.
fn stream(links: &Neighbours) -> (IperfServer, Process) {
    let b: IpAddr = Neighbours::B_ADDRESS.parse().unwrap();
    let server = IperfServer::start(links.b.node(), b, links.limit()).unwrap();
    let client = ["--client", Neighbours::B_ADDRESS, "--time", "300"];
    (server, links.a.node().spawn("iperf3", &client, "iperf3-client").unwrap())
}

/// How often A's route to B has changed so far, by its log.
fn changes(links: &Neighbours) -> usize {
    let log = links.a.log();
    log.lines().filter(|line| line.contains("route changed") && line.contains("from=")).count()
}

/// When the route changed, while something was awaited.
struct Watch<'a> {
    links: &'a Neighbours,
    changes: Vec<Instant>,
}

impl<'a> Watch<'a> {
    fn start(links: &'a Neighbours) -> Self {
        let now = Instant::now();
        Self { links, changes: vec![now; changes(links)] }
    }

    fn look(&mut self) {
        self.links.limit().pass(LOOK).unwrap();
        self.changes.resize(changes(self.links), Instant::now());
    }

    /// Watches until the link is chosen for a reason that names this quantity.
    fn until_chosen(&mut self, link: usize, quantity: &str, within: Duration) {
        let began = Instant::now();
        let mut reason = self.links.reason().unwrap();
        while self.links.chosen().unwrap() != link || !reason.contains(quantity) {
            self.look();
            reason = self.links.reason().unwrap();
            assert!(began.elapsed() < within, "link {link} is not chosen by {quantity}: {reason}");
        }
        println!("link {link} after {:.1?}: {reason}", began.elapsed());
    }

    /// Watches for a while during which the link has to stay chosen.
    fn stays(&mut self, link: usize, duration: Duration) {
        let end = TimeLimit::within(duration);
        while !end.is_over() {
            self.look();
            assert_eq!(self.links.chosen().unwrap(), link, "{}", self.links.reason().unwrap());
        }
    }

    /// The most changes within [`CALM`] since the watch began, given how many there were at first.
    fn most_at_once(&self, first: usize) -> usize {
        let since = &self.changes[first..];
        let within = |at: &Instant| since.iter().filter(|other| (*at..*at + CALM).contains(*other)).count();
        since.iter().map(within).max().unwrap_or(0)
    }
}

#[test]
fn the_better_of_two_links_is_chosen_until_it_is_the_worse() {
    for extra in Neighbours::with_and_without_probes() {
        // Most of the time both wait.
        thread::scope(|scope| {
            scope.spawn(|| assert_wider(extra));
            scope.spawn(|| assert_quicker(extra));
        });
    }
}

/// Of two that are as quick the wider is chosen, until it is the narrower.
fn assert_wider(extra: &str) {
    let (narrow, wide) = (10, 50);
    let links = Neighbours::start(limit(), &[link(5_000, narrow), link(5_200, wide)], extra).unwrap();
    let mut watch = Watch::start(&links);
    watch.until_chosen(1, "bandwidth", KNOWN_WITHIN);
    let _stream = stream(&links);
    watch.stays(1, LOADED);
    let before = watch.changes.len();
    links.set(&[link(5_000, wide), link(5_200, narrow)]).unwrap();
    watch.until_chosen(0, "ping", FOLLOWED_WITHIN);
    watch.stays(0, CALM);
    assert!(watch.most_at_once(before) < 2, "{} changes", watch.changes.len() - before);
}

/// The quicker is chosen and stays so under load, until it is the slower.
fn assert_quicker(extra: &str) {
    let (quick, slow) = (link(5_000, 50), link(20_000, 50));
    let links = Neighbours::start(limit(), &[quick, slow], extra).unwrap();
    let mut watch = Watch::start(&links);
    watch.until_chosen(0, "ping", KNOWN_WITHIN);
    let _stream = stream(&links);
    watch.stays(0, LOADED);
    let before = watch.changes.len();
    links.set(&[slow, quick]).unwrap();
    watch.until_chosen(1, "ping", FOLLOWED_WITHIN);
    watch.stays(1, CALM);
    assert!(watch.most_at_once(before) < 2, "{} changes", watch.changes.len() - before);
}
