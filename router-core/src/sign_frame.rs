// SPDX-License-Identifier: AGPL-3.0-or-later
//! How an application signs what it sends: every router on the way verifies it (source: wire page, carrier
//! frame).

use ratman_types::Signer;
use ratman_wire::{Frame, Header};

/// Signs and encodes a routed frame of an application.
///
/// The header's sender becomes the key's; what it holds as signature is replaced.
///
/// # Panics
/// If the payload is above [`MAX_PAYLOAD`](ratman_wire::MAX_PAYLOAD): senders slice before they frame.
pub fn sign_frame(key: &dyn Signer, header: Header, payload: &[u8]) -> Vec<u8> {
    let header = Header { sender: key.public(), signature: None, ..header };
    let signature = key.sign(Frame { header, payload }.signed_bytes().as_bytes());
    Frame { header: Header { signature: Some(signature), ..header }, payload }.encode()
}
