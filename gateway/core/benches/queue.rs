// SPDX-License-Identifier: AGPL-3.0-or-later
//! What an item costs from push to pop, with a standing queue: `cargo bench -p gateway-core --bench queue`.

use core::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use gateway_core::queue::{FairQueue, QueueKey, QueueLimits, Queued};
use ratman_types::Timestamp;

/// As small as what the gateway queues: a handle and two lengths.
struct Item {
    bytes: usize,
    _handle: [u64; 4],
}

impl Queued for Item {
    fn len(&self) -> usize {
        self.bytes
    }

    fn memory(&self) -> usize {
        self.bytes
    }

    fn mark_congested(&mut self) -> bool {
        true
    }
}

fn push_and_pop(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("push and pop");
    for (flows, bytes) in [(1, 1400), (10, 1400), (10, 65_000), (1000, 1400)] {
        let mut queue = FairQueue::new(QueueLimits { memory: 64 << 20, ..QueueLimits::default() });
        let (mut now, mut flow) = (Timestamp::default(), 0_u64);
        let mut push = |queue: &mut FairQueue<Item>, now| {
            flow = (flow + 1) % flows;
            let key =
                QueueKey { group: u32::from(flow % 2 == 1), flow: flow.wrapping_mul(0x9E37_79B9_7F4A_7C15) };
            queue.push(key, Item { bytes, _handle: [0; 4] }, now, &mut |_, _| ());
        };
        (0..flows * 4).for_each(|_| push(&mut queue, now));
        group.bench_function(BenchmarkId::new(format!("{flows} flows"), bytes), |bencher| {
            bencher.iter(|| {
                now = now + Duration::from_micros(1);
                push(&mut queue, now);
                queue.peek(now, &mut |_, _| ());
                queue.pop()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, push_and_pop);
criterion_main!(benches);
