// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is yet to happen, in order of time; what was planned first happens first at one instant.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use ratman_types::Timestamp;

/// A queue of happenings.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    planned: BinaryHeap<Planned<T>>,
    count: u64,
}

#[derive(Debug)]
struct Planned<T> {
    at: Timestamp,
    number: u64,
    happening: T,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { planned: BinaryHeap::new(), count: 0 }
    }
}

impl<T> Queue<T> {
    /// Plans something.
    pub(crate) fn push(&mut self, at: Timestamp, happening: T) {
        self.planned.push(Planned { at, number: self.count, happening });
        self.count += 1;
    }

    /// The next happening up to `end`, with its time.
    pub(crate) fn pop_until(&mut self, end: Timestamp) -> Option<(Timestamp, T)> {
        if self.planned.peek()?.at > end {
            return None;
        }
        self.planned.pop().map(|planned| (planned.at, planned.happening))
    }
}

/// The greatest goes first: the earliest, and the first planned of equal ones.
impl<T> Ord for Planned<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<T> PartialOrd for Planned<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Planned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Planned<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_first_then_the_order_of_planning() {
        let at = Timestamp::from_micros;
        let mut queue = Queue::default();
        for (time, name) in [(5, "c"), (3, "a"), (3, "b"), (9, "d")] {
            queue.push(at(time), name);
        }
        let order: Vec<_> = core::iter::from_fn(|| queue.pop_until(at(8))).collect();
        assert_eq!(order, [(at(3), "a"), (at(3), "b"), (at(5), "c")]);
        assert_eq!(queue.pop_until(at(9)), Some((at(9), "d")));
        assert_eq!(queue.pop_until(at(u64::MAX)), None);
    }
}
