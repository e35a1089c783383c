// SPDX-License-Identifier: AGPL-3.0-or-later
//! The latency of a link is that of `ping` on the same path, whatever else crosses it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests end and report tests, too")]

use std::net::{IpAddr, UdpSocket};
use std::thread;
use std::time::{Duration, SystemTime};

use irdest_lab::traffic::{IperfServer, Ping};
use irdest_lab::{LinkTraits, Node, TimeLimit, TwoLinks};

/// What the latency is taken from: the daemon looks back so far.
const WINDOW: Duration = Duration::from_secs(30);

/// Pause between two pings, and how far the daemon's figure may be from their median: the larger of the two.
const PAUSE: Duration = Duration::from_millis(200);
const PERCENT: u32 = 5;
const LEAST: Duration = Duration::from_micros(200);

/// Port of B on which datagrams come in.
const PORT: u16 = 5201;

const TRAITS: [LinkTraits; 2] = [
    LinkTraits { round_trip: Duration::from_millis(10), mbit_per_second: 50 },
    LinkTraits { round_trip: Duration::from_millis(40), mbit_per_second: 50 },
];

/// What crosses the link meanwhile.
#[derive(Clone, Copy, Debug)]
enum Load {
    /// Nothing but the daemons.
    None,
    /// A stream of datagrams at 1 Mbit/s.
    Light,
    /// A message every 50 ms of which every second one is answered: B's kernel delays its acknowledgements.
    Talker,
}

fn limit() -> TimeLimit {
    TimeLimit::within(Duration::from_secs(120))
}

/// Sends a message every 50 ms for as long as the window; B answers every second one.
fn talk(from: &Node, to: &Node) {
    let answer = to.thread(|| {
        let socket = UdpSocket::bind((TwoLinks::B_ADDRESS, PORT)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut message = [0; 200];
        let mut count = 0_u32;
        while let Ok((length, from)) = socket.recv_from(&mut message) {
            count += 1;
            if count.is_multiple_of(2) {
                socket.send_to(&message[..length], from).unwrap();
            }
        }
        count
    });
    let talk = from.thread(|| {
        let socket = UdpSocket::bind((TwoLinks::A_ADDRESS, 0)).unwrap();
        let end = TimeLimit::within(WINDOW);
        while !end.is_over() {
            socket.send_to(&[7; 200], (TwoLinks::B_ADDRESS, PORT)).unwrap();
            end.pass(Duration::from_millis(50)).unwrap();
        }
    });
    talk.unwrap().join().unwrap();
    assert!(answer.unwrap().join().unwrap() > 400, "the talk was heard");
}

fn load(links: &TwoLinks, load: Load) {
    let (a, b) = (links.a.node(), links.b.node());
    match load {
        Load::None => links.limit().pass(WINDOW).unwrap(),
        Load::Light => {
            let address: IpAddr = TwoLinks::B_ADDRESS.parse().unwrap();
            let server = IperfServer::start(b, address, links.limit()).unwrap();
            let seconds = u32::try_from(WINDOW.as_secs()).unwrap();
            server.report(a, &["--udp", "--bitrate", "1M"], seconds, links.limit()).unwrap();
        }
        Load::Talker => talk(a, b),
    }
}

/// Compares what A tells of its first link with pings on it during the window.
fn assert_latency(kind: Load) {
    let links = TwoLinks::start(limit(), TRAITS, "").unwrap();
    let on_link: IpAddr = TwoLinks::B_ON_LINKS[0].parse().unwrap();
    let ping = Ping::start(links.a.node(), on_link, PAUSE).unwrap();
    let began = SystemTime::now();
    load(&links, kind);
    let truth = ping.replies().after(began).median();
    let status = links.a.status().unwrap();
    let link = status.links.iter().find(|link| link.remote.starts_with(TwoLinks::B_ON_LINKS[0])).unwrap();
    let told = Duration::from_micros(link.rtt_us.unwrap());
    println!("{kind:?}: ping {truth:?}, the link {told:?}");
    let allowed = LEAST.max(truth * PERCENT / 100);
    assert!(told.abs_diff(truth) <= allowed, "{kind:?}: ping {truth:?}, the link {told:?}");
}

#[test]
fn latency_is_that_of_ping_whatever_crosses_the_link() {
    thread::scope(|scope| {
        for load in [Load::None, Load::Light, Load::Talker] {
            scope.spawn(move || assert_latency(load));
        }
    });
}
