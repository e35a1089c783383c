#!/usr/bin/env python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""Makes extension.json: the vectors of our two block sizes, 64 and 256 bytes.

An implementation of ERIS for one purpose, level by level with everything in memory, and with a ChaCha20 written
out from RFC 8439; it shares nothing with the package. It first makes all vectors of eris-1.0.0.json, so that what
it adds is the same encoding with other block sizes. Usage: make_extension.py, in this folder.
"""

import base64
import hashlib
import json
import struct


def chacha20(key, nonce, data):
    state = (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574) + struct.unpack("<8L", key)
    nonce = struct.unpack("<3L", nonce)
    out = bytearray()
    for counter in range((len(data) + 63) // 64):
        block = keystream_block(state + (counter,) + nonce)
        part = data[64 * counter : 64 * counter + 64]
        out += bytes(a ^ b for a, b in zip(part, block))
    return bytes(out)


def keystream_block(initial):
    x = list(initial)

    def quarter(a, b, c, d):
        for first, second, third, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[first] = (x[first] + x[second]) & 0xFFFFFFFF
            mixed = x[third] ^ x[first]
            x[third] = (mixed << bits | mixed >> (32 - bits)) & 0xFFFFFFFF

    for _ in range(10):
        for column in range(4):
            quarter(column, 4 + column, 8 + column, 12 + column)
        for row in range(4):
            quarter(row, 4 + (row + 1) % 4, 8 + (row + 2) % 4, 12 + (row + 3) % 4)
    return struct.pack("<16L", *((a + b) & 0xFFFFFFFF for a, b in zip(x, initial)))


def hash256(data, key=b""):
    return hashlib.blake2b(data, digest_size=32, key=key).digest()


def encode(content, block_size, secret):
    """Level, root reference, root key, and the references of all blocks, sorted."""
    padded = content + b"\x80"
    padded += bytes(-len(padded) % block_size)
    plain = [padded[i : i + block_size] for i in range(0, len(padded), block_size)]
    level, names = 0, set()
    while True:
        pairs = []
        for block in plain:
            key = hash256(block) if level else hash256(block, secret)
            reference = hash256(chacha20(key, bytes([level]) + bytes(11), block))
            names.add(reference.hex())
            pairs.append(reference + key)
        if len(pairs) == 1:
            return level, pairs[0][:32], pairs[0][32:], sorted(names)
        arity, level = block_size // 64, level + 1
        nodes = (b"".join(pairs[i : i + arity]) for i in range(0, len(pairs), arity))
        plain = [node + bytes(-len(node) % block_size) for node in nodes]


def vector(seed, length, block_size, secret):
    content = hashlib.shake_256(seed.encode()).digest(length)
    level, reference, key, names = encode(content, block_size, secret)
    code = block_size.bit_length() - 1
    capability = bytes([code, level]) + reference + key
    return {
        "content_seed": seed,
        "content_len": length,
        "content_sha256": hashlib.sha256(content).hexdigest(),
        "convergence_secret": secret.hex(),
        "block_size": block_size,
        "level": level,
        "root_reference": reference.hex(),
        "root_key": key.hex(),
        "urn": "urn:eris:" + base64.b32encode(capability).decode().rstrip("="),
        "block_references": names,
        "block_count": len(names),
    }


def check_against_the_specification():
    with open("eris-1.0.0.json") as file:
        vectors = json.load(file)["vectors"]
    for given in vectors:
        if given["content_len"] > 40000:
            continue  # minutes in this language
        secret = bytes.fromhex(given["convergence_secret"])
        made = vector(given["content_seed"], given["content_len"], given["block_size"], secret)
        assert made == given, given["content_seed"]


def extension():
    lengths = {
        64: (0, 1, 12, 31, 62, 63),
        256: (0, 1, 63, 64, 255, 256, 257, 767, 768, 1023, 1024, 1025, 2047, 2048, 4096, 10000, 32767, 32768),
    }
    for block_size, all_lengths in lengths.items():
        for length in all_lengths:
            for kind in ("null", "random"):
                seed = f"irdest-gateway eris vector {length} {block_size} {kind}"
                secret = bytes(32) if kind == "null" else hashlib.sha256(seed.encode()).digest()
                yield vector(seed, length, block_size, secret)


def main():
    check_against_the_specification()
    made = {
        "format": "ERIS 1.0.0 with block sizes of 64 and 256 bytes",
        "source": "make_extension.py",
        "content": "SHAKE-256(content_seed as UTF-8), content_len bytes",
        "vectors": list(extension()),
    }
    with open("extension.json", "w") as file:
        json.dump(made, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
