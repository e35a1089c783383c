// SPDX-License-Identifier: AGPL-3.0-or-later
//! What it costs to sign, to verify and to name a frame with a block of 32 KiB: over the payload's hash, as we do, and over
//! the payload itself, as the wire page has it. `cargo bench -p ratman-wire --bench sign` takes two seconds.
//!
//! Both take turns, so that what else the machine does meets both, and the ratio is that of each turn, the median of all.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::time::Instant;

use ratman_types::{
    Address, Digest, Ed25519Verifier, Recipient, SecretKey, Signature, Signer, Verifier, blake2b,
};
use ratman_wire::{Frame, Header, MAX_PAYLOAD, Mode, SequenceId};

const TURNS: usize = 200;
/// Frames of one turn: some ms.
const FRAMES: u64 = 10;

fn main() {
    let payload: Vec<u8> = (0..=u8::MAX).cycle().take(MAX_PAYLOAD).collect();
    let (key, name) = (SecretKey::from_seed([1; 32]), blake2b(&[&payload]));
    let frame = Frame { header: header(&key, name), payload: &payload };
    let (ours, theirs) = (key.sign(frame.signed_bytes().as_bytes()), key.sign(&whole(&frame)));
    let holds = |message: &[u8], signature: &Signature| {
        assert!(Ed25519Verifier.verify(&key.public(), message, signature));
    };

    println!("us a frame                      hash    whole    hash / whole");
    let sign_whole = || key.sign(&whole(black_box(&frame)));
    compare("sign", || key.sign(black_box(&frame).signed_bytes().as_bytes()), sign_whole);
    compare(
        "sign a block whose name is known",
        || key.sign(black_box(&frame).header.signed_bytes(payload.len(), name).as_bytes()),
        sign_whole,
    );
    compare(
        "verify",
        || holds(black_box(&frame).signed_bytes().as_bytes(), &ours),
        || holds(&whole(black_box(&frame)), &theirs),
    );
    compare(
        "verify and name",
        || {
            let signed = black_box(&frame).signed_bytes();
            holds(signed.as_bytes(), &ours);
            signed.id()
        },
        || {
            let message = whole(black_box(&frame));
            holds(&message, &theirs);
            blake2b(&[&message])
        },
    );
}

fn header(key: &SecretKey, name: Digest) -> Header {
    let seq_id = Some(SequenceId { hash: name, num: 0, max: 0 });
    let to = Recipient::Address(Address::from_bytes([2; 32]));
    Header { seq_id, hops_left: 0, ..Header::new(Mode::DATA, key.public()).to(to) }
}

/// What the page has signed: as long a domain string, and the whole frame.
fn whole(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = b"irdest frame 2".to_vec();
    frame.encode_into(&mut bytes);
    bytes
}

fn compare<A, B>(what: &str, hash: impl Fn() -> A, whole: impl Fn() -> B) {
    let (mut hashes, mut wholes, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let (by_hash, by_whole) = (nanos(&hash), nanos(&whole));
        ratios.push(by_hash * 1000 / by_whole);
        hashes.push(by_hash);
        wholes.push(by_whole);
    }
    let (hash, whole, ratio) = (median(hashes) / 1000, median(wholes) / 1000, median(ratios));
    println!("{what:<32} {hash:>4} {whole:>8} {ratio:>9} / 1000");
}

fn nanos<T>(operation: impl Fn() -> T) -> u64 {
    let start = Instant::now();
    for _ in 0..FRAMES {
        black_box(operation());
    }
    u64::try_from(start.elapsed().as_nanos()).expect("a short time") / FRAMES
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}
