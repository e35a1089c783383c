// SPDX-License-Identifier: AGPL-3.0-or-later
//! The rules one by one, full tables, and what must hold whatever happens.

mod link;

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    number: u64,
    bytes: usize,
    ecn: bool,
    marked: bool,
}

impl Queued for Item {
    fn len(&self) -> usize {
        self.bytes
    }

    fn memory(&self) -> usize {
        self.bytes
    }

    fn mark_congested(&mut self) -> bool {
        self.marked = self.ecn;
        self.ecn
    }
}

fn item(number: u64, bytes: usize) -> Item {
    Item { number, bytes, ecn: false, marked: false }
}

fn key(group: u32, flow: u64) -> QueueKey {
    QueueKey { group, flow }
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(millis * 1000)
}

fn none_dropped(item: Item, reason: QueueDrop) {
    panic!("dropped {item:?}: {reason}");
}

/// A queue that holds this many items of 1000 bytes.
fn holding(items: usize) -> FairQueue<Item> {
    let memory = items * (1000 + Items::<Item>::SLOT);
    FairQueue::new(QueueLimits { memory, ..QueueLimits::default() })
}

fn push(queue: &mut FairQueue<Item>, key: QueueKey, number: u64) -> Vec<u64> {
    let mut dropped = Vec::new();
    queue.push(key, item(number, 1000), at(0), &mut |item, reason| {
        assert_eq!(reason, QueueDrop::Overflow);
        dropped.push(item.number);
    });
    dropped
}

fn pop(queue: &mut FairQueue<Item>, now: Timestamp) -> Option<Item> {
    let shown = queue.peek(now, &mut none_dropped).copied();
    assert_eq!(queue.pop(), shown);
    shown
}

#[test]
fn one_flow_is_a_queue() {
    let mut queue = holding(10);
    assert_eq!(pop(&mut queue, at(0)), None);
    (0..5).for_each(|number| assert!(push(&mut queue, key(0, 1), number).is_empty()));
    assert_eq!((queue.len(), queue.memory()), (5, 5 * (1000 + Items::<Item>::SLOT)));
    let numbers: Vec<_> = core::iter::from_fn(|| pop(&mut queue, at(2))).map(|item| item.number).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    assert!(queue.is_empty());
    assert_eq!(queue.memory(), 0);
    assert_eq!(queue.stats().longest_sojourn, Duration::from_millis(2));
    assert_eq!(queue.stats().longest_sojourn, Duration::ZERO);
}

#[test]
fn nothing_is_popped_that_was_not_shown() {
    let mut queue = holding(2);
    push(&mut queue, key(0, 1), 1);
    assert_eq!(queue.pop(), None);
    assert!(queue.peek(at(0), &mut none_dropped).is_some());
    push(&mut queue, key(0, 1), 2);
    assert_eq!(push(&mut queue, key(0, 1), 3), [1], "the item shown is dropped");
    assert_eq!(queue.pop(), None);
    assert_eq!(pop(&mut queue, at(0)).unwrap().number, 2);
    assert_eq!(queue.pop(), None);
}

#[test]
fn a_sparse_flow_may_come_between_two_looks() {
    let mut queue = holding(100);
    (0..20).for_each(|number| assert!(push(&mut queue, key(0, 1), number).is_empty()));
    (0..6).for_each(|_| _ = pop(&mut queue, at(0)));
    assert_eq!(queue.peek(at(0), &mut none_dropped).unwrap().number, 6);
    push(&mut queue, key(0, 2), 100);
    assert_eq!(pop(&mut queue, at(0)).unwrap().number, 100);
    assert_eq!(pop(&mut queue, at(0)).unwrap().number, 6);
}

#[test]
fn the_fattest_flow_of_the_fattest_group_gives_way_from_its_head() {
    let mut queue = holding(20);
    (0..8).for_each(|number| assert!(push(&mut queue, key(0, 1), number).is_empty()));
    (10..14).for_each(|number| assert!(push(&mut queue, key(1, 1), number).is_empty()));
    (20..28).for_each(|number| assert!(push(&mut queue, key(1, 2), number).is_empty()));
    assert_eq!(push(&mut queue, key(2, 1), 30), [20], "group 1 holds more than flow 1 of group 0");
    assert_eq!(push(&mut queue, key(2, 1), 31), [21]);
    assert_eq!(queue.stats().overflows, 2);
    let whole = item(99, 1_000_000);
    let mut dropped = Vec::new();
    queue.push(key(3, 1), whole, at(0), &mut |item, _| dropped.push(item.number));
    assert_eq!(dropped, [99], "an item above the limit drops nothing but itself");
    assert_eq!(queue.len(), 20);
}

#[test]
fn codel_drops_what_cannot_be_marked() {
    for ecn in [false, true] {
        let mut queue = FairQueue::new(QueueLimits::default());
        for number in 0..1000 {
            queue.push(key(0, 1), Item { ecn, ..item(number, 1500) }, at(0), &mut none_dropped);
        }
        let (mut dropped, mut marked) = (Vec::new(), Vec::new());
        for ms in 0..300 {
            queue.peek(at(ms), &mut |item, reason| {
                assert_eq!(reason, QueueDrop::Delay);
                dropped.push(item.number);
            });
            let item = queue.pop().unwrap();
            marked.extend(item.marked.then_some(item.number));
        }
        // Late from 5 ms on, an interval later the first, then 100/√1 ms.
        let signals = if ecn { [105, 205, 276] } else { [105, 206, 278] };
        let (expected_drops, expected_marks) =
            if ecn { (vec![], signals.into()) } else { (signals.into(), vec![]) };
        assert_eq!((dropped, marked), (expected_drops, expected_marks));
        let stats = queue.stats();
        assert_eq!((stats.delays, stats.marks), if ecn { (0, 3) } else { (3, 0) });
    }
}

#[test]
fn codel_spares_the_last_packets_and_the_last_super_packet() {
    for (bytes, waiting) in [(1500, 3), (65_000, 2)] {
        let mut queue = FairQueue::new(QueueLimits::default());
        let push = |queue: &mut FairQueue<Item>, ms| {
            queue.push(key(0, 1), item(ms, bytes), at(ms), &mut none_dropped);
        };
        (0..waiting).for_each(|_| push(&mut queue, 0));
        for ms in (0..10_000).step_by(50) {
            assert!(pop(&mut queue, at(ms)).is_some());
            push(&mut queue, ms);
        }
    }
}

#[test]
fn time_that_goes_back_stands() {
    let mut queue = FairQueue::new(QueueLimits::default());
    queue.push(key(0, 1), item(0, 100), at(1000), &mut none_dropped);
    queue.push(key(0, 1), item(1, 100), at(900), &mut none_dropped);
    assert!(pop(&mut queue, at(950)).is_some());
    assert!(pop(&mut queue, at(1001)).is_some());
    assert_eq!(queue.stats().longest_sojourn, Duration::from_millis(1));
}

#[test]
fn limits_out_of_range_and_odd_items_are_taken() {
    let limits =
        QueueLimits { memory: usize::MAX, quantum: 0, target: Duration::ZERO, interval: Duration::ZERO };
    let mut queue = FairQueue::new(limits);
    for bytes in [0, 1, usize::MAX] {
        let mut dropped = 0;
        queue.push(key(0, 1), item(0, bytes), at(0), &mut |_, _| dropped += 1);
        assert!(queue.memory() <= limits::MAX_MEMORY);
        assert_eq!(dropped, if bytes == usize::MAX { 3 } else { 0 }, "all of the one flow");
    }
    for number in 0..100 {
        queue.push(key(0, 1), item(number, 300), at(number), &mut none_dropped);
    }
    let mut dropped = 0;
    queue.peek(Timestamp::from_micros(u64::MAX), &mut |_, _| dropped += 1);
    assert_eq!(dropped, 98, "all but what is no queue");
}

#[test]
fn a_full_table_of_flows_shares_and_keeps_the_order() {
    let mut queue = FairQueue::new(QueueLimits::default());
    let flows = 5000;
    for number in 0..3 {
        (0..flows).for_each(|flow| queue.push(key(0, flow), item(number, 100), at(0), &mut none_dropped));
    }
    let most = MAX_FLOWS + usize::try_from(SHARED_FLOWS).unwrap();
    assert_eq!((queue.stats().flows, queue.stats().groups), (most, 1));
    let mut next: HashMap<QueueKey, u64> = HashMap::new();
    for (key, item) in queue.drain() {
        let expected = next.entry(key).or_default();
        assert_eq!(item.number, *expected);
        *expected += 1;
    }
    assert_eq!(next.len(), 5000);
    assert!(next.values().all(|&items| items == 3));
    assert_eq!(queue.stats().flows, 0, "the memory is given back");
}

#[test]
fn a_full_table_of_groups_shares_the_last() {
    let mut queue = FairQueue::new(QueueLimits::default());
    for number in 0..2 {
        (0..1000).for_each(|group| queue.push(key(group, 7), item(number, 100), at(0), &mut none_dropped));
    }
    assert_eq!((queue.stats().flows, queue.stats().groups), (1000, MAX_GROUPS + 1));
    let mut last = HashMap::new();
    while let Some((key, item)) = queue.drain().next() {
        assert_eq!(last.insert(key, item.number), item.number.checked_sub(1));
    }
    assert_eq!(last.len(), 1000);
    assert_eq!(queue.stats(), QueueStats::default());
}

#[test]
fn a_full_queue_of_small_items_holds_no_more_than_the_limit() {
    let mut queue = FairQueue::new(QueueLimits { memory: 100_000, ..QueueLimits::default() });
    let mut dropped = 0;
    (0..10_000).for_each(|n| queue.push(key(0, n % 10), item(n, 0), at(0), &mut |_, _| dropped += 1));
    assert_eq!(queue.len(), 100_000 / Items::<Item>::SLOT);
    assert_eq!(queue.len() + dropped, 10_000);
    assert!(queue.items.slots() <= queue.len() + 1);
}

#[test]
fn slots_are_reused_and_given_back_after_a_burst() {
    let mut queue = FairQueue::new(QueueLimits::default());
    for round in 0..10_000 {
        (0..8)
            .for_each(|flow| queue.push(key(0, round * 8 + flow), item(flow, 100), at(0), &mut none_dropped));
        (0..8).for_each(|_| assert!(pop(&mut queue, at(0)).is_some()));
    }
    assert_eq!(queue.items.slots(), 8);
    assert!(queue.stats().flows <= 16, "flows that are over are forgotten: {:?}", queue.stats());
    (0..2000).for_each(|flow| queue.push(key(1, flow % 20), item(flow, 100), at(0), &mut none_dropped));
    assert_eq!(queue.items.slots(), 2000);
    while pop(&mut queue, at(0)).is_some() {}
    assert_eq!((queue.items.slots(), queue.stats().flows, queue.stats().groups), (0, 0, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Push { group: u32, flow: u64, bytes: usize, ecn: bool },
    Pop,
    Wait(u64),
    Drain(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u32, 0..6_u64, prop_oneof![0..200_usize, 1400..1500_usize, 60_000..66_000_usize], any::<bool>())
            .prop_map(|(group, flow, bytes, ecn)| Step::Push { group, flow, bytes, ecn }),
        4 => Just(Step::Pop),
        1 => (0..200_000_u64).prop_map(Step::Wait),
        1 => (0..3_usize).prop_map(Step::Drain),
    ]
}

/// What must be in the queue, by flow.
#[derive(Default)]
struct Model(HashMap<QueueKey, VecDeque<u64>>);

impl Model {
    /// An item leaves: it must be the oldest of its flow.
    fn leaves(&mut self, number: u64) {
        let flow = self.0.values_mut().find(|flow| flow.front() == Some(&number));
        flow.expect("the oldest of its flow").pop_front();
    }

    fn len(&self) -> usize {
        self.0.values().map(VecDeque::len).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_item_is_popped_dropped_or_there(
        steps in prop::collection::vec(step(), 1..300),
        memory in 1000..600_000_usize,
        quantum in 200..70_000_u32,
    ) {
        let mut queue = FairQueue::new(QueueLimits { memory, quantum, ..QueueLimits::default() });
        let (mut model, mut now) = (Model::default(), at(1000));
        for (number, step) in (0..).zip(steps) {
            match step {
                Step::Push { group, flow, bytes, ecn } => {
                    model.0.entry(key(group, flow)).or_default().push_back(number);
                    let item = Item { ecn, ..item(number, bytes) };
                    queue.push(key(group, flow), item, now, &mut |item, _| model.leaves(item.number));
                }
                Step::Pop => {
                    let shown = queue.peek(now, &mut |item, _| model.leaves(item.number)).copied();
                    prop_assert_eq!(shown.is_none(), queue.is_empty());
                    prop_assert_eq!(queue.pop(), shown);
                    shown.into_iter().for_each(|item| model.leaves(item.number));
                }
                Step::Wait(micros) => now = now + Duration::from_micros(micros) - Duration::from_micros(300),
                Step::Drain(items) => {
                    for (_, item) in queue.drain().take(items) {
                        model.leaves(item.number);
                    }
                }
            }
            prop_assert!(queue.memory() <= memory);
            prop_assert_eq!(queue.len(), model.len());
        }
        queue.drain().for_each(|(_, item)| model.leaves(item.number));
        prop_assert_eq!((model.len(), queue.len(), queue.memory()), (0, 0, 0));
    }
}
