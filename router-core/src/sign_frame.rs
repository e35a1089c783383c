// SPDX-License-Identifier: AGPL-3.0-or-later
//! How an application signs what it sends: every router on the way verifies it (source: wire page, carrier
//! frame).

use ratman_types::{Digest, Signer, blake2b};
use ratman_wire::{Frame, Header, SignedBytes};

/// Signs and encodes a routed frame of an application.
///
/// The header's sender becomes the key's; what it holds as signature is replaced.
///
/// # Panics
/// If the payload is above [`MAX_PAYLOAD`](ratman_wire::MAX_PAYLOAD): senders slice before they frame.
pub fn sign_frame(key: &dyn Signer, header: Header, payload: &[u8]) -> Vec<u8> {
    sign_hashed_frame(key, header, payload, blake2b(&[payload])).0
}

/// [`sign_frame`] for who knows the payload's hash, as the reference of a block is one, and for who wants to know the frame
/// again: what was signed gives its name.
///
/// With a wrong hash the signature is a bad one.
///
/// # Panics
/// If the payload is above [`MAX_PAYLOAD`](ratman_wire::MAX_PAYLOAD): senders slice before they frame.
pub fn sign_hashed_frame(
    key: &dyn Signer,
    header: Header,
    payload: &[u8],
    hash: Digest,
) -> (Vec<u8>, SignedBytes) {
    let header = Header { sender: key.public(), ..header };
    let signed = header.signed_bytes(payload.len(), hash);
    let signature = Some(key.sign(signed.as_bytes()));
    (Frame { header: Header { signature, ..header }, payload }.encode(), signed)
}

#[cfg(test)]
mod tests {
    use ratman_types::{Ed25519Verifier, SecretKey, Signature, Verifier};
    use ratman_wire::Mode;

    use super::*;

    #[test]
    fn who_knows_the_hash_signs_the_same_frame() {
        let key = SecretKey::from_seed([7; 32]);
        let header = Header { signature: Some(Signature([1; 64])), ..Header::new(Mode::DATA, [0; 32]) };
        let (bytes, signed) = sign_hashed_frame(&key, header, b"block", blake2b(&[b"block"]));
        assert_eq!(bytes, sign_frame(&key, header, b"block"));
        let frame = Frame::decode(&bytes).unwrap();
        assert_eq!(frame.signed_bytes(), signed);
        assert_eq!(frame.header.sender, key.public());
        let signature = frame.header.signature.unwrap();
        assert!(Ed25519Verifier.verify(&key.public(), signed.as_bytes(), &signature));
    }

    #[test]
    fn a_wrong_hash_makes_a_bad_signature() {
        let key = SecretKey::from_seed([7; 32]);
        let header = Header::new(Mode::DATA, [0; 32]);
        let (bytes, _) = sign_hashed_frame(&key, header, b"block", blake2b(&[b"other"]));
        let frame = Frame::decode(&bytes).unwrap();
        let signature = frame.header.signature.unwrap();
        assert!(!Ed25519Verifier.verify(&key.public(), frame.signed_bytes().as_bytes(), &signature));
    }
}
