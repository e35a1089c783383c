// SPDX-License-Identifier: AGPL-3.0-or-later
use super::*;
use proptest::prelude::*;
use ratman_types::{ByteCount, Namespace, WallTime};
use ratman_wire::stream::{
    AuxiliaryData, Contents, InlineContents, Letterhead, Lifetime, MAX_INLINE, StreamId,
};

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed([number; 32])
}

fn ephemeral(number: u8) -> EphemeralKey {
    EphemeralKey::new(Zeroizing::new([number; 32]))
}

fn to(key: &SecretKey) -> Recipient {
    Recipient::Address(key.address())
}

fn manifest(from: Address, to: Recipient, contents: &[u8]) -> Manifest {
    let letterhead = Letterhead {
        from,
        to,
        stream_size: ByteCount(contents.len().try_into().unwrap()),
        auxiliary_data: AuxiliaryData::new([(c"name", c"note.txt")]).unwrap(),
    };
    let contents = Contents::Inline(InlineContents::new(contents).unwrap());
    let created = WallTime::from_micros(1_800_000_000_000_000);
    Manifest::new(StreamId::from_bytes([9; 32]), created, Lifetime::MAX, letterhead, contents).unwrap()
}

#[test]
fn the_recipient_opens_what_the_sender_sealed() {
    let (alice, bob) = (key(1), key(2));
    let namespace = Recipient::Namespace(Namespace::from_bytes(bob.public()));
    for to in [to(&bob), namespace] {
        let manifest = manifest(alice.address(), to, b"hello");
        let sealed = SealedManifest::seal(&manifest, &alice, ephemeral(3)).unwrap();
        assert_eq!(sealed.as_bytes().len(), manifest.encode().len() + SEALING);
        assert!(!sealed.as_bytes().windows(5).any(|window| window == b"hello"), "nothing is in clear");
        assert_eq!(sealed.open(&alice.address(), &to, &bob), Ok(manifest));
    }
}

#[test]
fn nobody_else_opens_it_and_it_is_for_nobody_else() {
    let (alice, bob, carol) = (key(1), key(2), key(3));
    let manifest = manifest(alice.address(), to(&bob), b"hello");
    let sealed = SealedManifest::seal(&manifest, &alice, ephemeral(4)).unwrap();
    let open = |sender: Address, recipient, key| sealed.open(&sender, &recipient, key).map(|_| ());
    assert_eq!(open(alice.address(), to(&bob), &bob), Ok(()));
    assert_eq!(open(alice.address(), to(&bob), &carol), Err(OpenError::Seal));
    assert_eq!(open(alice.address(), to(&carol), &carol), Err(OpenError::Seal));
    assert_eq!(open(alice.address(), to(&carol), &bob), Err(OpenError::Seal), "another recipient's name");
    assert_eq!(open(carol.address(), to(&bob), &bob), Err(OpenError::Seal), "another sender's name");
    let as_namespace = Recipient::Namespace(Namespace::from_bytes(bob.public()));
    assert_eq!(open(alice.address(), as_namespace, &bob), Err(OpenError::Seal), "another kind of recipient");
    assert_eq!(open(Address::from_bytes([0; 32]), to(&bob), &bob), Err(OpenError::Sender));
}

#[test]
fn only_usable_keys_are_sealed_to_and_from() {
    let (alice, bob) = (key(1), key(2));
    let from_bob = manifest(bob.address(), to(&bob), b"");
    assert_eq!(SealedManifest::seal(&from_bob, &alice, ephemeral(3)), Err(SealError::Sender));
    let to_nobody = manifest(alice.address(), Recipient::Address(Address::from_bytes([0; 32])), b"");
    assert_eq!(SealedManifest::seal(&to_nobody, &alice, ephemeral(3)), Err(SealError::Recipient));
}

/// What a sender could seal that does not follow the rules: any plaintext, properly sealed.
fn sealed_by(from: &SecretKey, to: &SecretKey, header_to: &Recipient, plaintext: &[u8]) -> SealedManifest {
    let recipient = to_x25519(&to.public()).unwrap();
    let prologue = prologue(&from.address(), header_to);
    let bytes = noise::seal(from, &recipient, &prologue, Zeroizing::new([5; 32]), plaintext);
    SealedManifest::from_slices(blake2b(&[&bytes]), bytes).unwrap()
}

#[test]
fn the_letterhead_must_be_that_of_the_header() {
    let (alice, bob, carol) = (key(1), key(2), key(3));
    let namespace = Recipient::Namespace(Namespace::from_bytes(bob.public()));
    for (from, letterhead_to) in
        [(carol.address(), to(&bob)), (alice.address(), to(&carol)), (alice.address(), namespace)]
    {
        let plaintext = manifest(from, letterhead_to, b"hello").encode();
        let sealed = sealed_by(&alice, &bob, &to(&bob), &plaintext);
        let opened = sealed.open(&alice.address(), &to(&bob), &bob);
        assert_eq!(opened, Err(OpenError::Letterhead));
    }
    let sealed = sealed_by(&alice, &bob, &to(&bob), &[1]);
    let opened = sealed.open(&alice.address(), &to(&bob), &bob);
    assert_eq!(opened, Err(OpenError::Decode(DecodeError::Version(1))));
}

#[test]
fn slices_that_make_another_hash_or_length_are_refused() {
    let (alice, bob) = (key(1), key(2));
    let manifest = manifest(alice.address(), to(&bob), b"hello");
    let sealed = SealedManifest::seal(&manifest, &alice, ephemeral(3)).unwrap();
    let received = SealedManifest::from_slices(sealed.hash(), sealed.as_bytes().to_vec()).unwrap();
    assert_eq!(received, sealed);
    assert_eq!(SealedManifest::from_slices(sealed.hash(), sealed.as_bytes()[1..].to_vec()), None);
    for (length, taken) in [(0, false), (47, false), (48, true), (MAX_SEALED, true), (MAX_SEALED + 1, false)]
    {
        let bytes = vec![0; length];
        let sealed = SealedManifest::from_slices(blake2b(&[&bytes]), bytes);
        assert_eq!(sealed.is_some(), taken, "{length} bytes");
        let opened = sealed.map(|sealed| sealed.open(&alice.address(), &to(&bob), &bob));
        assert!(opened.is_none_or(|opened| opened == Err(OpenError::Seal)));
    }
}

#[test]
fn the_largest_manifest_is_sealed() {
    let (alice, bob) = (key(1), key(2));
    let small = manifest(alice.address(), to(&bob), &[7; MAX_INLINE]);
    let text = std::ffi::CString::new(vec![b'x'; AuxiliaryData::MAX_LEN - 2]).unwrap();
    let auxiliary_data = AuxiliaryData::new([(&*text, c"")]).unwrap();
    let letterhead = Letterhead { auxiliary_data, ..small.letterhead().clone() };
    let contents = small.contents().clone();
    let large =
        Manifest::new(small.stream(), small.created(), small.lifetime(), letterhead, contents).unwrap();
    let sealed = SealedManifest::seal(&large, &alice, ephemeral(3)).unwrap();
    assert_eq!(sealed.open(&alice.address(), &to(&bob), &bob), Ok(large));
}

#[test]
fn secrets_are_not_printed() {
    assert_eq!(format!("{:?}", ephemeral(3)), "EphemeralKey(…)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_change_anywhere_breaks_the_seal(at: prop::sample::Index, bit in 0..8_u32, random: [u8; 32]) {
        let (alice, bob) = (key(1), key(2));
        let manifest = manifest(alice.address(), to(&bob), b"hello");
        let random = EphemeralKey::new(Zeroizing::new(random));
        let sealed = SealedManifest::seal(&manifest, &alice, random).unwrap();
        let mut bytes = sealed.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let changed = SealedManifest::from_slices(blake2b(&[&bytes]), bytes).unwrap();
        // X25519 ignores the highest bit of a public key, but the transcript holds it.
        prop_assert_eq!(changed.open(&alice.address(), &to(&bob), &bob), Err(OpenError::Seal));
    }
}
