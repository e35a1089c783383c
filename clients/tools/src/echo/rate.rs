// SPDX-License-Identifier: AGPL-3.0-or-later
//! How much a sender may have echoed.

use std::collections::BTreeMap;
use std::time::Duration;

use ratman_client::types::Address;

/// The most senders that are told apart; 64 KiB. An address costs nothing to make, so this bounds all of them together.
const MAX_SENDERS: usize = 1024;

/// How many seconds' worth a sender who was silent may send at once.
const BURST_SECONDS: u32 = 5;

/// So many streams a second for each sender, on average; five times as many at once. Times are counted from the start of the program.
#[derive(Debug)]
pub(super) struct Rate {
    /// The time that one stream takes.
    each: Duration,
    /// How far ahead of the clock a sender may be.
    burst: Duration,
    /// Until when each is busy with what it has sent.
    senders: BTreeMap<Address, Duration>,
}

impl Rate {
    /// At least one.
    pub(super) fn new(per_second: u32) -> Self {
        let each = Duration::from_secs(1) / per_second.max(1);
        Self { each, burst: each * (per_second.max(1) * BURST_SECONDS - 1), senders: BTreeMap::new() }
    }

    /// Whether this sender may have one more echoed now; if so, it is counted.
    pub(super) fn admit(&mut self, sender: Address, now: Duration) -> bool {
        if !self.senders.contains_key(&sender) && self.senders.len() >= MAX_SENDERS {
            // Who is not busy any more need not be known.
            self.senders.retain(|_, busy| *busy > now);
            if self.senders.len() >= MAX_SENDERS {
                return false;
            }
        }
        let busy = self.senders.entry(sender).or_insert(now);
        let begin = (*busy).max(now);
        if begin - now > self.burst {
            return false;
        }
        *busy = begin + self.each;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> Address {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Address::from_bytes(bytes)
    }

    fn admitted(rate: &mut Rate, sender: Address, now: Duration) -> usize {
        (0..1000).filter(|_| rate.admit(sender, now)).count()
    }

    #[test]
    fn a_sender_has_a_burst_and_then_the_rate() {
        let mut rate = Rate::new(20);
        assert_eq!(admitted(&mut rate, address(1), Duration::ZERO), 100);
        assert_eq!(admitted(&mut rate, address(1), Duration::from_secs(1)), 20);
        assert_eq!(admitted(&mut rate, address(2), Duration::from_secs(1)), 100, "each has its own");
        assert_eq!(
            admitted(&mut rate, address(1), Duration::from_secs(1000)),
            100,
            "and no more for being silent"
        );
    }

    #[test]
    fn senders_are_bounded_and_forgotten() {
        let mut rate = Rate::new(1);
        for number in 0..MAX_SENDERS {
            assert!(rate.admit(address(number), Duration::ZERO));
        }
        assert!(!rate.admit(address(MAX_SENDERS), Duration::ZERO));
        assert!(rate.admit(address(0), Duration::ZERO), "who is known goes on");
        assert!(rate.admit(address(MAX_SENDERS), Duration::from_secs(1)));
        assert_eq!(rate.senders.len(), 2);
    }
}
