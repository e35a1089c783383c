// SPDX-License-Identifier: AGPL-3.0-or-later
//! The delay line does what it says: what the tests of link metrics show rests on it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests end and report tests, too")]

use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, SystemTime};

use irdest_lab::traffic::{IperfServer, Ping, ping, stream_rates};
use irdest_lab::{DelayLine, Lab, LinkEnd, Node, TimeLimit};

/// Pause between two pings.
const PAUSE: Duration = Duration::from_millis(10);

/// Answers from which a median is taken.
const ANSWERS: usize = 100;

/// What two passes through the line may take beside the configured time, at the median: 0.1 ms were measured.
const ADDED: Duration = Duration::from_micros(300);

fn limit() -> TimeLimit {
    TimeLimit::within(Duration::from_secs(60))
}

/// Two nodes with a line between them. The line ends before its lab.
struct Pair {
    left: Node,
    right: Node,
    line: DelayLine,
    lab: Lab,
}

impl Pair {
    fn start(each_way: Duration) -> Self {
        let lab = Lab::create(limit()).unwrap();
        let (left, right) = (lab.node("left").unwrap(), lab.node("right").unwrap());
        let line = lab
            .delay_line(
                LinkEnd { node: &left, device: "to-right", addresses: &["192.0.2.1/24", "2001:db8:1::1/64"] },
                LinkEnd { node: &right, device: "to-left", addresses: &["192.0.2.2/24", "2001:db8:1::2/64"] },
                each_way,
            )
            .unwrap();
        Self { left, right, line, lab }
    }

    fn ping(&self) -> Ping {
        Ping::start(&self.left, address(), PAUSE).unwrap()
    }

    /// The median of answers that came from now on.
    fn median(&self, ping: &Ping) -> Duration {
        let since = SystemTime::now();
        let enough = || ping.replies().after(since).0.len() >= ANSWERS;
        self.lab.limit().wait_until("enough answers", enough).unwrap();
        ping.replies().after(since).median()
    }
}

fn address() -> IpAddr {
    "192.0.2.2".parse().unwrap()
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn packets_take_what_is_configured_in_each_direction() {
    let pair = Pair::start(ms(5));
    ping(&pair.left, "2001:db8:1::2".parse().unwrap(), 1, pair.lab.limit()).unwrap();
    let ping = pair.ping();
    for (forth, back) in [(ms(5), ms(5)), (ms(20), ms(1)), (Duration::from_micros(2600), ms(0))] {
        pair.line.set_delay(forth, back);
        let median = pair.median(&ping);
        println!("{:?} configured, {median:?} measured", forth + back);
        assert!(median >= forth + back, "{median:?} for {forth:?} and {back:?}");
        assert!(median <= forth + back + ADDED, "{median:?} for {forth:?} and {back:?}");
    }
}

#[test]
fn a_silent_line_drops_everything_while_its_ends_stay_up() {
    let pair = Pair::start(ms(20));
    let ping = pair.ping();
    ping.reply_after(SystemTime::now(), pair.lab.limit()).unwrap();
    let silent = SystemTime::now();
    pair.line.set_silent(true);
    pair.lab.limit().pass(ms(500)).unwrap();
    // Single answers may have been delivered and not yet written down when it fell silent.
    assert!(ping.replies().after(silent + ms(20)).0.is_empty(), "not even what was on its way");
    for (node, device) in [(&pair.left, "to-right"), (&pair.right, "to-left")] {
        assert!(node.ip(&["link", "show", device]).unwrap().contains("state UP"));
    }
    pair.line.set_silent(false);
    ping.reply_after(SystemTime::now(), pair.lab.limit()).unwrap();
    assert!(pair.line.counts().silenced >= 20, "{:?}", pair.line.counts());
    assert_eq!(pair.line.counts().dropped, 0);
}

#[test]
fn it_carries_300_mbit_per_second() {
    let pair = Pair::start(ms(5));
    let server = IperfServer::start(&pair.right, address(), pair.lab.limit()).unwrap();
    for options in [&[][..], &["--reverse"]] {
        let report = server.report(&pair.left, options, 3, pair.lab.limit()).unwrap();
        let rate = stream_rates(&report).unwrap()[0] / 1e6;
        println!("{options:?}: {rate:.0} Mbit/s, {:?}", pair.line.counts());
        assert!(rate >= 300.0, "{rate:.0} Mbit/s");
    }
}

#[test]
fn it_carries_what_a_shaped_end_sends() {
    let pair = Pair::start(ms(5));
    pair.left.shape("to-right", 50).unwrap();
    let server = IperfServer::start(&pair.right, address(), pair.lab.limit()).unwrap();
    let report = server.report(&pair.left, &[], 3, pair.lab.limit()).unwrap();
    let rate = stream_rates(&report).unwrap()[0] / 1e6;
    assert!((40.0..=50.0).contains(&rate), "{rate:.1} Mbit/s");
}

#[test]
fn what_finds_no_room_on_the_line_is_dropped_and_counted() {
    const SENT: u64 = 20_000;
    let pair = Pair::start(Duration::from_secs(3600));
    // A known neighbour: nothing has to be asked over the slow line.
    let there = pair.right.ip(&["-json", "link", "show", "to-left"]).unwrap();
    let there: serde_json::Value = serde_json::from_str(&there).unwrap();
    let there = there[0]["address"].as_str().unwrap();
    pair.left.ip(&["neighbour", "replace", "192.0.2.2", "lladdr", there, "dev", "to-right"]).unwrap();
    let sender = pair.left.thread(|| {
        let socket = UdpSocket::bind(("192.0.2.1", 0)).unwrap();
        for _ in 0..SENT {
            socket.send_to(&[0; 100], ("192.0.2.2", 9)).unwrap();
        }
    });
    sender.unwrap().join().unwrap();
    let dropped = || pair.line.counts().dropped > SENT / 2;
    pair.lab.limit().wait_until("most of the packets to be dropped", dropped).unwrap();
    assert_eq!(pair.line.counts().delivered, 0);
}

#[test]
fn without_the_line_nothing_is_carried() {
    let Pair { left, right: _right, line, lab } = Pair::start(ms(1));
    ping(&left, address(), 1, lab.limit()).unwrap();
    drop(line);
    assert!(ping(&left, address(), 1, lab.limit()).is_err());
}
