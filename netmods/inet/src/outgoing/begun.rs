// SPDX-License-Identifier: AGPL-3.0-or-later
//! Where frames begin in the stream of bytes that the kernel has been given, as far back as it may hold some.

use netmod_api::Class;

/// Frames remembered, the newest; older ones are forgotten. A send queue of 4 MiB (`net.ipv4.tcp_wmem`) in frames of
/// 1 KiB, so 16 KiB of memory for each link.
pub(super) const LIMIT: usize = 4096;
/// The bit that tells data from control; no length comes near it.
const DATA: u32 = 1 << 31;

/// Lengths on the wire of the newest frames that were begun.
#[derive(Debug)]
pub(super) struct Begun {
    lengths: Box<[u32]>,
    /// How many were begun in all, counted around.
    total: usize,
}

impl Begun {
    pub(super) fn new() -> Self {
        Self { lengths: vec![0; LIMIT].into_boxed_slice(), total: 0 }
    }

    pub(super) fn push(&mut self, class: Class, length: usize) {
        let length = u32::try_from(length).expect("INVARIANT: frames are short");
        let slot = self.total % LIMIT;
        self.lengths[slot] = length | if class == Class::Data { DATA } else { 0 };
        self.total += 1;
    }

    /// From the newest to the oldest that is remembered: its length, and whether it is data.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = (usize, bool)> {
        let oldest = self.total.saturating_sub(LIMIT);
        (oldest..self.total).rev().map(|number| {
            let entry = self.lengths[number % LIMIT];
            let length = usize::try_from(entry & !DATA).expect("a frame fits in memory");
            (length, entry & DATA != 0)
        })
    }
}
