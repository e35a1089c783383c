// SPDX-License-Identifier: AGPL-3.0-or-later
//! What makes the blocks of one stream unlike those of every other, whatever the contents (source: wire page, streams).

use ratman_types::{Recipient, Signer, blake2b_keyed};
use ratman_wire::stream::StreamId;
use zeroize::Zeroizing;

const DOMAIN: &[u8] = b"irdest convergence 2";

/// The convergence secret of a stream: `H(key = X25519(sender, recipient), "irdest convergence 2" ‖ stream id)`.
///
/// It is kept with the stream's name for as long as the stream may have to be sent on; payloads marked static take zeros
/// instead. Nothing if the recipient is no usable key.
pub fn convergence_secret(
    sender: &dyn Signer,
    recipient: &Recipient,
    stream: &StreamId,
) -> Option<Zeroizing<[u8; 32]>> {
    let shared = sender.shared_secret(recipient.as_bytes())?;
    Some(Zeroizing::new(*blake2b_keyed(&shared, &[DOMAIN, stream.as_bytes()]).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratman_types::{Address, Namespace, SecretKey};

    #[test]
    fn only_the_two_ends_know_it_and_every_stream_has_another() {
        let [alice, bob, carol] = [1, 2, 3].map(|seed| SecretKey::from_seed([seed; 32]));
        let stream = StreamId::from_bytes([7; 32]);
        let secret = |from: &SecretKey, to: &SecretKey, stream| {
            convergence_secret(from, &Recipient::Address(to.address()), &stream).unwrap()
        };
        let first = secret(&alice, &bob, stream);
        assert_eq!(secret(&bob, &alice, stream), first);
        assert_ne!(secret(&alice, &carol, stream), first);
        assert_ne!(secret(&alice, &bob, StreamId::from_bytes([8; 32])), first);
        let namespace = Recipient::Namespace(Namespace::from_bytes(bob.public()));
        assert_eq!(convergence_secret(&alice, &namespace, &stream).unwrap(), first, "one key, one secret");
    }

    #[test]
    fn a_key_of_small_order_has_none() {
        let nobody = Recipient::Address(Address::from_bytes([0; 32]));
        let stream = StreamId::from_bytes([7; 32]);
        assert_eq!(convergence_secret(&SecretKey::from_seed([1; 32]), &nobody, &stream), None);
    }
}
