// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the operator decides about streams.

use std::collections::BTreeSet;

use ratman_types::{Address, ByteCount, Namespace, Recipient};

/// What the operator decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamsConfig {
    /// The most that the journal takes, costs included; default 1 GiB.
    pub quota: ByteCount,
    /// A recipient is asked before the first block of a stream larger than this; default 8 MiB (source: wire page).
    pub notice_above: ByteCount,
    /// Which streams are taken.
    pub filter: StreamFilter,
}

impl Default for StreamsConfig {
    fn default() -> Self {
        let (quota, notice_above) = (ByteCount(1 << 30), ByteCount(8 << 20));
        Self { quota, notice_above, filter: StreamFilter::default() }
    }
}

/// Rules by which streams for our addresses, and for namespaces that clients here subscribed to, are refused; by default none is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamFilter {
    /// Content larger than this is refused.
    pub largest: Option<ByteCount>,
    /// Where given, streams of all other senders are refused.
    pub only_from: Option<BTreeSet<Address>>,
    /// Streams of these senders are refused.
    pub not_from: BTreeSet<Address>,
    /// Where given, streams to all other namespaces are refused.
    pub only_to: Option<BTreeSet<Namespace>>,
    /// Streams to these namespaces are refused.
    pub not_to: BTreeSet<Namespace>,
}

impl StreamFilter {
    /// Whether a stream of `sender` to `recipient` with so much content is refused.
    pub fn refuses(&self, sender: &Address, recipient: &Recipient, size: ByteCount) -> bool {
        self.largest.is_some_and(|largest| size > largest)
            || self.only_from.as_ref().is_some_and(|only| !only.contains(sender))
            || self.not_from.contains(sender)
            || self.refuses_to(recipient)
    }

    fn refuses_to(&self, recipient: &Recipient) -> bool {
        let Recipient::Namespace(namespace) = recipient else { return false };
        self.only_to.as_ref().is_some_and(|only| !only.contains(namespace)) || self.not_to.contains(namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_refuses_by_itself() {
        let [friend, stranger] = [1, 2].map(|byte| Address::from_bytes([byte; 32]));
        let [ours, other] = [3, 4].map(|byte| Namespace::from_bytes([byte; 32]));
        let us = Recipient::Address(Address::from_bytes([9; 32]));
        let small = ByteCount(10);
        assert!(!StreamFilter::default().refuses(&stranger, &us, ByteCount(u64::MAX)));
        let largest = StreamFilter { largest: Some(small), ..StreamFilter::default() };
        assert!(!largest.refuses(&stranger, &us, small));
        assert!(largest.refuses(&friend, &us, ByteCount(11)));
        let only = StreamFilter { only_from: Some(BTreeSet::from([friend])), ..StreamFilter::default() };
        assert!(!only.refuses(&friend, &us, small));
        assert!(only.refuses(&stranger, &us, small));
        let not = StreamFilter { not_from: BTreeSet::from([stranger]), ..StreamFilter::default() };
        assert!(!not.refuses(&friend, &us, small));
        assert!(not.refuses(&stranger, &us, small));
        let refused = |filter: &StreamFilter| {
            [us, Recipient::Namespace(ours), Recipient::Namespace(other)]
                .map(|to| filter.refuses(&friend, &to, small))
        };
        let only = StreamFilter { only_to: Some(BTreeSet::from([ours])), ..StreamFilter::default() };
        assert_eq!(refused(&only), [false, false, true]);
        let not = StreamFilter { not_to: BTreeSet::from([other]), ..StreamFilter::default() };
        assert_eq!(refused(&not), [false, false, true]);
    }
}
