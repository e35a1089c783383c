// SPDX-License-Identifier: AGPL-3.0-or-later
//! What signatures of frames cover: the header, and the payload by its hash, so that a large frame is hashed once for its
//! signature and its name (source: wire page, carrier frame; `router-core/decisions/what-a-frame-signature-covers.md`).

use ratman_types::{Digest, blake2b};

use super::{Frame, FrameId, Header};

const FRAME_DOMAIN: &[u8] = b"irdest frame 2";
const HOP_FRAME_DOMAIN: &[u8] = b"irdest hop frame 2";
/// The longer domain, the link, a header with every option but the signature, and a hash.
const LONGEST: usize = 18 + 32 + 172 + 32;

/// What the sender of a routed frame signs: `"irdest frame 2"` ‖ header with `hops_left` 0 and no signature ‖ H(payload).
///
/// Between 88 and 218 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBytes {
    bytes: Vec<u8>,
    payload: Digest,
}

impl SignedBytes {
    /// The message of the signature.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The hash of the payload; of a block in one frame, or of packed blocks, also the name in the sequence id.
    pub const fn payload(&self) -> Digest {
        self.payload
    }

    /// The frame's name; only worth remembering once the signature held.
    pub fn id(&self) -> FrameId {
        FrameId(blake2b(&[&self.bytes]))
    }
}

impl Header {
    /// What is signed of a frame with this header and a payload of `payload_len` bytes whose hash is `payload`.
    ///
    /// For senders, who often know the hash: the name of a block is one. Who receives computes it
    /// ([`Frame::signed_bytes`]).
    ///
    /// # Panics
    /// If `payload_len` is above [`MAX_PAYLOAD`](super::MAX_PAYLOAD): senders slice before they frame.
    pub fn signed_bytes(&self, payload_len: usize, payload: Digest) -> SignedBytes {
        let header = Self { hops_left: 0, signature: None, ..*self };
        SignedBytes { bytes: header.under(&[FRAME_DOMAIN], payload_len, &payload), payload }
    }

    fn under(&self, domain: &[&[u8]], payload_len: usize, payload: &Digest) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LONGEST);
        domain.iter().for_each(|part| bytes.extend_from_slice(part));
        self.encode_into(payload_len, &mut bytes);
        bytes.extend_from_slice(payload.as_bytes());
        bytes
    }
}

impl Frame<'_> {
    /// What the sender of a routed frame signs; hashes the payload.
    pub fn signed_bytes(&self) -> SignedBytes {
        self.header.signed_bytes(self.payload.len(), blake2b(&[self.payload]))
    }

    /// What a router signs on one link: `"irdest hop frame 2"` ‖ `proofs` ‖ header without signature ‖ H(payload).
    ///
    /// `proofs` is the hash of both peering proofs ([`peering`](crate::peering)), so that the frame is of no use on any
    /// other link. One-hop frames are not forwarded, so `hops_left` is signed as it stands.
    pub fn hop_signed_bytes(&self, proofs: &Digest) -> Vec<u8> {
        let header = Header { signature: None, ..self.header };
        let domain = [HOP_FRAME_DOMAIN, proofs.as_bytes()];
        header.under(&domain, self.payload.len(), &blake2b(&[self.payload]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mode;
    use crate::carrier::MAX_PAYLOAD;
    use crate::carrier::tests::{full, header};
    use proptest::prelude::*;

    // Python: hashlib.blake2b(b"pay", digest_size=32)
    const HASH_OF_PAY: [u8; 32] = [
        0xf8, 0x8c, 0xa1, 0x04, 0x8b, 0x15, 0x26, 0x95, 0x9c, 0xb2, 0xe2, 0x14, 0x22, 0xca, 0xf5, 0xf8, 0x1c,
        0x3a, 0x9d, 0x60, 0x6d, 0xa0, 0xb6, 0xf7, 0xf6, 0xed, 0x7f, 0x1a, 0x82, 0x30, 0x44, 0xdd,
    ];

    fn frame(header: Header, payload: &[u8]) -> Frame<'_> {
        Frame { header, payload }
    }

    #[test]
    fn golden_bytes_of_a_routed_frame() {
        let mut golden = b"irdest frame 2\x02\x00\x01\x02".to_vec();
        golden.extend([0x11; 32]);
        golden.push(2);
        golden.extend([0x22; 32]);
        golden.push(1);
        golden.extend([0x33; 32]);
        golden.extend([1, 2, 1]);
        golden.extend([0x44; 64]);
        golden.extend([0, 0, 3]);
        golden.extend(HASH_OF_PAY);
        let signed = frame(full(), b"pay").signed_bytes();
        assert_eq!(signed.as_bytes(), golden);
        assert_eq!(signed.payload().as_bytes(), &HASH_OF_PAY);
        // Python: hashlib.blake2b(golden, digest_size=32)
        let id = [
            0xe4, 0x9f, 0xc3, 0x2a, 0x6b, 0xf4, 0x5b, 0x94, 0xc0, 0x6d, 0xec, 0xb0, 0x11, 0xd1, 0x35, 0xc5,
            0x21, 0x7b, 0x3b, 0xa5, 0x04, 0xfc, 0x07, 0xb9, 0x30, 0xdc, 0x84, 0x73, 0xea, 0x77, 0x2d, 0xa8,
        ];
        assert_eq!(signed.id(), FrameId::from_bytes(id));
    }

    #[test]
    fn golden_bytes_of_a_one_hop_frame() {
        let header = Header { signature: full().signature, ..Header::new(Mode::CUSTODY, [9; 32]) };
        let mut golden = b"irdest hop frame 2".to_vec();
        golden.extend([0x66; 32]);
        golden.extend([2, 64, 0, 74]);
        golden.extend([9; 32]);
        golden.extend([0, 0, 0, 0, 0, 3]);
        golden.extend(HASH_OF_PAY);
        assert_eq!(frame(header, b"pay").hop_signed_bytes(&Digest::from_bytes([0x66; 32])), golden);
    }

    #[test]
    fn what_is_signed_is_short_however_long_the_payload() {
        let payload = vec![7; MAX_PAYLOAD];
        assert_eq!(frame(full(), &payload).signed_bytes().as_bytes().len(), 218);
        assert_eq!(frame(Header::new(Mode(8), [0; 32]), &payload).signed_bytes().as_bytes().len(), 88);
        let hop = frame(full(), &payload).hop_signed_bytes(&Digest::from_bytes([0x66; 32]));
        assert_eq!((hop.len(), hop.capacity()), (LONGEST, LONGEST), "one allocation");
    }

    proptest! {
        /// Neither the way nor the signature is in it; the rest, the payload and its length included, is.
        #[test]
        fn all_but_the_way_is_covered(
            header in header(),
            other in header(),
            payload in prop::collection::vec(any::<u8>(), 0..80),
            flipped: prop::sample::Index,
        ) {
            let signed = frame(header, &payload).signed_bytes();
            let way = Header { hops_left: other.hops_left, signature: other.signature, ..header };
            prop_assert_eq!(&frame(way, &payload).signed_bytes(), &signed);
            let known = header.signed_bytes(payload.len(), signed.payload());
            prop_assert_eq!(known.id(), signed.id());

            let mut changed = payload.clone();
            match changed.is_empty() {
                true => changed.push(0),
                false => changed[flipped.index(payload.len())] ^= 1,
            }
            prop_assert_ne!(frame(header, &changed).signed_bytes().id(), signed.id());
            for changed in [
                Header { mode: other.mode, ..header },
                Header { sender: other.sender, ..header },
                Header { recipient: other.recipient, ..header },
                Header { seq_id: other.seq_id, ..header },
                Header { auxiliary: other.auxiliary, ..header },
            ] {
                prop_assert_eq!(frame(changed, &payload).signed_bytes() == signed, changed == header);
            }
        }
    }
}
