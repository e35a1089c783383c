// SPDX-License-Identifier: AGPL-3.0-or-later
//! How one block is sealed and opened, and how a node lists its children.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};

use crate::Reference;
use crate::secret::{ConvergenceSecret, Key};

/// The length of a reference or of a key, in bytes.
const NAME_LEN: usize = 32;
/// What a node holds of each child: its reference, then its key.
pub(crate) const PAIR_LEN: usize = 2 * NAME_LEN;

/// Encrypts a padded leaf where it stands.
pub(crate) fn seal_leaf(block: &mut [u8], secret: &ConvergenceSecret) -> (Reference, Key) {
    let key = secret.leaf_key(block);
    cipher(&key, 0).apply_keystream(block);
    (Reference::of(block), key)
}

/// Encrypts a padded inner node of a level where it stands.
pub(crate) fn seal_node(block: &mut [u8], level: u8) -> (Reference, Key) {
    let key = Key::of_node(block);
    cipher(&key, level).apply_keystream(block);
    (Reference::of(block), key)
}

/// Decrypts a block of a level into a buffer of the same length.
pub(crate) fn open(block: &[u8], key: &Key, level: u8, plaintext: &mut [u8]) {
    plaintext.copy_from_slice(block);
    cipher(key, level).apply_keystream(plaintext);
}

/// ChaCha20 of RFC 8439 from counter 0. A key is used for one plaintext, so the nonce need only tell levels apart.
fn cipher(key: &Key, level: u8) -> ChaCha20 {
    let mut nonce = [0; 12];
    nonce[0] = level;
    ChaCha20::new(key.as_bytes().into(), &nonce.into())
}

/// Writes the pair of a child into a node.
pub(crate) fn write_pair(place: &mut [u8], reference: &Reference, key: &Key) {
    place[..NAME_LEN].copy_from_slice(reference.as_bytes());
    place[NAME_LEN..PAIR_LEN].copy_from_slice(key.as_bytes());
}

/// The pair at an index of a node.
pub(crate) fn read_pair(node: &[u8], index: usize) -> (Reference, Key) {
    let (pairs, _) = node.as_chunks::<PAIR_LEN>();
    let (reference, key) = pairs[index].split_first_chunk().expect("a pair is longer than a reference");
    let key = key.first_chunk().expect("a pair is a reference and a key");
    (Reference::from_bytes(*reference), Key::copied_from(key))
}

/// The number of children that a node lists, if nothing but zeros follows them.
pub(crate) fn count_pairs(node: &[u8]) -> Option<usize> {
    let (pairs, _) = node.as_chunks::<PAIR_LEN>();
    let is_child = |pair: &[u8; PAIR_LEN]| pair[..NAME_LEN] != [0; NAME_LEN];
    let count = pairs.iter().take_while(|pair| is_child(pair)).count();
    pairs[count..].iter().all(|pair| *pair == [0; PAIR_LEN]).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_at_its_level_alone() {
        let node = [5; 256];
        let mut block = node;
        let (reference, key) = seal_node(&mut block, 3);
        assert_eq!(Reference::of(&block), reference);
        let mut opened = [0; 256];
        open(&block, &key, 3, &mut opened);
        assert_eq!(opened, node);
        open(&block, &key, 2, &mut opened);
        assert_ne!(opened, node);
    }

    #[test]
    fn children_are_counted_up_to_the_first_without_a_name() {
        let mut node = [0; 256];
        assert_eq!(count_pairs(&node), Some(0));
        node[100] = 1; // the key of a second child without a first
        assert_eq!(count_pairs(&node), None);
        node[0] = 1;
        assert_eq!(count_pairs(&node), None, "a key without a name");
        node[64] = 1;
        assert_eq!(count_pairs(&node), Some(2));
        node[255] = 1;
        assert_eq!(count_pairs(&node), None);
        node[128] = 1;
        node[192] = 1;
        assert_eq!(count_pairs(&node), Some(4));
        assert_eq!(read_pair(&node, 1).0.as_bytes()[0], 1);
        assert_eq!(read_pair(&node, 1).1.as_bytes()[4], 1);
    }
}
