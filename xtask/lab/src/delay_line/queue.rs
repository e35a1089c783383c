// SPDX-License-Identifier: AGPL-3.0-or-later
//! Packets on their way, each with the time at which it arrives.

use std::collections::VecDeque;
use std::time::Instant;

/// Packets on their way in one direction: 300 ms at 300 Mbit/s, and 12 MiB at most. More are dropped.
const LIMIT: usize = 8192;

/// First in, first out. Packets that have arrived leave their memory to those that follow.
#[derive(Debug, Default)]
pub(super) struct Queue {
    packets: VecDeque<(Instant, Vec<u8>)>,
    spare: Vec<Vec<u8>>,
    arrived: Vec<u8>,
}

impl Queue {
    /// Adds a packet that arrives when it is due, and not before those that were added earlier. Returns whether there was
    /// room for it.
    pub(super) fn push(&mut self, due: Instant, packet: &[u8]) -> bool {
        if self.packets.len() >= LIMIT {
            return false;
        }
        let mut memory = self.spare.pop().unwrap_or_default();
        memory.clear();
        memory.extend_from_slice(packet);
        self.packets.push_back((due, memory));
        true
    }

    /// When the next packet arrives.
    pub(super) fn due(&self) -> Option<Instant> {
        self.packets.front().map(|(due, _)| *due)
    }

    /// The next packet that has arrived by now.
    pub(super) fn pop(&mut self, now: Instant) -> Option<&[u8]> {
        self.due().filter(|due| *due <= now)?;
        let (_, packet) = self.packets.pop_front()?;
        self.spare.push(std::mem::replace(&mut self.arrived, packet));
        Some(&self.arrived)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn packets_arrive_when_they_are_due_and_in_order() {
        let now = Instant::now();
        let later = now + Duration::from_millis(5);
        let mut queue = Queue::default();
        assert_eq!(queue.due(), None);
        assert!(queue.push(later, b"first") && queue.push(now, b"2nd"));
        assert_eq!(queue.due(), Some(later));
        assert_eq!(queue.pop(now), None, "the second waits for the first");
        assert_eq!(queue.pop(later), Some(&b"first"[..]));
        assert_eq!(queue.pop(later), Some(&b"2nd"[..]));
        assert_eq!(queue.pop(later), None);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_memory_is_used_again() {
        let now = Instant::now();
        let mut queue = Queue::default();
        for round in 0..3 {
            for _ in 0..LIMIT {
                assert!(queue.push(now, &[round]));
            }
            assert!(!queue.push(now, &[9]), "full");
            while let Some(packet) = queue.pop(now) {
                assert_eq!(packet, [round]);
            }
            assert!(queue.spare.len() <= LIMIT);
        }
        assert!(queue.push(now, b"room again"));
    }
}
