// SPDX-License-Identifier: AGPL-3.0-or-later
//! Blocks in, content out: which blocks are wanted next, what a block is, and when to give a tree up.

mod part;
mod pending;

use core::fmt;

use ratman_types::ByteCount;
use zeroize::Zeroizing;

use crate::cipher::{count_pairs, open, read_pair};
use crate::secret::Key;
use crate::{BlockSize, ReadCapability, Reference};
use part::Part;
use pending::Pending;

/// Where as many blocks are wanted, no node is opened ahead of its turn. That is 16 MiB in blocks of 32 KiB and 512 KiB in
/// blocks of 1 KiB: more than a sender has on the way (1 MiB: wire page, Streams), and more than such blocks are used for.
pub const LOOK_AHEAD: usize = 512;

/// Reads a content, or a part of it, from blocks that anybody may have sent.
///
/// [`Decoder::wanted`] tells which blocks it can use. [`Decoder::handle_block`] takes them: inner nodes in any order, leaves
/// in order. A block is hashed before anything else is done with it.
///
/// Only trees as an [`Encoder`](crate::Encoder) makes them are accepted: keys of nodes are the hashes of what they open,
/// nodes are full but on the right edge, roots have two children at least, levels fall by one with every step, and the
/// content ends with padding. So a tree has no cycle, its nodes tell the least length of its content before a leaf is there,
/// and one that claims more than the limit ends with [`DecodeError::TooLong`] at the root.
///
/// It holds a block and a list of at most [`LOOK_AHEAD`] + arity × level entries of 80 bytes (120 KiB for a level of 2 in
/// blocks of 32 KiB), both made once and zeroised when dropped.
pub struct Decoder {
    block_size: BlockSize,
    root_level: u8,
    limit: u64,
    part: Part,
    /// What is wanted, in reverse: the last is next. Its capacity is never exceeded.
    wanted: Zeroizing<Vec<Pending>>,
    plaintext: Zeroizing<Vec<u8>>,
    content_len: Option<u64>,
}

/// A block that a decoder can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub reference: Reference,
    /// Its level: 0 is a leaf, which is taken in its turn; others are nodes, which are taken ahead of it, too.
    pub level: u8,
}

/// What became of a block.
#[derive(PartialEq, Eq)]
pub enum Decoded<'a> {
    /// It was the next leaf, and this is the content in it that was asked for; it may be empty.
    Content(&'a [u8]),
    /// It was an inner node. Its children are wanted now.
    Node,
    /// It is wanted, but not yet; nothing has changed. To be given again when it is the first that is wanted.
    Early,
    /// It is not wanted: of another content, given before, or damaged. Nothing has changed.
    NotWanted,
}

/// Why a content cannot be read, whatever comes: its read capability is wrong, or its maker did not keep to the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// An inner node that its key does not open: the key or the level is wrong.
    #[error("the key does not open a node of level {level}")]
    Key {
        /// The level that the node should have.
        level: u8,
    },
    /// An inner node that no encoder makes: not full away from the right edge, a root with one child, no child at all, or
    /// something after the last child.
    #[error("a node of level {level} has not the children that it must have")]
    Node {
        /// The node's level.
        level: u8,
    },
    /// The last leaf does not end with 0x80 and zeros. Of a content of one block, this is how a wrong key shows.
    #[error("the content is not padded")]
    Padding,
    /// The content is longer than the reader permits.
    #[error("the content is longer than {} bytes", limit.0)]
    TooLong {
        /// What the reader permits.
        limit: ByteCount,
    },
}

impl Decoder {
    /// Reads all of a content, which may be no longer than `limit`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::TooLong`] if no tree of the capability's level is that short.
    pub fn whole(capability: &ReadCapability, limit: ByteCount) -> Result<Self, DecodeError> {
        let decoder = Self::new(capability, limit.0, Part::WHOLE);
        if let Some(below) = capability.level().checked_sub(1) {
            decoder.check_len(capability.block_size().span(below))?;
        }
        Ok(decoder)
    }

    /// Reads `len` bytes from `offset` on, or what there is of them: a content that ends before gives less. Only the blocks
    /// on the way to that part are wanted.
    pub fn range(capability: &ReadCapability, offset: u64, len: ByteCount) -> Self {
        Self::new(capability, u64::MAX, Part::range(offset, len.0))
    }

    /// Reads how long a content is, [`Decoder::content_len`], from the blocks on the right edge of the tree.
    pub fn length(capability: &ReadCapability) -> Self {
        Self::new(capability, u64::MAX, Part::END)
    }

    fn new(capability: &ReadCapability, limit: u64, part: Part) -> Self {
        let (block_size, level) = (capability.block_size(), capability.level());
        let mut wanted = Zeroizing::new(Vec::with_capacity(capacity(block_size, level)));
        if part.includes(0, block_size.span(level), true) {
            wanted.push(Pending {
                reference: capability.root(),
                key: capability.key().clone(),
                start: 0,
                level,
                is_last: true,
            });
        }
        let plaintext = Zeroizing::new(vec![0; block_size.bytes()]);
        Self { block_size, root_level: level, limit, part, wanted, plaintext, content_len: None }
    }

    /// The name of the block that is needed next; nothing when everything is read.
    pub fn next_wanted(&self) -> Option<Reference> {
        self.wanted.last().map(|pending| pending.reference)
    }

    /// All blocks that are known to be needed, in the order of the content, [`Decoder::next_wanted`] first: a puller asks for
    /// as many at once as it likes. A name comes more than once where content repeats itself.
    pub fn wanted(&self) -> impl ExactSizeIterator<Item = Wanted> {
        self.wanted.iter().rev().map(|pending| Wanted { reference: pending.reference, level: pending.level })
    }

    /// Whether everything that was asked for is read.
    pub fn is_finished(&self) -> bool {
        self.wanted.is_empty()
    }

    /// The length of the whole content, as soon as its last leaf was read: at the end, unless only a part is read.
    pub fn content_len(&self) -> Option<ByteCount> {
        self.content_len.map(ByteCount)
    }

    /// Takes a block, and tells what it was. Bytes of any kind and length may be given.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the block is the right one and the content can never be read; the block stays wanted.
    pub fn handle_block(&mut self, block: &[u8]) -> Result<Decoded<'_>, DecodeError> {
        if block.len() != self.block_size.bytes() {
            return Ok(Decoded::NotWanted);
        }
        let reference = Reference::of(block);
        let Some(index) = self.wanted.iter().rposition(|pending| pending.reference == reference) else {
            return Ok(Decoded::NotWanted);
        };
        let is_next = index + 1 == self.wanted.len();
        if self.wanted[index].level > 0 {
            self.handle_node(index, is_next, block)
        } else if is_next {
            self.handle_leaf(index, block)
        } else {
            Ok(Decoded::Early)
        }
    }

    /// Goes on behind the leaf that is next without its content, for who only asks which blocks are missing. False where a node
    /// is next, or the last leaf, which tells the length: those have to be given.
    pub fn skip_leaf(&mut self) -> bool {
        let may = self.wanted.last().is_some_and(|pending| pending.level == 0 && !pending.is_last);
        if may {
            self.wanted.pop();
        }
        may
    }

    /// Puts the children of a node into its place.
    fn handle_node(&mut self, index: usize, is_next: bool, block: &[u8]) -> Result<Decoded<'_>, DecodeError> {
        let Pending { start, level, is_last, .. } = self.wanted[index];
        let child_level = level - 1;
        let child_span = self.block_size.span(child_level);
        let children = self.open_node(index, block)?;
        let start_of = |child: usize| u128::from(start) + child_span * u128::from(number(child));
        self.check_len(start_of(children - 1))?;

        let is_last = |child: usize| is_last && child + 1 == children;
        let includes = |child: usize| self.part.includes(start_of(child), child_span, is_last(child));
        let first = (0..children).find(|child| includes(*child)).unwrap_or(children);
        let end = (first..children).rfind(|child| includes(*child)).map_or(first, |last| last + 1);
        if !is_next && self.wanted.len() - 1 + (end - first) > LOOK_AHEAD {
            return Ok(Decoded::Early);
        }
        let pending = (first..end).rev().map(|child| {
            let (reference, key) = read_pair(&self.plaintext, child);
            let start = start_of(child).try_into().expect("the last child's is within the limit");
            Pending { reference, key, start, level: child_level, is_last: is_last(child) }
        });
        self.wanted.splice(index..=index, pending);
        Ok(Decoded::Node)
    }

    /// Decrypts a node, and tells how many children it has if it is one that an encoder makes.
    fn open_node(&mut self, index: usize, block: &[u8]) -> Result<usize, DecodeError> {
        let Pending { ref key, level, is_last, .. } = self.wanted[index];
        open(block, key, level, &mut self.plaintext);
        if Key::of_node(&self.plaintext) != *key {
            return Err(DecodeError::Key { level });
        }
        let least = match (is_last, level == self.root_level) {
            (false, _) => self.block_size.arity(),
            (true, true) => 2,
            (true, false) => 1,
        };
        count_pairs(&self.plaintext).filter(|children| *children >= least).ok_or(DecodeError::Node { level })
    }

    /// Decrypts the leaf that is next.
    fn handle_leaf(&mut self, index: usize, block: &[u8]) -> Result<Decoded<'_>, DecodeError> {
        let Pending { ref key, start, is_last, .. } = self.wanted[index];
        open(block, key, 0, &mut self.plaintext);
        let mut content_len = self.plaintext.len();
        if is_last {
            content_len = unpadded_len(&self.plaintext).ok_or(DecodeError::Padding)?;
            let total = u128::from(start) + u128::from(number(content_len));
            self.check_len(total)?;
            self.content_len = total.try_into().ok();
        }
        self.wanted.truncate(index);
        Ok(Decoded::Content(&self.plaintext[self.part.within(start, content_len)]))
    }

    fn check_len(&self, least: u128) -> Result<(), DecodeError> {
        let limit = ByteCount(self.limit);
        if least > u128::from(self.limit) { Err(DecodeError::TooLong { limit }) } else { Ok(()) }
    }
}

/// The most entries that are ever wanted at once: up to [`LOOK_AHEAD`] opened ahead, and the siblings on the way down to the
/// next leaf. A tree of one level has no more leaves than a node has children.
fn capacity(block_size: BlockSize, level: u8) -> usize {
    match level {
        0 => 1,
        1 => block_size.arity(),
        _ => LOOK_AHEAD + (block_size.arity() - 1) * usize::from(level) + 1,
    }
}

/// The length of what stands before 0x80 and zeros.
fn unpadded_len(plaintext: &[u8]) -> Option<usize> {
    let end = plaintext.iter().rposition(|byte| *byte != 0)?;
    (plaintext[end] == 0x80).then_some(end)
}

fn number(length: usize) -> u64 {
    u64::try_from(length).expect("no more than a block")
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("block_size", &self.block_size)
            .field("root_level", &self.root_level)
            .field("wanted", &self.wanted.len())
            .field("content_len", &self.content_len)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Decoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content(content) => write!(f, "Content({} bytes)", content.len()),
            Self::Node => f.write_str("Node"),
            Self::Early => f.write_str("Early"),
            Self::NotWanted => f.write_str("NotWanted"),
        }
    }
}

#[cfg(test)]
mod tests;
