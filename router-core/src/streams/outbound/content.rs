// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a client writes becomes blocks, and at its end a manifest.

use ratman_eris::{BlockSize, ConvergenceSecret, Encoder};
use ratman_types::{ByteCount, Recipient, WallTime};
use ratman_wire::stream::{
    AuxiliaryData, Contents, InlineContents, Letterhead, Lifetime, MAX_INLINE, Manifest,
};
use zeroize::Zeroizing;

use super::{AT_HAND, Content, Kind, Outbound, Purpose};
use crate::stream::{EphemeralKey, SealedManifest, convergence_secret};
use crate::streams::flooding::MAX_TO_NAMESPACE;
use crate::streams::record::Record;
use crate::streams::sharing::shared_key;
use crate::streams::store_queue::Durable;
use crate::streams::way::Way;
use crate::streams::{SendError, StreamKey, Streams, Write};

/// Content whose length is not known is collected up to here, to choose its blocks: where the table has the largest ones.
const COLLECTED: usize = 28 * 1024;

impl Streams {
    pub(super) fn take_content(
        &mut self,
        key: &StreamKey,
        out: &mut Outbound,
        content: &[u8],
    ) -> Result<usize, SendError> {
        let mut taken = 0;
        while taken < content.len() {
            if !self.store.has_room() || out.bytes_at_hand() >= AT_HAND {
                out.wants_room = true;
                break;
            }
            let rest = &content[taken..];
            match &mut out.content {
                Content::Complete => return Err(SendError::NotOpen),
                Content::Collecting(collected) => {
                    let most = if out.said.is_some() { MAX_INLINE + 1 } else { COLLECTED + 1 };
                    let piece = rest.len().min(most.saturating_sub(collected.len()));
                    collected.extend_from_slice(&rest[..piece]);
                    taken += piece;
                    if collected.len() == most {
                        self.begin_encoding(key, out)?;
                    }
                }
                Content::Encoding(encoder) => {
                    let too_long = |_| SendError::Size { said: ByteCount(63), found: ByteCount(64) };
                    let (pushed, length) = (encoder.push(rest).map_err(too_long)?, encoder.content_len());
                    taken += pushed;
                    if let Some(said) = out.said.filter(|said| *said < length) {
                        return Err(SendError::Size { said, found: length });
                    }
                    check_size(&key.recipient, length)?;
                    self.drain_blocks(key, out)?;
                }
            }
        }
        Ok(taken)
    }

    /// What was collected is too much for a manifest: from now on it becomes blocks.
    fn begin_encoding(&mut self, key: &StreamKey, out: &mut Outbound) -> Result<(), SendError> {
        let Content::Collecting(collected) = core::mem::replace(&mut out.content, Content::Complete) else {
            return Err(SendError::NotOpen);
        };
        let so_far = ByteCount(u64::try_from(collected.len()).unwrap_or(u64::MAX));
        let way = if out.purpose == Purpose::Share { Way::None } else { self.way_out(&key.recipient) };
        out.block_size = BlockSize::choose(out.said.unwrap_or(so_far), way.mtu())
            .map_err(|narrow| SendError::PathTooNarrow { limit: narrow.limit })?;
        out.content = Content::Encoding(Encoder::new(out.block_size, &self.secret(key, out)?));
        let mut rest = &collected[..];
        while !rest.is_empty() {
            let Content::Encoding(encoder) = &mut out.content else { return Err(SendError::NotOpen) };
            let too_long = |_| SendError::Size { said: ByteCount(63), found: so_far };
            rest = &rest[encoder.push(rest).map_err(too_long)?..];
            self.drain_blocks(key, out)?;
        }
        Ok(())
    }

    /// Shared content has the same blocks for everybody.
    fn secret(&self, key: &StreamKey, out: &Outbound) -> Result<ConvergenceSecret, SendError> {
        let local = self.locals.get(&key.sender).ok_or(SendError::Sender)?;
        if out.purpose == Purpose::Share {
            return Ok(ConvergenceSecret::zeros());
        }
        let secret = convergence_secret(&*local.key, &key.recipient, &key.stream);
        Ok(ConvergenceSecret::from_bytes(*secret.ok_or(SendError::Recipient)?))
    }

    fn drain_blocks(&mut self, key: &StreamKey, out: &mut Outbound) -> Result<(), SendError> {
        let group = out.group.ok_or(SendError::NotOpen)?;
        loop {
            let Content::Encoding(encoder) = &mut out.content else { return Ok(()) };
            let Some(block) = encoder.poll_block() else { return Ok(()) };
            let (reference, bytes) = (block.reference, block.bytes.to_vec());
            let Some(number) = out.sending.block_made(reference) else { continue };
            let length = u32::try_from(bytes.len()).expect("a block is at most 32 KiB");
            let leaving = self.journal.room_for(group, length.into())?;
            self.evict(&leaving);
            self.journal.insert(group, *reference.as_bytes(), length);
            let name = *reference.as_bytes();
            let write = Write::Entry { group, number, name, bytes: bytes.clone() };
            self.store.write_then(group, write, Durable::Sent { key: *key, number });
            out.unstored.insert(number);
            if out.way != Kind::None && out.sending.takes_blocks() {
                out.at_hand.insert(number, (reference, bytes));
            }
        }
    }

    pub(super) fn complete_content(&mut self, key: &StreamKey, out: &mut Outbound) -> Result<(), SendError> {
        let (contents, size) = self.contents(key, out)?;
        if let Some(said) = out.said.filter(|said| *said != size) {
            return Err(SendError::Size { said, found: size });
        }
        let group = out.group.ok_or(SendError::NotOpen)?;
        let (named, durable) = match &contents {
            Contents::Blocks(capability) if out.purpose == Purpose::Share => {
                out.capability = Some(capability.clone());
                (shared_key(key.sender, capability), Durable::Shared { key: *key })
            }
            Contents::Blocks(_) | Contents::Inline(_) => (*key, Durable::Accepted { key: *key }),
        };
        let auxiliary_data = core::mem::take(&mut out.auxiliary_data);
        let sealed = self.seal(&named, (out.created, out.lifetime), (size, auxiliary_data), contents)?;
        let (created, lifetime, bytes) = (out.created, out.lifetime, sealed.as_bytes().to_vec());
        let record = match (out.purpose, out.sending.wanted()) {
            (Purpose::Share, _) => Record::Shared { key: named, created, lifetime, size, sealed: bytes },
            (_, routing) => Record::Sent { key: named, routing, created, lifetime, size, sealed: bytes },
        };
        let write = Write::Group { group, record: record.encode() };
        self.store.write_then(group, write, durable);
        (out.sealed, out.said) = (Some(sealed), Some(size));
        out.sending.finished();
        Ok(())
    }

    /// The manifest of a stream, as only its recipient opens it.
    pub(in crate::streams) fn seal(
        &mut self,
        key: &StreamKey,
        (created, lifetime): (WallTime, Lifetime),
        (stream_size, auxiliary_data): (ByteCount, AuxiliaryData),
        contents: Contents,
    ) -> Result<SealedManifest, SendError> {
        let letterhead = Letterhead { from: key.sender, to: key.recipient, stream_size, auxiliary_data };
        let manifest = Manifest::new(key.stream, created, lifetime, letterhead, contents)
            .expect("invariant: the tree is that of the content");
        let ephemeral = EphemeralKey::new(Zeroizing::new(self.random()));
        let local = self.locals.get(&key.sender).ok_or(SendError::Sender)?;
        SealedManifest::seal(&manifest, &local.key, ephemeral).map_err(|_| SendError::Recipient)
    }

    fn contents(&mut self, key: &StreamKey, out: &mut Outbound) -> Result<(Contents, ByteCount), SendError> {
        if let Content::Collecting(collected) = &out.content {
            // What is shared has a name, which is that of its blocks.
            let may_be_inline = out.purpose != Purpose::Share;
            if let Some(contents) = InlineContents::new(collected).filter(|_| may_be_inline) {
                let size = ByteCount(u64::try_from(collected.len()).unwrap_or(u64::MAX));
                out.content = Content::Complete;
                return Ok((Contents::Inline(contents), size));
            }
            self.begin_encoding(key, out)?;
        }
        let Content::Encoding(encoder) = &mut out.content else { return Err(SendError::NotOpen) };
        encoder.finish();
        self.drain_blocks(key, out)?;
        let Content::Encoding(encoder) = core::mem::replace(&mut out.content, Content::Complete) else {
            return Err(SendError::NotOpen);
        };
        let capability = encoder.capability().expect("invariant: all blocks were taken");
        Ok((Contents::Blocks(capability), encoder.content_len()))
    }
}

/// Whether so much may be sent to a recipient.
pub(super) fn check_size(recipient: &Recipient, size: ByteCount) -> Result<(), SendError> {
    let limit = MAX_TO_NAMESPACE;
    let is_too_long = matches!(recipient, Recipient::Namespace(_)) && size > limit;
    if is_too_long { Err(SendError::TooLongForNamespace { limit }) } else { Ok(()) }
}
