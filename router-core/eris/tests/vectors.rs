// SPDX-License-Identifier: AGPL-3.0-or-later
//! Every vector of ERIS 1.0.0 and of the extension, both ways; and two large contents of the specification.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may end a test as well")]

use std::collections::{BTreeMap, BTreeSet};

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use ratman_eris::{BlockSize, ConvergenceSecret, Decoded, Decoder, Encoder, ReadCapability, Reference};
use ratman_types::{ByteCount, blake2b};
use serde::Deserialize;
use shake::Shake256;
use shake::digest::{ExtendableOutput, Update, XofReader};

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    content_seed: String,
    content_len: usize,
    convergence_secret: String,
    block_size: usize,
    level: u8,
    root_reference: String,
    root_key: String,
    urn: String,
    /// Sorted; left out where there are many.
    block_references: Option<Vec<String>>,
    block_count: usize,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> [u8; 32] {
    core::array::from_fn(|index| u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap())
}

impl Vector {
    fn content(&self) -> Vec<u8> {
        let mut hasher = Shake256::default();
        hasher.update(self.content_seed.as_bytes());
        let mut content = vec![0; self.content_len];
        hasher.finalize_xof().read(&mut content);
        content
    }

    fn check(&self) {
        let (content, name) = (self.content(), &self.content_seed);
        let size = BlockSize::from_bytes(self.block_size).unwrap();
        let secret = ConvergenceSecret::from_bytes(from_hex(&self.convergence_secret));
        let mut store = BTreeMap::new();
        let capability = encode(Encoder::new(size, &secret), &content, |reference, block| {
            store.insert(reference, block.to_vec());
        });
        assert_eq!((capability.block_size(), capability.level()), (size, self.level), "{name}");
        assert_eq!(capability.root().to_string(), self.root_reference, "{name}");
        assert_eq!(hex(capability.root_key()), self.root_key, "{name}");
        assert_eq!(*capability.to_urn(), self.urn, "{name}");
        assert_eq!(store.len(), self.block_count, "{name}");
        if let Some(references) = &self.block_references {
            let names: BTreeSet<String> = store.keys().map(Reference::to_string).collect();
            assert_eq!(names, references.iter().cloned().collect(), "{name}");
        }
        let parsed: ReadCapability = self.urn.parse().unwrap();
        assert_eq!(parsed, capability, "{name}");
        assert!(decode(&parsed, &store, self.content_len) == content, "{name}");
    }
}

fn encode(mut encoder: Encoder, content: &[u8], mut take: impl FnMut(Reference, &[u8])) -> ReadCapability {
    let mut rest = content;
    loop {
        while let Some(block) = encoder.poll_block() {
            take(block.reference, block.bytes);
        }
        if let Some(capability) = encoder.capability() {
            return capability;
        }
        let taken = encoder.push(rest).unwrap();
        rest = &rest[taken..];
        if rest.is_empty() {
            encoder.finish();
        }
    }
}

fn decode(capability: &ReadCapability, store: &BTreeMap<Reference, Vec<u8>>, length: usize) -> Vec<u8> {
    let limit = ByteCount(length.try_into().unwrap());
    let mut decoder = Decoder::whole(capability, limit).unwrap();
    let mut content = Vec::new();
    while let Some(next) = decoder.next_wanted() {
        if let Decoded::Content(piece) = decoder.handle_block(&store[&next]).unwrap() {
            content.extend_from_slice(piece);
        }
    }
    assert_eq!(decoder.content_len(), Some(limit));
    content
}

fn check_all(json: &str, count: usize) {
    let Vectors { vectors } = serde_json::from_str(json).unwrap();
    assert_eq!(vectors.len(), count);
    vectors.iter().for_each(Vector::check);
}

#[test]
fn the_vectors_of_the_specification_hold() {
    check_all(include_str!("vectors/eris-1.0.0.json"), 80);
}

#[test]
fn the_vectors_of_the_extension_hold() {
    check_all(include_str!("vectors/extension.json"), 48);
}

/// Encodes content as the specification makes large ones: the ChaCha20 stream whose key is the hash of the test's name.
fn large(name: &str, size: BlockSize, length: usize) -> String {
    let key = *blake2b(&[name.as_bytes()]).as_bytes();
    let mut stream = ChaCha20::new(&key.into(), &[0; 12].into());
    let mut encoder = Encoder::new(size, &ConvergenceSecret::zeros());
    let mut piece = vec![0; size.bytes()];
    for _ in 0..length / size.bytes() {
        piece.fill(0);
        stream.apply_keystream(&mut piece);
        assert_eq!(encoder.push(&piece), Ok(piece.len()));
        while encoder.poll_block().is_some() {}
    }
    encoder.finish();
    while encoder.poll_block().is_some() {}
    encoder.capability().unwrap().to_urn().to_string()
}

#[test]
fn a_hundred_mebibytes_of_the_specification_hold() {
    assert_eq!(
        large("100MiB (block size 1KiB)", BlockSize::Kib1, 100 << 20),
        "urn:eris:BIC6F5EKY2PMXS2VNOKPD3AJGKTQBD3EXSCSLZIENXAXBM7PCTH2TCMF5OKJWAN36N4DFO6JPFZBR3MS7ECOGDYDERIJJ4N5KAQSZS67YY"
    );
}

#[test]
#[ignore = "encodes a gibibyte, some ten seconds"]
fn a_gibibyte_of_the_specification_holds() {
    assert_eq!(
        large("1GiB (block size 32KiB)", BlockSize::Kib32, 1 << 30),
        "urn:eris:B4BL4DKSEOPGMYS2CU2OFNYCH4BGQT774GXKGURLFO5FDXAQQPJGJ35AZR3PEK6CVCV74FVTAXHRSWLUUNYYA46ZPOPDOV2M5NVLBETWVI"
    );
}
