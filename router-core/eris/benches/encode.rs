// SPDX-License-Identifier: AGPL-3.0-or-later
//! What encoding in blocks of 32 KiB reaches on one core, beside the three passes that it cannot do without: ChaCha20 and
//! twice BLAKE2b over the same bytes.
//!
//! `cargo bench -p ratman-eris --bench encode` takes two seconds; with `-- --json` it prints one line for programs. The two
//! take turns, so that what else the machine does meets both, and the ratio is that of each turn, the median of all.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::time::Instant;

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use ratman_eris::{BlockSize, ConvergenceSecret, Encoder};
use ratman_types::{blake2b, blake2b_keyed};

/// Content of one turn: some 10 ms.
const TURN: usize = 4 << 20;
const TURNS: usize = 100;
/// Least ratio, in thousandths, of both rates.
const LIMIT: u64 = 700;

/// Rates in bytes per second, and the first by the second in thousandths.
struct Figures {
    eris: u64,
    primitives: u64,
    ratio: u64,
}

fn main() {
    let Figures { eris, primitives, ratio } = measure();
    if std::env::args().any(|argument| argument == "--json") {
        println!(
            r#"{{"eris_bytes_per_second":{eris},"primitives_bytes_per_second":{primitives},"ratio_thousandths":{ratio}}}"#
        );
    } else {
        println!("ERIS, 32 KiB blocks         {:>6} MB/s", eris / 1_000_000);
        println!("ChaCha20 and 2 x BLAKE2b    {:>6} MB/s", primitives / 1_000_000);
        println!("ratio                       {:>6} / 1000, at least {LIMIT}", ratio);
    }
    assert!(ratio >= LIMIT, "encoding costs more than it should");
}

fn measure() -> Figures {
    let mut content: Vec<u8> = (0..=u8::MAX).cycle().take(TURN).collect();
    let (mut eris, mut primitives, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let encoded = rate(|| encode(black_box(&content)));
        let passed = rate(|| pass_over(black_box(&mut content)));
        eris.push(encoded);
        primitives.push(passed);
        ratios.push(encoded * 1000 / passed);
    }
    Figures { eris: median(eris), primitives: median(primitives), ratio: median(ratios) }
}

fn encode(content: &[u8]) {
    let mut encoder = Encoder::new(BlockSize::Kib32, &ConvergenceSecret::from_bytes([1; 32]));
    let mut rest = content;
    while !rest.is_empty() {
        let taken = encoder.push(rest).expect("blocks of 32 KiB take any content");
        rest = &rest[taken..];
        while let Some(block) = encoder.poll_block() {
            black_box(block);
        }
    }
    encoder.finish();
    while let Some(block) = encoder.poll_block() {
        black_box(block);
    }
}

/// The three passes, in blocks of the same size, so that the bytes stay in the same caches.
fn pass_over(content: &mut [u8]) {
    for block in content.chunks_mut(BlockSize::Kib32.bytes()) {
        let key = blake2b_keyed(&[1; 32], &[block]);
        ChaCha20::new(key.as_bytes().into(), &[0; 12].into()).apply_keystream(block);
        black_box(blake2b(&[block]));
    }
}

fn rate(turn: impl FnOnce()) -> u64 {
    let start = Instant::now();
    turn();
    let bytes = u128::try_from(TURN).expect("4 MiB");
    u64::try_from(bytes * 1_000_000_000 / start.elapsed().as_nanos()).expect("a rate fits")
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}
