// SPDX-License-Identifier: AGPL-3.0-or-later
//! Sealed manifests and convergence secrets against `vectors/sealed_manifests.json`, which a script beside it made
//! without any code of ours.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use ratman_types::{Digest, Namespace, Recipient, SecretKey, Signer};
use ratman_wire::stream::{Manifest, StreamId};
use router_core::stream::{EphemeralKey, SealedManifest, convergence_secret};
use serde::Deserialize;
use zeroize::Zeroizing;

#[derive(Deserialize)]
struct Case {
    name: String,
    sender_seed: String,
    recipient_seed: String,
    recipient_kind: String,
    ephemeral: String,
    stream: String,
    plaintext: String,
    sealed: String,
    hash: String,
    convergence_secret: String,
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
    hex.as_bytes().chunks(2).map(byte).collect()
}

fn array(hex: &str) -> [u8; 32] {
    bytes(hex).try_into().unwrap()
}

impl Case {
    fn recipient(&self, key: &SecretKey) -> Recipient {
        match self.recipient_kind.as_str() {
            "address" => Recipient::Address(key.address()),
            "namespace" => Recipient::Namespace(Namespace::from_bytes(key.public())),
            other => panic!("{}: a recipient of kind {other}", self.name),
        }
    }

    fn check(&self) {
        let sender = SecretKey::from_seed(array(&self.sender_seed));
        let recipient_key = SecretKey::from_seed(array(&self.recipient_seed));
        let recipient = self.recipient(&recipient_key);
        let manifest = Manifest::decode(&bytes(&self.plaintext)).unwrap();
        assert_eq!(manifest.encode()[..], bytes(&self.plaintext), "{}", self.name);

        let ephemeral = EphemeralKey::new(Zeroizing::new(array(&self.ephemeral)));
        let sealed = SealedManifest::seal(&manifest, &sender, ephemeral).unwrap();
        assert_eq!(sealed.as_bytes(), bytes(&self.sealed), "{}", self.name);
        assert_eq!(sealed.hash(), Digest::from_bytes(array(&self.hash)), "{}", self.name);

        let opened = sealed.open(&sender.address(), &recipient, &recipient_key);
        assert_eq!(opened, Ok(manifest), "{}", self.name);

        let stream = StreamId::from_bytes(array(&self.stream));
        let secret = convergence_secret(&sender, &recipient, &stream).unwrap();
        assert_eq!(*secret, array(&self.convergence_secret), "{}", self.name);
    }
}

#[test]
fn every_vector_holds() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("vectors/sealed_manifests.json")).unwrap();
    assert_eq!(cases.len(), 3);
    cases.iter().for_each(Case::check);
}
