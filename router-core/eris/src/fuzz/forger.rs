// SPDX-License-Identifier: AGPL-3.0-or-later
//! Trees that no encoder makes: every block has its right name and key, and what stands in it is anything.

use super::Store;
use crate::cipher::{PAIR_LEN, seal_leaf, seal_node, write_pair};
use crate::secret::Key;
use crate::{BlockSize, ConvergenceSecret, ReadCapability, Reference};

/// Makes blocks of one size.
pub(crate) struct Forger {
    size: BlockSize,
    pub(crate) store: Store,
}

/// What a parent says of a child.
#[derive(Clone)]
pub(crate) struct Child {
    pub(crate) reference: Reference,
    pub(crate) key: Key,
}

impl Forger {
    pub(crate) fn new(size: BlockSize) -> Self {
        Self { size, store: Store::new() }
    }

    /// Builds a tree from bytes: a block size, the level that the capability claims, then blocks, of which each is a leaf or
    /// a node over those before it. The last is the root.
    pub(crate) fn from_script(script: &[u8]) -> Option<(ReadCapability, Store)> {
        let ([size, level], mut script) = script.split_first_chunk()?;
        let mut forger = Self::new(BlockSize::ALL[usize::from(size % 4)]);
        let mut made: Vec<Child> = Vec::new();
        while let Some(([kind, level, count, first, step], rest)) = script.split_first_chunk() {
            script = rest;
            let [count, first, step] = [count, first, step].map(|byte| usize::from(*byte));
            let children =
                (0..count * 4).filter_map(|child| made.get((first + child * step) % made.len().max(1)));
            let child = match kind % 4 {
                0 => forger.leaf(&[&vec![*kind; count * 4][..], &[0x80]].concat()),
                1 => forger.leaf(&vec![*kind; forger.size.bytes()]),
                2 => forger.node(*level, &children.cloned().collect::<Vec<_>>(), &[]),
                _ => forger.node(*level, &children.cloned().collect::<Vec<_>>(), &[1]),
            };
            made.push(child);
        }
        let level = level % (forger.size.max_level() + 1);
        Some((forger.capability(level, made.last()?), forger.store))
    }

    /// A leaf with this plaintext, cut or filled with zeros; what is missing of padding is missing.
    pub(crate) fn leaf(&mut self, plaintext: &[u8]) -> Child {
        let mut block = self.filled(plaintext);
        let (reference, key) = seal_leaf(&mut block, &ConvergenceSecret::zeros());
        self.add(reference, key, block)
    }

    /// A node with these children, as many as fit, and then some bytes more.
    pub(crate) fn node(&mut self, level: u8, children: &[Child], more: &[u8]) -> Child {
        let mut plaintext = vec![0; children.len() * PAIR_LEN];
        for (place, child) in plaintext.chunks_mut(PAIR_LEN).zip(children) {
            write_pair(place, &child.reference, &child.key);
        }
        plaintext.extend(more);
        let mut block = self.filled(&plaintext);
        let (reference, key) = seal_node(&mut block, level);
        self.add(reference, key, block)
    }

    pub(crate) fn capability(&self, level: u8, root: &Child) -> ReadCapability {
        ReadCapability::new(self.size, level, root.reference, root.key.clone())
    }

    fn filled(&self, plaintext: &[u8]) -> Vec<u8> {
        let mut block = plaintext.to_vec();
        block.resize(self.size.bytes(), 0);
        block
    }

    fn add(&mut self, reference: Reference, key: Key, block: Vec<u8>) -> Child {
        self.store.insert(reference, block);
        Child { reference, key }
    }
}

#[cfg(test)]
mod tests {
    use ratman_types::ByteCount;

    use super::*;
    use crate::Decoder;
    use crate::fuzz::decoded;

    /// So that the fuzzer comes beyond the root.
    #[test]
    fn a_script_can_make_a_tree_that_is_read() {
        let leaves = [1, 0, 0, 0, 0, 0, 0, 2, 0, 0];
        let nodes = [2, 1, 1, 0, 1, 2, 2, 1, 2, 0];
        let script = [&[1, 2][..], &leaves, &nodes].concat();
        let (capability, store) = Forger::from_script(&script).unwrap();
        let mut decoder = Decoder::whole(&capability, ByteCount(10_000)).unwrap();
        assert_eq!(decoded(&mut decoder, &store, 0).len(), 15 * 256 + 8);
    }
}
