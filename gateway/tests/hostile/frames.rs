// SPDX-License-Identifier: AGPL-3.0-or-later
//! Frames of a neighbour that has proven its key and then says anything at all.

use std::collections::BTreeMap;

use ratman_types::Recipient;
use ratman_wire::carrier::VERSION;
use ratman_wire::echo::Echo;
use ratman_wire::peering::is_peering;
use ratman_wire::{DecodeError, Frame, Header, Mode, ModeClass};
use router_core::sign_frame;

use crate::forger::{announcement, frame, now};
use crate::mesh::{Books, Mesh, address_of, running};
use crate::rogue::{Rogue, address_key};

const SEED: u8 = 31;

/// Frames of noise (source: the issue).
const NOISE: usize = 10_000;

/// Numbers that look random and are the same in every run (xorshift64, Marsaglia 2003).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("a small number");
        usize::try_from(self.next() % limit).expect("a small number")
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_be_bytes()[0]).collect()
    }

    /// A third truncated, a third random, a third good frames with random modes and random payloads.
    fn frame(&mut self, samples: &[Vec<u8>]) -> Vec<u8> {
        match self.below(3) {
            0 => {
                let sample = &samples[self.below(samples.len())];
                sample[..self.below(sample.len())].to_vec()
            }
            1 => {
                let length = self.below(300);
                self.bytes(length)
            }
            _ => {
                let mode = Mode(u16::try_from(self.below(0x1_0000)).expect("two bytes") >> self.below(16));
                let mut payload = vec![0xee];
                payload.extend(self.bytes(30));
                let sender = self.bytes(32).try_into().expect("32 bytes");
                Frame { header: Header::new(mode, sender), payload: &payload }.encode()
            }
        }
    }
}

/// Under which reason a frame has to be refused, by the table of modes of the wire page.
fn reason(bytes: &[u8]) -> &'static str {
    if is_peering(bytes) {
        return "stray_peering_frames";
    }
    let header = match Frame::decode(bytes) {
        Ok(frame) => frame.header,
        Err(DecodeError::Version(1)) => return "carrier_version_1",
        Err(_) => return "malformed_frame",
    };
    match header.mode.class() {
        ModeClass::Announcement => "malformed_payload",
        ModeClass::OneHop => match header.mode {
            Mode::ECHO_REQUEST | Mode::ECHO_REPLY | Mode::ROUTER_META => "malformed_payload",
            Mode::SYNC_SCOPE_REQUEST | Mode::CUSTODY => "malformed_payload",
            _ => "mode_not_served",
        },
        ModeClass::Stream | ModeClass::User | ModeClass::Anycast | ModeClass::Session => "no_recipient",
        ModeClass::Unknown => "unknown_mode",
        ModeClass::Peering => unreachable!("asked above"),
    }
}

#[test]
fn ten_thousand_truncated_and_random_frames() {
    let (mesh, tunnel) = running();
    let rogue = Rogue::join(&mesh.m, Mesh::R_TO_M, &mesh.r, SEED);
    let heard = rogue.frame("an announcement", |frame| frame.header.mode == Mode::ANNOUNCEMENT);
    let echo = rogue.frame("an echo", |frame| frame.header.mode == Mode::ECHO_REQUEST);
    let to = Recipient::Address(address_of(&mesh.b));
    let session = Header::new(Mode::SESSION_DATA, [9; 32]).to(to);
    let samples = [heard, echo, Frame { header: session, payload: &[7; 100] }.encode()];
    let mut noise = Noise(0x6972_6465_7374);
    let mut expected = BTreeMap::new();
    let mut bytes = Vec::new();
    for _ in 0..NOISE {
        let frame = noise.frame(&samples);
        *expected.entry(reason(&frame)).or_default() += 1;
        bytes.extend(u32::try_from(frame.len()).unwrap().to_be_bytes());
        bytes.extend(frame);
    }
    let mut books = Books::open(&mesh.r);
    rogue.send_bytes(&bytes);
    books.expect_all(expected);
    assert!(!rogue.is_closed(), "good framing keeps its link");
    let id = rogue.router_id().to_string();
    let links = mesh.r.status().unwrap().links;
    assert!(links.iter().any(|link| link.neighbour.as_ref() == Some(&id) && link.state == "live"));
    tunnel.end_unharmed();
    books.close();
}

#[test]
fn one_hop_frames_that_are_forged_or_replayed() {
    let (mesh, tunnel) = running();
    let rogue = Rogue::join(&mesh.m, Mesh::R_TO_M, &mesh.r, SEED);
    let mut books = Books::open(&mesh.r);
    let send = |mode, payload: &dyn Fn(u64) -> Vec<u8>, change: &dyn Fn(&mut Vec<u8>), times| {
        let mut inner = rogue.lock();
        let mut frame = inner.hop_frame(mode, payload, |_| true);
        change(&mut frame);
        (0..times).for_each(|_| inner.send(&frame));
    };
    let asis = |_: &mut Vec<u8>| {};
    send(Mode::ROUTER_META, &|_| vec![0; 20], &asis, 1);
    books.expect("malformed_payload", 1);
    send(Mode::ECHO_REQUEST, &echo, &|frame| *frame.last_mut().unwrap() ^= 1, 1);
    books.expect("bad_signature", 1);
    send(Mode::ECHO_REPLY, &echo, &asis, 1);
    books.expect("unasked_echo", 1);
    send(Mode::ECHO_REQUEST, &echo, &asis, 2);
    books.expect("stale_one_hop", 1);
    // R's own echo says who sent it, and that is not the neighbour on this link.
    rogue.send(&rogue.frame("an echo", |frame| frame.header.mode == Mode::ECHO_REQUEST));
    books.expect("wrong_sender", 1);
    tunnel.end_unharmed();
    books.close();
}

/// An echo made now, with a nonce that none of the rogue's own has.
fn echo(number: u64) -> Vec<u8> {
    Echo { time: now(), nonce: (u64::MAX - number).to_be_bytes(), wall_time: now() }.encode()
}

#[test]
fn a_hop_signature_that_begins_with_a_zero_byte_is_as_good_as_any() {
    let (mesh, tunnel) = running();
    let rogue = Rogue::join(&mesh.m, Mesh::R_TO_M, &mesh.r, SEED);
    let books = Books::open(&mesh.r);
    let mut inner = rogue.lock();
    let request = inner.hop_frame(Mode::ECHO_REQUEST, echo, |signature| signature.0[0] == 0);
    inner.send(&request);
    drop(inner);
    let asked = Echo::decode(Frame::decode(&request).unwrap().payload).unwrap().nonce;
    rogue.frame("the answer", |frame| {
        let answer = |payload: &[u8]| Echo::decode(payload).is_ok_and(|echo| echo.nonce == asked);
        frame.header.mode == Mode::ECHO_REPLY && answer(frame.payload)
    });
    tunnel.end_unharmed();
    books.close();
}

#[test]
fn routed_frames_are_verified_before_they_go_on() {
    let (mesh, tunnel) = running();
    let rogue = Rogue::join(&mesh.m, Mesh::R_TO_M, &mesh.r, SEED);
    let (mut at_r, mut at_a) = (Books::open(&mesh.r), Books::open(&mesh.a));
    let to = Recipient::Address(address_of(&mesh.a));
    // The first of the user range, which no version of this gateway takes for itself.
    let header = Header::new(Mode(0x8000), [0; 32]).to(to);
    let good = sign_frame(&address_key(SEED), header, b"to nobody in particular");
    rogue.send(&good);
    at_a.expect("not_delivered", 1);
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    rogue.send(&forged);
    at_r.expect("bad_signature", 1);
    let unsigned = Header { sender: [8; 32], ..header };
    rogue.send(&Frame { header: unsigned, payload: b"unsigned" }.encode());
    at_r.expect("unsigned", 1);
    let mut spent = good;
    spent[1] = 0;
    assert_eq!(spent[0], VERSION);
    rogue.send(&spent);
    at_r.expect("hop_limit", 1);
    rogue.send(&frame([1; 32], &announcement(&address_key(SEED), now())));
    at_r.expect("bad_signature", 1);
    tunnel.end_unharmed();
    at_r.close();
    at_a.close();
}
