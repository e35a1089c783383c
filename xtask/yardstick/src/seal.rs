// SPDX-License-Identifier: AGPL-3.0-or-later
//! A packet as a datagram: `counter (8) | ciphertext | tag (16)`, AES-256-GCM with the counter as nonce.

use std::net::SocketAddr;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Bytes of the counter in front of each datagram, big-endian.
pub(crate) const COUNTER: usize = 8;
/// Bytes of the tag behind it.
pub(crate) const TAG: usize = 16;
/// Bytes that a datagram has more than its packet.
pub(crate) const OVERHEAD: usize = COUNTER + TAG;

/// The key of a run.
#[derive(Clone)]
pub(crate) struct Key([u8; Self::LEN]);

/// Which of the two ends seals: under one key their nonces must differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the lower socket address to the higher one.
    Up,
    /// From the higher to the lower.
    Down,
}

/// Seals packets, each with a counter of its own.
pub(crate) struct Sealer {
    key: LessSafeKey,
    way: Way,
    counter: u64,
}

/// Opens what the [`Sealer`] of the other end has sealed.
pub(crate) struct Opener {
    key: LessSafeKey,
    way: Way,
}

impl Way {
    pub(crate) fn between(local: SocketAddr, peer: SocketAddr) -> Self {
        if local < peer { Self::Up } else { Self::Down }
    }

    pub(crate) fn back(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }

    fn nonce(self, counter: [u8; COUNTER]) -> Nonce {
        let mut nonce = [0; 12];
        nonce[0] = match self {
            Self::Up => 0,
            Self::Down => 1,
        };
        nonce[4..].copy_from_slice(&counter);
        Nonce::assume_unique_for_key(nonce)
    }
}

impl Key {
    pub(crate) const LEN: usize = 32;

    /// From exactly [`LEN`](Self::LEN) bytes.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) fn sealer(&self, way: Way) -> Sealer {
        Sealer { key: self.schedule(), way, counter: 0 }
    }

    pub(crate) fn opener(&self, way: Way) -> Opener {
        Opener { key: self.schedule(), way }
    }

    fn schedule(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0).expect("the length is that of the cipher"))
    }
}

impl Sealer {
    /// Seals a packet, given in two parts, into a datagram that is exactly [`OVERHEAD`] bytes longer.
    pub(crate) fn seal(&mut self, first: &[u8], second: &[u8], datagram: &mut [u8]) {
        let (head, rest) = datagram.split_at_mut(COUNTER);
        let (body, tag) = rest.split_at_mut(first.len() + second.len());
        body[..first.len()].copy_from_slice(first);
        body[first.len()..].copy_from_slice(second);
        let (counter, sealed) = self.seal_in_place(body);
        head.copy_from_slice(&counter);
        tag.copy_from_slice(&sealed);
    }

    /// Seals a packet where it lies, and returns what belongs in front of it and behind it.
    pub(crate) fn seal_in_place(&mut self, packet: &mut [u8]) -> ([u8; COUNTER], [u8; TAG]) {
        let counter = self.counter.to_be_bytes();
        self.counter += 1;
        let sealed = self.key.seal_in_place_separate_tag(self.way.nonce(counter), Aad::empty(), packet);
        let tag = sealed.expect("a packet is far below the cipher's limit");
        (counter, tag.as_ref().try_into().expect("the cipher's tags are that long"))
    }
}

impl Opener {
    /// The packet in a datagram, or nothing where it is not what the other end has sealed.
    pub(crate) fn open<'a>(&self, datagram: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (counter, sealed) = datagram.split_first_chunk_mut::<COUNTER>()?;
        self.key.open_in_place(self.way.nonce(*counter), Aad::empty(), sealed).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(sealer: &mut Sealer, packet: &[u8]) -> Vec<u8> {
        let mut datagram = vec![0; packet.len() + OVERHEAD];
        let (first, second) = packet.split_at(packet.len() / 2);
        sealer.seal(first, second, &mut datagram);
        datagram
    }

    #[test]
    fn opens_what_was_sealed() {
        let key = Key::new(&[7; 32]).unwrap();
        let (mut sealer, opener) = (key.sealer(Way::Up), key.opener(Way::Up));
        for packet in [&b"a packet"[..], b""] {
            assert_eq!(opener.open(&mut sealed(&mut sealer, packet)).unwrap(), packet);
        }
    }

    #[test]
    fn equal_packets_look_different() {
        let mut sealer = Key::new(&[7; 32]).unwrap().sealer(Way::Up);
        assert_ne!(sealed(&mut sealer, b"same")[COUNTER..], sealed(&mut sealer, b"same")[COUNTER..]);
    }

    #[test]
    fn a_foreign_key_a_changed_byte_and_an_echo_open_nothing() {
        let key = Key::new(&[7; 32]).unwrap();
        let datagram = sealed(&mut key.sealer(Way::Up), b"a packet");
        assert!(Key::new(&[8; 32]).unwrap().opener(Way::Up).open(&mut datagram.clone()).is_none());
        assert!(key.opener(Way::Down).open(&mut datagram.clone()).is_none(), "our own, sent back");
        for at in 0..datagram.len() {
            let mut changed = datagram.clone();
            changed[at] ^= 1;
            assert!(key.opener(Way::Up).open(&mut changed).is_none(), "byte {at}");
        }
        for len in 0..OVERHEAD {
            assert!(key.opener(Way::Up).open(&mut datagram.clone()[..len]).is_none(), "{len} bytes");
        }
    }

    #[test]
    fn keys_have_one_length_and_ways_two_ends() {
        assert!(Key::new(&[0; 31]).is_none() && Key::new(&[0; 33]).is_none());
        let (low, high) = ("192.0.2.1:7000".parse().unwrap(), "192.0.2.2:7000".parse().unwrap());
        assert_eq!(Way::between(low, high), Way::between(high, low).back());
    }
}
