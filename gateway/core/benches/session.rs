// SPDX-License-Identifier: AGPL-3.0-or-later
//! What sealing and opening cost: `cargo bench -p gateway-core --bench session`. Figures are the best of several
//! rounds, since other work on the machine only ever adds.
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]
#![expect(clippy::print_stdout, reason = "a bench prints figures")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_core::session::{Accept, Sealed, SendKey, SessionConfig, SessionTable, Sessions};
use ratman_types::{Hop, LinkId, Mtu, Now, Recipient, RouterId, SecretKey, Signer, Timestamp, WallTime};
use ratman_wire::carrier::SESSION_HEADER;
use ratman_wire::session::RecordHeader;
use ratman_wire::{Header, Mode};

const NOW: Now =
    Now { at: Timestamp::from_micros(1_000_000), wall: WallTime::from_micros(1_800_000_000_000_000) };
const ROUNDS: u32 = 5;
const CALLS: u32 = 400;

fn main() {
    println!(
        "{:>10} {:>8} {:>14} {:>8} {:>12} {:>12}",
        "cipher", "frames", "batch", "MTU", "seal ns", "open ns"
    );
    for aes_in_hardware in [true, false] {
        let (cipher, send, table) = session(aes_in_hardware);
        for (length, count, mtu) in
            [(64, 1, 1500), (1400, 1, 1518), (1400, 11, 33_004), (16_384, 1, 33_004), (65_535, 1, 33_004)]
        {
            let (frames, seal, open) = measure(&send, &table, length, count, Mtu(mtu));
            let batch = format!("{count} x {length}");
            println!("{cipher:>10} {frames:>8} {batch:>14} {mtu:>8} {seal:>12} {open:>12}");
        }
    }
}

/// A session between two gateways: the cipher's name, the key of the one and the table of the other.
fn session(aes_in_hardware: bool) -> (&'static str, Arc<SendKey>, Arc<SessionTable>) {
    let keys = [1, 2].map(|number| SecretKey::from_seed([number; 32]));
    let config =
        SessionConfig { accept: Accept::Any, configured: Vec::new(), aes_in_hardware, hops_left: 60 };
    let [mut alice, mut bob] =
        [0, 1].map(|node: usize| Sessions::new(config.clone(), &keys[node], [u8::from(node == 1); 32], NOW));
    alice.connect(keys[1].address(), NOW).expect("a valid address");
    carry(&mut alice, &keys[0], &mut bob);
    carry(&mut bob, &keys[1], &mut alice);
    let cipher = alice.status().next().and_then(|row| row.cipher).expect("the handshake is complete");
    let send = alice.table().send_key(&keys[1].address()).cloned().expect("the handshake is complete");
    (cipher.name(), send, bob.table())
}

fn carry(from: &mut Sessions, key: &SecretKey, to: &mut Sessions) {
    let transmit = from.poll_transmit().expect("a message of the handshake");
    let hop = Hop { link: LinkId(0), neighbour: RouterId::from_bytes([0; 32]) };
    let header: Header = Header::new(transmit.mode, key.public()).to(Recipient::Address(transmit.to));
    assert_ne!(header.mode, Mode::SESSION_DATA);
    to.handle_frame(hop, &header, &transmit.payload, NOW).expect("a good message");
}

/// The number of frames of a batch, and the time of sealing and of opening all of them, in ns.
fn measure(send: &SendKey, table: &SessionTable, length: u16, count: usize, mtu: Mtu) -> (usize, u128, u128) {
    let record =
        [&RecordHeader { length, metadata: [0; 10] }.encode()[..], &vec![0x45; length.into()]].concat();
    let plain = record.repeat(count);
    let (mut sealed, mut best) = (Sealed::new(), [Duration::MAX; 2]);
    for _ in 0..ROUNDS {
        let mut spent = [Duration::ZERO; 2];
        for _ in 0..CALLS {
            let mut batch = plain.clone();
            let start = Instant::now();
            send.seal(&mut batch, mtu, NOW.at, &mut sealed).expect("a good batch");
            spent[0] += start.elapsed();
            let mut payloads: Vec<_> = sealed
                .pieces(&batch)
                .map(|piece| [&piece.head[SESSION_HEADER..], piece.body, piece.tail].concat())
                .collect();
            let mut packets = 0;
            let start = Instant::now();
            for payload in &mut payloads {
                let opened = table.open(payload, NOW.at, &mut |packet| {
                    black_box(packet);
                    packets += 1;
                });
                opened.expect("a good frame");
            }
            spent[1] += start.elapsed();
            assert_eq!(packets, count);
        }
        best = [0, 1].map(|way: usize| best[way].min(spent[way]));
    }
    (sealed.len(), best[0].as_nanos() / u128::from(CALLS), best[1].as_nanos() / u128::from(CALLS))
}
