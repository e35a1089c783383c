// SPDX-License-Identifier: AGPL-3.0-or-later
//! What happened in a run, as a hash: two runs are the same if their traces are.

use ratman_types::{Digest, Timestamp, blake2b};

/// A chain of hashes over everything that happened, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    chain: Digest,
    happenings: u64,
}

impl Default for Trace {
    fn default() -> Self {
        Self { chain: Digest::from_bytes([0; 32]), happenings: 0 }
    }
}

impl Trace {
    /// How many happenings the trace holds.
    pub const fn happenings(&self) -> u64 {
        self.happenings
    }

    pub(crate) fn note(&mut self, at: Timestamp, node: usize, kind: &str, bytes: &[u8]) {
        let node = u64::try_from(node).expect("indices fit 64 bits");
        self.chain = blake2b(&[
            self.chain.as_bytes(),
            &at.as_micros().to_be_bytes(),
            &node.to_be_bytes(),
            kind.as_bytes(),
            &[0],
            bytes,
        ]);
        self.happenings += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_and_the_order_count() {
        let trace = |notes: &[(u64, usize, &str, &[u8])]| {
            let mut trace = Trace::default();
            for (at, node, kind, bytes) in notes {
                trace.note(Timestamp::from_micros(*at), *node, kind, bytes);
            }
            trace
        };
        let one = trace(&[(1, 2, "a", b"x"), (1, 2, "b", b"x")]);
        assert_eq!(one, trace(&[(1, 2, "a", b"x"), (1, 2, "b", b"x")]));
        assert_eq!(one.happenings(), 2);
        assert_ne!(one, trace(&[(1, 2, "b", b"x"), (1, 2, "a", b"x")]));
        assert_ne!(trace(&[(1, 2, "a", b"x")]), trace(&[(2, 2, "a", b"x")]));
        assert_ne!(trace(&[(1, 2, "a", b"x")]), trace(&[(1, 3, "a", b"x")]));
        assert_ne!(trace(&[(1, 2, "a", b"x")]), trace(&[(1, 2, "a", b"y")]));
    }
}
