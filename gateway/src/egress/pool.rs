// SPDX-License-Identifier: AGPL-3.0-or-later
//! The buffers in which packets and frames wait for one link: of a few sizes, used again, so that waiting costs no
//! allocation per packet.

use std::sync::Arc;

use gateway_tun::RECV_BUFFER;
use ratman_wire::session::RecordHeader;

use super::budget::{Budget, Share};

/// The sizes of buffers, in bytes: small packets, packets of an Ethernet, parts of super-packets, a third of one (a frame of
/// a super-packet cut evenly), the largest frame, and what packets are read into.
const SIZES: [usize; 6] = [256, 2_048, 8_192, 22_528, 33_024, WHOLE];

/// The size of the buffers that change hands with a large packet in them (nothing is copied then), in bytes: 16 KiB of small
/// packets, and then one of any size behind its record header.
pub const WHOLE: usize = 16 * 1024 + RecordHeader::LEN + RECV_BUFFER;

/// What a link at rest keeps allocated.
const KEPT: usize = 256 * 1024;

/// What a busy link keeps beside what waits: buffers of sizes that the traffic of the moment does not need.
const MOST_FREE: usize = 8 * 1024 * 1024;

/// A buffer that is filled up to `len`.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    len: usize,
}

impl Buffer {
    /// What it holds.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// What it holds, to be worked on in place.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    /// What it costs in memory, whatever it holds.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// The buffers of one link.
#[derive(Debug)]
pub(super) struct Pool {
    free: [Vec<Box<[u8]>>; SIZES.len()],
    /// INVARIANT: holds the bytes of all buffers made and not given up, free or not.
    share: Share,
    made: usize,
    free_bytes: usize,
}

impl Pool {
    /// Takes what it makes from `budget`.
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self { free: Default::default(), share: Share::new(budget), made: 0, free_bytes: 0 }
    }

    /// A buffer that holds `pieces` one behind the other; nothing if all links together hold too much, or if they are
    /// longer than any packet.
    pub(super) fn fill(&mut self, pieces: &[&[u8]]) -> Option<Buffer> {
        let len = pieces.iter().map(|piece| piece.len()).sum();
        let mut bytes = self.take(len)?;
        let mut at = 0;
        for piece in pieces {
            bytes[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
        Some(Buffer { bytes, len })
    }

    /// Takes over the first `len` bytes of a buffer of [`WHOLE`] bytes, and leaves another of that size in its place, so
    /// that nothing is copied; nothing if all links together hold too much.
    pub(super) fn exchange(&mut self, bytes: &mut Box<[u8]>, len: usize) -> Option<Buffer> {
        debug_assert!(bytes.len() == WHOLE && len <= WHOLE, "only buffers of one size are exchanged");
        let fresh = self.take(WHOLE)?;
        Some(Buffer { bytes: std::mem::replace(bytes, fresh), len })
    }

    /// Takes a buffer back.
    pub(super) fn give_back(&mut self, buffer: Buffer) {
        let size = buffer.bytes.len();
        if self.free_bytes + size > MOST_FREE {
            self.made -= size;
            self.share.hold(self.made);
        } else if let Some(free) =
            SIZES.iter().position(|other| *other == size).and_then(|at| self.free.get_mut(at))
        {
            self.free_bytes += size;
            free.push(buffer.bytes);
        }
    }

    /// Gives memory up that a link at rest does not need; not for every packet.
    pub(super) fn trim(&mut self) {
        for free in self.free.iter_mut().rev() {
            while self.free_bytes > KEPT
                && let Some(bytes) = free.pop()
            {
                self.free_bytes -= bytes.len();
                self.made -= bytes.len();
            }
            if free.is_empty() {
                *free = Vec::new();
            }
        }
        self.share.hold(self.made);
    }

    fn take(&mut self, len: usize) -> Option<Box<[u8]>> {
        let class = SIZES.iter().position(|size| *size >= len)?;
        if let Some(bytes) = self.free[class].pop() {
            self.free_bytes -= bytes.len();
            return Some(bytes);
        }
        let size = SIZES[class];
        if !self.share.hold(self.made + size) {
            // Free buffers of other sizes may be in the way.
            self.trim();
            if !self.share.hold(self.made + size) {
                return None;
            }
        }
        self.made += size;
        Some(vec![0; size].into_boxed_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_holds_what_was_put_in_and_is_used_again() {
        let mut pool = Pool::new(Budget::new(0));
        let buffer = pool.fill(&[b"head", b"", b"body"]).unwrap();
        assert_eq!((buffer.bytes(), buffer.size()), (&b"headbody"[..], 256));
        pool.give_back(buffer);
        let buffer = pool.fill(&[&[7; 200]]).unwrap();
        assert_eq!((buffer.bytes(), pool.made), (&[7; 200][..], 256));
        assert_eq!(pool.fill(&[&[0; WHOLE]]).unwrap().size(), WHOLE);
        assert!(pool.fill(&[&[0; WHOLE], &[0]]).is_none());
    }

    #[test]
    fn the_budget_ends_it_and_trimming_gives_back() {
        let budget = Budget::new(8 * WHOLE);
        let mut pool = Pool::new(Arc::clone(&budget));
        let filled: Vec<_> = std::iter::from_fn(|| pool.fill(&[&[1; WHOLE]])).collect();
        assert!((11..=12).contains(&filled.len()), "{} buffers: the own share and the budget", filled.len());
        let mut other = Pool::new(budget);
        let own: Vec<_> = std::iter::from_fn(|| other.fill(&[&[1; WHOLE]])).collect();
        assert!(own.len() >= super::super::budget::OWN / WHOLE, "every link has a share of its own");

        for buffer in filled {
            pool.give_back(buffer);
        }
        pool.trim();
        assert!(pool.made <= KEPT && pool.free_bytes == pool.made);
        assert!(other.fill(&[&[1; WHOLE]]).is_some(), "what was given up is there for others");
    }
}
