// SPDX-License-Identifier: AGPL-3.0-or-later
//! Content in, blocks out, one at a time: the leaves as they fill, each node as its last child is there, the root last.

use core::fmt;

use ratman_types::ByteCount;
use zeroize::Zeroizing;

use crate::cipher::{PAIR_LEN, read_pair, seal_leaf, seal_node, write_pair};
use crate::secret::{ConvergenceSecret, Key};
use crate::{BlockSize, ReadCapability, Reference};

/// Splits, encrypts and names content of any length, also of one that is not known before.
///
/// [`Encoder::push`] takes content until a block is full, and nothing while one waits; [`Encoder::poll_block`] gives the
/// block. So who calls decides how fast the content is read. After [`Encoder::finish`] the last blocks come, and when all
/// of them are taken, the [`Encoder::capability`].
///
/// It holds one leaf and one node of each level in buffers that are made once and zeroised when dropped: in blocks of 32 KiB
/// four of them for 1 GiB, and no more than eight for any content.
pub struct Encoder {
    block_size: BlockSize,
    secret: ConvergenceSecret,
    leaf: Zeroizing<Vec<u8>>,
    filled: usize,
    /// The node that is being filled, of each level from 1 on; one more, above the root, for the root's own name.
    nodes: Vec<Node>,
    content_len: u64,
    stage: Stage,
}

/// A block on its way out, in the encoder's own buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// Its name.
    pub reference: Reference,
    /// Its bytes, encrypted: as many as the block size says.
    pub bytes: &'a [u8],
}

/// A block of 64 bytes takes content of 63 bytes, and there can be no second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("content of more than 63 bytes does not go into blocks of 64 bytes")]
pub struct ContentTooLong;

/// How far an encoder is.
enum Stage {
    /// More content may come.
    Filling,
    /// No more content comes; the last leaf is still to be padded.
    Padding,
    /// All leaves are out; what is left in the nodes follows from the lowest level up.
    Closing,
    /// All blocks are out.
    Finished(ReadCapability),
}

/// An inner node that is being filled with its children.
struct Node {
    bytes: Zeroizing<Vec<u8>>,
    filled: usize,
}

impl Encoder {
    /// Begins a content. With [`BlockSize::choose`] for a known length; for one that is not, with a size that suits the
    /// path and most contents.
    pub fn new(block_size: BlockSize, secret: &ConvergenceSecret) -> Self {
        Self {
            block_size,
            secret: secret.clone(),
            leaf: Zeroizing::new(vec![0; block_size.bytes()]),
            filled: 0,
            nodes: Vec::with_capacity(usize::from(block_size.max_level()) + 1),
            content_len: 0,
            stage: Stage::Filling,
        }
    }

    /// Takes content from the front of a piece and tells how many bytes: none while a block waits to be polled, and none
    /// after [`Encoder::finish`].
    ///
    /// # Errors
    ///
    /// [`ContentTooLong`] with blocks of 64 bytes, once more than 63 bytes are pushed; the piece is not taken.
    pub fn push(&mut self, content: &[u8]) -> Result<usize, ContentTooLong> {
        if !matches!(self.stage, Stage::Filling) || self.full_node().is_some() {
            return Ok(0);
        }
        let taken = content.len().min(self.leaf.len() - self.filled);
        let end = self.filled + taken;
        if self.block_size == BlockSize::Bytes64 && end == self.leaf.len() {
            return Err(ContentTooLong);
        }
        self.leaf[self.filled..end].copy_from_slice(&content[..taken]);
        self.filled = end;
        self.content_len += u64::try_from(taken).expect("a piece is shorter than 2^64 bytes");
        Ok(taken)
    }

    /// Says that no more content follows. Empty content is one block, too.
    pub fn finish(&mut self) {
        if matches!(self.stage, Stage::Filling) {
            self.stage = Stage::Padding;
        }
    }

    /// The next block that is ready; nothing until there is more content or [`Encoder::finish`] was called, and nothing
    /// after the last. Contents that repeat themselves give the same block more than once.
    pub fn poll_block(&mut self) -> Option<Block<'_>> {
        if let Some(height) = self.full_node() {
            return Some(self.emit_node(height));
        }
        if self.filled == self.leaf.len() {
            return Some(self.emit_leaf());
        }
        match self.stage {
            Stage::Filling | Stage::Finished(_) => None,
            Stage::Padding => {
                self.leaf[self.filled] = 0x80;
                self.leaf[self.filled + 1..].fill(0);
                self.stage = Stage::Closing;
                Some(self.emit_leaf())
            }
            Stage::Closing => self.close(),
        }
    }

    /// What reads the content, once [`Encoder::poll_block`] gave its last block and then nothing.
    pub fn capability(&self) -> Option<ReadCapability> {
        match &self.stage {
            Stage::Finished(capability) => Some(capability.clone()),
            Stage::Filling | Stage::Padding | Stage::Closing => None,
        }
    }

    /// How much content was pushed until now.
    pub const fn content_len(&self) -> ByteCount {
        ByteCount(self.content_len)
    }

    /// The lowest node that is full, by its place. The one child of a node of 64 bytes is the root.
    fn full_node(&self) -> Option<usize> {
        let is_tree = self.block_size.arity() > 1;
        self.nodes.iter().position(|node| is_tree && node.filled == node.bytes.len())
    }

    fn emit_leaf(&mut self) -> Block<'_> {
        let (reference, key) = seal_leaf(&mut self.leaf, &self.secret);
        self.filled = 0;
        self.add_child(0, &reference, &key);
        Block { reference, bytes: &self.leaf }
    }

    fn emit_node(&mut self, height: usize) -> Block<'_> {
        let node = &mut self.nodes[height];
        node.bytes[node.filled..].fill(0);
        node.filled = 0;
        let (reference, key) = seal_node(&mut node.bytes, level(height + 1));
        self.add_child(height + 1, &reference, &key);
        Block { reference, bytes: &self.nodes[height].bytes }
    }

    /// Adds a child to the node at a height; it makes that node where it is the first child of its level.
    fn add_child(&mut self, height: usize, reference: &Reference, key: &Key) {
        if height == self.nodes.len() {
            let bytes = Zeroizing::new(vec![0; self.block_size.bytes()]);
            self.nodes.push(Node { bytes, filled: 0 });
        }
        let node = &mut self.nodes[height];
        write_pair(&mut node.bytes[node.filled..], reference, key);
        node.filled += PAIR_LEN;
    }

    /// Emits the lowest node that has children, unless it is an only child alone at the top: that is the root.
    fn close(&mut self) -> Option<Block<'_>> {
        let height = self.nodes.iter().position(|node| node.filled > 0).expect("every leaf has a parent");
        if height + 1 < self.nodes.len() || self.nodes[height].filled > PAIR_LEN {
            return Some(self.emit_node(height));
        }
        let (root, key) = read_pair(&self.nodes[height].bytes, 0);
        self.stage = Stage::Finished(ReadCapability::new(self.block_size, level(height), root, key));
        None
    }
}

fn level(height: usize) -> u8 {
    u8::try_from(height).expect("2^64 bytes of content have no more than 28 levels")
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder")
            .field("block_size", &self.block_size)
            .field("content_len", &self.content_len)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({:.8}, {} bytes)", self.reference, self.bytes.len())
    }
}

#[cfg(test)]
mod tests;
