// SPDX-License-Identifier: AGPL-3.0-or-later
//! The words that every room of irdest-gateway shares: addresses and keys, times, units, links.
//!
//! This package is a leaf: it knows no frame and no route. Two traits, [`Signer`] and [`Verifier`], stand
//! between the protocol and ed25519, so that simulations of large networks can use a cheap stand-in.
#![forbid(unsafe_code)]

mod address;
mod date;
mod digest;
mod key;
mod link;
mod link_sample;
mod recipient;
mod time;
mod units;
mod verify;

pub use address::{Address, Namespace, ParseKeyError, RouterId};
pub use date::{Date, days_of_month, days_of_year};
pub use digest::{Digest, blake2b, blake2b_keyed, blake2s_mac, is_same_mac};
pub use key::{SecretKey, Signature, Signer, to_x25519};
pub use link::{Hop, LinkId};
pub use link_sample::{Capacity, LinkSample, Loss, RoundTrips, SampleSource, Traffic};
pub use recipient::Recipient;
pub use time::{Now, Timestamp, WallTime};
pub use units::{Bandwidth, ByteCount, Mtu};
pub use verify::{Ed25519Verifier, Verifier, is_valid_key};
