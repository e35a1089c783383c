// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams of ours that the store has.

use ratman_eris::{BlockSize, Reference};
use ratman_types::{ByteCount, Now, WallTime, blake2b};
use ratman_wire::stream::Lifetime;

use super::{Outbound, Purpose};
use crate::journal::GroupNumber;
use crate::stream::{Routing, SealedManifest, Sending};
use crate::streams::{StreamKey, Streams};

impl Streams {
    /// Restores a stream whose content is complete.
    pub(in crate::streams) fn restore_sent(
        &mut self,
        group: GroupNumber,
        key: StreamKey,
        routing: Routing,
        (created, lifetime, size): (WallTime, Lifetime, ByteCount),
        sealed: Vec<u8>,
    ) {
        let sending = Sending::new(routing);
        let out = Outbound::complete(Purpose::Send, Some(group), (created, lifetime), sending);
        let sealed = SealedManifest::from_slices(blake2b(&[&sealed]), sealed);
        self.sent.insert(key, Outbound { sealed, said: Some(size), ..out });
    }

    /// Restores what tells somebody of shared content.
    pub(in crate::streams) fn restore_announced(
        &mut self,
        group: GroupNumber,
        key: StreamKey,
        times: (WallTime, Lifetime),
        sealed: Vec<u8>,
    ) {
        let out = Outbound::complete(Purpose::Announce, Some(group), times, Sending::new(Routing::Pull));
        let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
        self.journal.note_record(group, length);
        let sealed = SealedManifest::from_slices(blake2b(&[&sealed]), sealed);
        self.sent.insert(key, Outbound { sealed, is_durable: true, ..out });
    }

    /// All blocks of the restored streams are known.
    pub(in crate::streams) fn restored_sent(&mut self, now: Now) {
        for key in self.sent.keys().copied().collect::<Vec<_>>() {
            if self.sent.get(&key).is_some_and(Outbound::has_shared_blocks) && !self.find_shared(&key) {
                // What it tells of was taken down.
                self.remove_sent(&key);
                continue;
            }
            self.with_sent(&key, now, |streams, out| {
                streams.find_blocks(&key, out);
                out.sending.finished();
                out.sending.interrupted();
            });
            self.sent_way_changed(&key, now);
        }
    }

    fn find_blocks(&mut self, key: &StreamKey, out: &mut Outbound) {
        if out.has_shared_blocks() {
            return self.take_shared_blocks(key, out);
        }
        let group = out.group.and_then(|group| self.journal.get(group));
        let mut blocks: Vec<_> = group.map_or_else(Vec::new, |group| {
            group.entries().map(|(name, entry)| (entry.number, *name, entry.bytes)).collect()
        });
        blocks.sort_unstable();
        for (_, name, bytes) in blocks {
            out.sending.block_made(Reference::from_bytes(name));
            out.block_size =
                usize::try_from(bytes).ok().and_then(BlockSize::from_bytes).unwrap_or(out.block_size);
        }
    }
}
