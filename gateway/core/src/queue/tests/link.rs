// SPDX-License-Identifier: AGPL-3.0-or-later
//! The queue in front of a link of 50 Mbit/s, in virtual time.

use super::*;

/// 50 Mbit/s.
const BITS_PER_MICROSECOND: usize = 50;

const SUPER: usize = 65_000;
const FULL: usize = 1400;

struct Link {
    queue: FairQueue<Item>,
    now: Timestamp,
    sent: HashMap<QueueKey, usize>,
}

impl Link {
    fn new() -> Self {
        Self { queue: FairQueue::new(QueueLimits::default()), now: at(1000), sent: HashMap::new() }
    }

    /// Queues an item whose number tells its key.
    fn push(&mut self, key: QueueKey, bytes: usize) {
        let number = (u64::from(key.group) << 32) | key.flow;
        self.queue.push(key, item(number, bytes), self.now, &mut |_, _| ());
    }

    /// Sends the next item, which takes its time; drops by CoDel go unnoticed.
    fn send(&mut self) -> QueueKey {
        self.queue.peek(self.now, &mut |_, _| ()).expect("the link is busy");
        let item = self.queue.pop().expect("shown");
        let key = key(u32::try_from(item.number >> 32).unwrap(), item.number & 0xFFFF_FFFF);
        self.now = self.now + transmission(item.bytes);
        *self.sent.entry(key).or_default() += item.bytes;
        key
    }

    /// The least and the most that the flows of this group have sent.
    fn extremes(&self, group: u32) -> (usize, usize) {
        let sent = || self.sent.iter().filter(|(key, _)| key.group == group).map(|(_, &bytes)| bytes);
        (sent().min().unwrap(), sent().max().unwrap())
    }

    fn total(&self, group: u32) -> usize {
        self.sent.iter().filter(|(key, _)| key.group == group).map(|(_, bytes)| bytes).sum()
    }
}

fn transmission(bytes: usize) -> Duration {
    Duration::from_micros(u64::try_from(bytes * 8 / BITS_PER_MICROSECOND).unwrap())
}

/// Keeps `waiting` items of these bytes in each flow of the link while it sends `items`.
fn saturate(link: &mut Link, flows: &[(QueueKey, usize)], waiting: usize, items: usize) {
    let sizes: HashMap<_, _> = flows.iter().copied().collect();
    for (key, bytes) in flows {
        (0..waiting).for_each(|_| link.push(*key, *bytes));
    }
    for _ in 0..items {
        let sent = link.send();
        link.push(sent, sizes[&sent]);
    }
}

#[test]
fn ten_flows_of_super_packets_share_the_link() {
    let mut link = Link::new();
    let flows: Vec<_> = (0..10).map(|flow| (key(0, flow), SUPER)).collect();
    saturate(&mut link, &flows, 2, 1000);
    let (least, most) = link.extremes(0);
    assert!(most - least <= most / 5, "{least} to {most}");
}

#[test]
fn the_size_of_items_changes_no_share() {
    let mut link = Link::new();
    let sizes = [100, FULL, 9000, SUPER];
    let flows: Vec<_> =
        (0..12).map(|flow| (key(0, flow), sizes[usize::try_from(flow).unwrap() % 4])).collect();
    saturate(&mut link, &flows, 3, 100_000);
    let (least, most) = link.extremes(0);
    assert!(most - least <= most / 5, "{least} to {most}");
}

#[test]
fn a_ping_waits_for_at_most_one_item() {
    for bytes in [FULL, SUPER] {
        for gap_ms in [1, 3, 20, 100, 350, 1000] {
            let mut link = Link::new();
            let bulk: Vec<_> = (0..10).map(|flow| (key(0, flow), bytes)).collect();
            saturate(&mut link, &bulk, 2, 100);
            let (mut due, mut pings) = (link.now, 0);
            while pings < 200 {
                let sent = link.send();
                link.push(sent, bytes);
                if link.now >= due {
                    link.push(key(0, 99), 100);
                    assert_eq!(
                        link.send().flow,
                        99,
                        "ping {pings}, every {gap_ms} ms, beside items of {bytes}"
                    );
                    (due, pings) = (link.now + Duration::from_millis(gap_ms), pings + 1);
                }
            }
        }
    }
}

#[test]
fn a_sparse_group_goes_before_busy_ones() {
    let mut link = Link::new();
    let bulk: Vec<_> = (0..10).map(|group| (key(group, 0), SUPER)).collect();
    saturate(&mut link, &bulk, 2, 50);
    for _ in 0..50 {
        link.push(key(77, 1), 100);
        assert_eq!(link.send().group, 77);
        let sent = link.send();
        link.push(sent, SUPER);
    }
}

#[test]
fn a_thousand_flows_get_no_more_than_their_group() {
    let mut link = Link::new();
    let mut flows: Vec<_> = (0..1000).map(|flow| (key(1, flow), FULL)).collect();
    flows.push((key(2, 0), FULL));
    saturate(&mut link, &flows, 3, 20_000);
    let (crowd, lone) = (link.total(1), link.total(2));
    assert!(crowd.abs_diff(lone) <= lone / 20, "{crowd} and {lone}");
    let (least, most) = link.extremes(1);
    assert!(most - least <= 4096 + FULL, "{least} to {most}");
}

#[test]
fn a_flow_that_sends_when_it_emptied_gains_no_share() {
    for bytes in [FULL, SUPER] {
        let mut link = Link::new();
        let bulk: Vec<_> = (0..4).map(|flow| (key(0, flow), bytes)).collect();
        saturate(&mut link, &bulk, 2, 0);
        link.push(key(0, 9), bytes);
        for _ in 0..5000 {
            let sent = link.send();
            link.push(sent, bytes);
        }
        let (least, most) = link.extremes(0);
        assert!(link.sent[&key(0, 9)] <= least + least / 20, "{least} to {most}");
    }
}

/// A sender with a window that a loss halves, at most once per round trip, and a round trip without loss enlarges by a packet.
struct Sender {
    window: u64,
    in_flight: u64,
    acknowledged: u64,
    deaf_until: Timestamp,
}

const ROUND_TRIP: Duration = Duration::from_millis(40);

impl Sender {
    fn heard(&mut self, lost: bool, now: Timestamp) {
        self.in_flight -= 1;
        self.acknowledged += 1;
        if lost && now >= self.deaf_until {
            self.window = (self.window / 2).max(2);
            self.deaf_until = now + ROUND_TRIP;
            self.acknowledged = 0;
        } else if self.acknowledged >= self.window {
            self.window += 1;
            self.acknowledged = 0;
        }
    }
}

/// The mean sojourn in microseconds and the bytes sent, over 20 s of which the first 10 s do not count.
fn respond(limits: QueueLimits) -> (u64, usize) {
    let mut queue = FairQueue::new(limits);
    let mut sender = Sender { window: 600, in_flight: 0, acknowledged: 0, deaf_until: at(0) };
    let (mut now, mut news) = (at(0), VecDeque::new());
    let (mut sojourns, mut items) = (0, 0);
    while now < at(20_000) {
        while news.front().is_some_and(|&(heard, _)| heard <= now) {
            let (_, lost) = news.pop_front().unwrap();
            sender.heard(lost, now);
        }
        while sender.in_flight < sender.window {
            sender.in_flight += 1;
            let sent = item(now.as_micros(), FULL);
            queue.push(key(0, 1), sent, now, &mut |_, _| news.push_back((now + ROUND_TRIP, true)));
        }
        queue.peek(now, &mut |_, _| news.push_back((now + ROUND_TRIP, true)));
        let Some(item) = queue.pop() else {
            now = news.front().expect("all packets are under way").0;
            continue;
        };
        if now >= at(10_000) {
            sojourns += now.as_micros() - item.number;
            items += 1;
        }
        now = now + transmission(FULL);
        news.push_back((now + ROUND_TRIP, false));
    }
    (sojourns / items, usize::try_from(items).unwrap() * FULL)
}

#[test]
fn codel_keeps_a_responsive_sender_near_the_target() {
    let (sojourn, sent) = respond(QueueLimits::default());
    assert!(sojourn < 10_000, "{sojourn} µs on average");
    let capacity = 10_000_000 * BITS_PER_MICROSECOND / 8;
    assert!(sent > capacity * 80 / 100, "{sent} of {capacity} bytes");
    let never = QueueLimits { target: Duration::from_secs(100), ..QueueLimits::default() };
    assert!(respond(never).0 > 100_000, "without CoDel the queue stands");
}
