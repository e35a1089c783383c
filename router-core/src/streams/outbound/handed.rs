// SPDX-License-Identifier: AGPL-3.0-or-later
//! What of a stream a carrier was given, and what it answers for.

use std::collections::BTreeMap;

use ratman_eris::Reference;
use ratman_wire::FrameId;

/// What a carrier was given.
#[derive(Default)]
pub(super) struct Handed {
    /// Frames without a word of the carrier yet, and the blocks that are in them or that they are slices of; none stands
    /// for the manifest.
    pub(super) frames: BTreeMap<FrameId, Vec<Option<Reference>>>,
    /// How many slices of a block are left.
    slices: BTreeMap<Option<Reference>, usize>,
    /// Whether the carrier answers for the manifest.
    pub(super) manifest: bool,
    /// Whether the sender was told that it has all.
    pub(super) told: bool,
}

impl Handed {
    /// This goes in other frames from now on.
    ///
    /// Says which frames need not be answered for any more.
    pub(super) fn forget(&mut self, reference: Option<Reference>) -> Vec<FrameId> {
        let mut empty = Vec::new();
        if self.slices.remove(&reference).is_some() {
            self.frames.retain(|name, of_frame| {
                of_frame.retain(|other| *other != reference);
                if of_frame.is_empty() {
                    empty.push(*name);
                }
                !of_frame.is_empty()
            });
        }
        empty
    }

    pub(super) fn add(&mut self, frame: FrameId, reference: Option<Reference>) {
        let of_frame = self.frames.entry(frame).or_default();
        if !of_frame.contains(&reference) {
            of_frame.push(reference);
            *self.slices.entry(reference).or_default() += 1;
        }
    }

    /// What is taken as a whole with this frame.
    pub(super) fn taken(&mut self, frame: &FrameId) -> Vec<Option<Reference>> {
        let mut whole = Vec::new();
        for reference in self.frames.remove(frame).unwrap_or_default() {
            let Some(left) = self.slices.get_mut(&reference) else { continue };
            *left -= 1;
            if *left == 0 {
                self.slices.remove(&reference);
                whole.push(reference);
            }
        }
        whole
    }
}
