#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""Makes sealed_manifests.json from the wire page and the Noise specification, sharing no code with the router.

Needs the package `cryptography`. `sealed_manifests.py > sealed_manifests.json`
"""

import hashlib
import hmac
import json
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

P = 2**255 - 19
TAGS = {"address": 1, "namespace": 2}


def edwards_public(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def montgomery_public(edwards):
    y = int.from_bytes(edwards, "little") & (2**255 - 1)
    return ((1 + y) * pow(1 - y, -1, P) % P).to_bytes(32, "little")


def montgomery_secret(seed):
    return X25519PrivateKey.from_private_bytes(hashlib.sha512(seed).digest()[:32])


def dh(secret, public):
    return secret.exchange(X25519PublicKey.from_public_bytes(public))


def noise_k(sender, recipient_public, ephemeral, prologue, payload):
    """The one message of Noise_K_25519_ChaChaPoly_BLAKE2s (revision 34, sections 5 and 7.4)."""
    h = ck = b"Noise_K_25519_ChaChaPoly_BLAKE2s"
    assert len(h) == 32

    def mix_hash(data):
        nonlocal h
        h = hashlib.blake2s(h + data).digest()

    def mix_key(material):
        nonlocal ck
        blake = lambda key, data: hmac.new(key, data, hashlib.blake2s).digest()
        temporary = blake(ck, material)
        ck = blake(temporary, b"\x01")
        return blake(temporary, ck + b"\x02")

    mix_hash(prologue)
    mix_hash(sender.public_key().public_bytes_raw())
    mix_hash(recipient_public)
    e = ephemeral.public_key().public_bytes_raw()
    mix_hash(e)
    mix_key(dh(ephemeral, recipient_public))
    key = mix_key(dh(sender, recipient_public))
    return e + ChaCha20Poly1305(key).encrypt(bytes(12), payload, h)


def case(name, sender_seed, recipient_seed, kind, size, pairs, contents):
    sender, recipient = edwards_public(sender_seed), edwards_public(recipient_seed)
    to = bytes([TAGS[kind]]) + recipient
    stream = hashlib.blake2b(name.encode(), digest_size=32).digest()
    created, lifetime = 1_800_000_000_000_000, 86_400
    plaintext = b"\x02" + stream + struct.pack(">QI", created, lifetime)
    plaintext += sender + to + struct.pack(">QH", size, len(pairs))
    plaintext += b"".join(text.encode() + b"\0" for pair in pairs for text in pair)
    plaintext += contents
    ephemeral = hashlib.blake2b(b"ephemeral " + name.encode(), digest_size=32).digest()
    secret, public = montgomery_secret(sender_seed), montgomery_public(recipient)
    sealed = noise_k(
        secret,
        public,
        X25519PrivateKey.from_private_bytes(ephemeral),
        b"irdest manifest 2" + sender + to,
        plaintext,
    )
    convergence = hashlib.blake2b(b"irdest convergence 2" + stream, digest_size=32, key=dh(secret, public))
    return {
        "name": name,
        "sender_seed": sender_seed.hex(),
        "recipient_seed": recipient_seed.hex(),
        "recipient_kind": kind,
        "ephemeral": ephemeral.hex(),
        "stream": stream.hex(),
        "plaintext": plaintext.hex(),
        "sealed": sealed.hex(),
        "hash": hashlib.blake2b(sealed, digest_size=32).hexdigest(),
        "convergence_secret": convergence.hexdigest(),
    }


def main():
    alice, bob, room = bytes([1]) * 32, bytes([2]) * 32, bytes(range(32))
    capability = b"\x01" + bytes([10, 2]) + b"\x55" * 32 + b"\x66" * 32
    cases = [
        case("read capability", alice, bob, "address", 20_000, [], capability),
        case("inline", alice, bob, "address", 5, [("name", "note.txt"), ("", "")], b"\x02hello"),
        case("empty stream to a namespace", bob, room, "namespace", 0, [], b"\x02"),
    ]
    print(json.dumps(cases, indent=2))


main()
