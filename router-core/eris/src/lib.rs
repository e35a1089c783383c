// SPDX-License-Identifier: AGPL-3.0-or-later
//! ERIS 1.0.0 (Encoding for Robust Immutable Storage, <https://eris.codeberg.page/spec>) as a pair of state machines.
//!
//! Content of any size becomes encrypted blocks of one size, each named by its BLAKE2b-256 hash, and one
//! [`ReadCapability`] of 66 bytes. Who has a block and no capability can check and pass it on ([`verify_block`]), and
//! learns nothing of the content; who has the capability can ask anybody for the blocks and need not trust them.
//!
//! - [`Encoder`] takes content in pieces of any size and gives one block after the other. It holds one block and one
//!   node of each level of the tree, whatever the length of the content, and waits until a block is taken.
//! - [`Decoder`] says which blocks it wants next, takes them from wherever they come, and gives the content in order, or
//!   [a part](Decoder::range) or [the length](Decoder::length) of it.
//!
//! Neither does IO, reads a clock, allocates per block, or trusts its input. Beside the block sizes of the specification,
//! 1 KiB and 32 KiB, there are two for small messages and narrow links, 64 and 256 bytes: see [`BlockSize`].
//!
//! # Example
//!
//! ```
//! use std::collections::BTreeMap;
//! use ratman_eris::{BlockSize, ConvergenceSecret, Decoded, Decoder, Encoder, Reference};
//! use ratman_types::ByteCount;
//!
//! let content = b"All that is gold does not glitter".repeat(1000);
//! let mut store: BTreeMap<Reference, Vec<u8>> = BTreeMap::new();
//!
//! // A secret that only those know who shall find out that two contents are the same.
//! let secret = ConvergenceSecret::from_bytes([7; 32]);
//! let mut encoder = Encoder::new(BlockSize::Kib1, &secret);
//! let mut rest = &content[..];
//! while !rest.is_empty() {
//!     let taken = encoder.push(rest)?;
//!     rest = &rest[taken..];
//!     while let Some(block) = encoder.poll_block() {
//!         store.insert(block.reference, block.bytes.to_vec());
//!     }
//! }
//! encoder.finish();
//! while let Some(block) = encoder.poll_block() {
//!     store.insert(block.reference, block.bytes.to_vec());
//! }
//! let capability = encoder.capability().expect("all blocks are taken");
//!
//! // No more than a megabyte, whatever the blocks claim.
//! let mut decoder = Decoder::whole(&capability, ByteCount(1_000_000))?;
//! let mut decoded = Vec::new();
//! while let Some(reference) = decoder.next_wanted() {
//!     match decoder.handle_block(&store[&reference])? {
//!         Decoded::Content(piece) => decoded.extend_from_slice(piece),
//!         Decoded::Node => {}
//!         Decoded::Early | Decoded::NotWanted => unreachable!("it is the block that is wanted next"),
//!     }
//! }
//! assert_eq!(decoded, content);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod base32;
mod block_size;
mod cipher;
mod decoder;
mod encoder;
#[doc(hidden)]
pub mod fuzz;
mod read_capability;
mod reference;
mod secret;

pub use block_size::{BlockSize, PathTooNarrow};
pub use decoder::{DecodeError, Decoded, Decoder, LOOK_AHEAD, Wanted};
pub use encoder::{Block, ContentTooLong, Encoder};
pub use read_capability::{CapabilityError, ReadCapability};
pub use reference::{BlockError, Reference, verify_block};
pub use secret::ConvergenceSecret;
