// SPDX-License-Identifier: AGPL-3.0-or-later
//! The part of a content that a decoder reads.

use core::ops::Range;

/// A range of a content, with or without the leaf in which the content ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    start: u64,
    end: u64,
    with_end: bool,
}

impl Part {
    /// Everything.
    pub(super) const WHOLE: Self = Self { start: 0, end: u64::MAX, with_end: true };
    /// No content, only where it ends.
    pub(super) const END: Self = Self { start: u64::MAX, end: u64::MAX, with_end: true };

    /// A range that may reach beyond the end.
    pub(super) fn range(offset: u64, len: u64) -> Self {
        Self { start: offset, end: offset.saturating_add(len), with_end: false }
    }

    /// Whether something of the tree below a block is in it: of one that begins at `start` and holds `span` bytes at most.
    pub(super) fn includes(self, start: u128, span: u128, is_last: bool) -> bool {
        let meets =
            start < u128::from(self.end) && u128::from(self.start) < start + span && self.start < self.end;
        meets || (self.with_end && is_last)
    }

    /// What of a leaf is in it, of one that begins at `start` and holds `len` bytes.
    pub(super) fn within(self, start: u64, len: usize) -> Range<usize> {
        let place =
            |offset: u64| usize::try_from(offset.saturating_sub(start)).map_or(len, |place| place.min(len));
        place(self.start)..place(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_includes_what_it_touches() {
        let part = Part::range(100, 50);
        let included = [(0, 101), (100, 1), (149, 1), (0, 1000), (120, 5)];
        let excluded = [(0, 100), (150, 10), (0, 1)];
        assert!(included.iter().all(|(start, span)| part.includes(*start, *span, false)));
        assert!(!excluded.iter().any(|(start, span)| part.includes(*start, *span, true)));
        assert!(!Part::range(100, 0).includes(0, 1000, true));
        assert!(Part::range(10, u64::MAX).includes(1 << 63, 1, false));
    }

    #[test]
    fn the_end_includes_the_right_edge_alone() {
        assert!(Part::END.includes(0, 1 << 70, true));
        assert!(!Part::END.includes(0, 1 << 70, false));
        assert!(Part::WHOLE.includes(0, 64, true));
        assert_eq!(Part::END.within(1024, 100), 100..100);
        assert_eq!(Part::WHOLE.within(1024, 100), 0..100);
    }

    #[test]
    fn a_leaf_is_cut_at_both_ends() {
        let part = Part::range(100, 50);
        assert_eq!(part.within(64, 64), 36..64);
        assert_eq!(part.within(128, 64), 0..22);
        assert_eq!(part.within(128, 10), 0..10);
        assert_eq!(part.within(64, 20), 20..20);
        assert_eq!(part.within(0, 1000), 100..150);
    }
}
