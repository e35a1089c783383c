// SPDX-License-Identifier: AGPL-3.0-or-later
//! How many announcements' worth of signatures one core makes and verifies in a second, by `Ed25519Verifier`
//! and by ed25519-dalek with a key that was decompressed before. `cargo bench -p ratman-types`.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use ratman_types::{Ed25519Verifier, SecretKey, Signer, Verifier};

const MESSAGE: [u8; 150] = [7; 150]; // the length of a signed peer part

fn per_second(mut operation: impl FnMut()) -> u64 {
    let (start, mut count) = (Instant::now(), 0_u64);
    while start.elapsed() < Duration::from_secs(1) {
        for _ in 0..100 {
            operation();
        }
        count += 100;
    }
    u64::try_from(u128::from(count) * 1_000_000 / start.elapsed().as_micros()).expect("a rate fits")
}

fn main() {
    let key = SecretKey::from_seed([1; 32]);
    let (public, signature) = (key.public(), key.sign(&MESSAGE));
    let dalek = ed25519_dalek::VerifyingKey::from_bytes(&public).expect("our own key");
    let dalek_signature = ed25519_dalek::Signature::from_bytes(&signature.0);

    println!(
        "sign, dalek            {:>8}/s",
        per_second(|| {
            black_box(key.sign(&MESSAGE));
        })
    );
    println!(
        "verify, our rule       {:>8}/s",
        per_second(|| assert!(Ed25519Verifier.verify(black_box(&public), &MESSAGE, &signature)))
    );
    println!(
        "verify, dalek alone    {:>8}/s",
        per_second(|| {
            ed25519_dalek::Verifier::verify(black_box(&dalek), &MESSAGE, &dalek_signature)
                .expect("it is good");
        })
    );
    println!(
        "is_valid_key           {:>8}/s",
        per_second(|| assert!(ratman_types::is_valid_key(black_box(&public))))
    );
}
