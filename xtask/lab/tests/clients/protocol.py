# SPDX-License-Identifier: AGPL-3.0-or-later
"""The client protocol of deployed routers: its bytes, written from the wire page (client API) and nothing else."""

import hashlib
import struct

HANDSHAKE = bytes([1, 0, 1])

CONNECT = 0x0010
STATUS = 0x0034
ADDR_CREATE, ADDR_DESTROY, ADDR_UP, ADDR_DOWN, ADDR_LIST = 0x0101, 0x0102, 0x0110, 0x0111, 0x0130
PEER_LIST = 0x0430
RECV_ONE, RECV_MANY = 0x0532, 0x0533
SEND_ONE, SEND_MANY = 0x0632, 0x0633
STREAM_SUB, STREAM_RESUB, STREAM_UNSUB, STREAM_LIST = 0x0703, 0x0704, 0x0705, 0x0730
SUBSCRIBED = 0x0332
SPACE_CREATE, SPACE_UP, SPACE_DOWN = 0x0801, 0x0810, 0x0811

OK, SUBSCRIPTIONS, ERROR, TIMEOUT, INCOMPATIBLE, SUBSCRIPTION, PEERS, SOCKET, FIGURES = 1, 2, 3, 4, 5, 6, 8, 9, 10

LETTERHEAD = 76
ERRORS = [
    "IncompatibleVersion",
    "InvalidAuth",
    "ConnectionLost",
    "NotSupported",
    "NoAddress",
    "DuplicateAddress",
    "Internal",
    "NoSuchSubscription",
    "User",
]
USER_ERRORS = ["InvalidInput", "MissingInput", "RecvLimitReached"]


class Objection(Exception):
    """What the router answers instead of what was asked for: the name of the error."""


def frame(mode, payload=b"", token=None):
    """A microframe."""
    header = struct.pack(">H", mode) + (token or b"\0") + struct.pack(">I", len(payload))
    return struct.pack(">I", len(header)) + header + payload


def header_of(length, header):
    """Mode, token and the length of the payload."""
    if length not in (7, 38) or len(header) != length:
        raise ValueError(f"a header of {length} bytes")
    token = header[2:34] if length == 38 else None
    return struct.unpack_from(">H", header)[0], token, struct.unpack_from(">I", header, length - 4)[0]


def recipient(text):
    """An address in hexadecimal digits, or `namespace:` and one."""
    kind, key = (2, text[len("namespace:") :]) if text.startswith("namespace:") else (1, text)
    key = bytes.fromhex(key)
    if len(key) != 32:
        raise ValueError(f"{text} is no recipient")
    return bytes([kind]) + key


def optional_recipient(text):
    return recipient(text) if text else b"\0"


def optional_number(number):
    return b"\0" if number is None else b"\1" + struct.pack(">I", number)


def letterhead(sender, to):
    """Of a stream whose length the router counts."""
    return b"\1" + sender + recipient(to) + struct.pack(">QH", 0, 0)


def letterhead_of(payload):
    """Sender, recipient and size."""
    if len(payload) != LETTERHEAD or payload[0] != 1 or payload[33] not in (1, 2) or payload[74:] != b"\0\0":
        raise ValueError(f"not a letterhead: {payload.hex()}")
    to = ("namespace:" if payload[33] == 2 else "") + payload[34:66].hex()
    return payload[1:33].hex(), to, struct.unpack_from(">Q", payload, 66)[0]


def body_of(payload, tag):
    """What stands behind the tag of the reply that is expected."""
    if payload[:1] == bytes([ERROR]):
        raise Objection(error_of(payload[1:]))
    if payload[:1] != bytes([tag]):
        raise ValueError(f"expected tag {tag}, got {payload[:16].hex()}")
    if tag == OK and len(payload) != 1:
        raise ValueError(f"surplus bytes: {payload.hex()}")
    return payload[1:]


def text_of(body):
    """A text with its end."""
    if body[-1:] != b"\0" or b"\0" in body[:-1]:
        raise ValueError(f"not a text: {body!r}")
    return body[:-1].decode()


def place_of(body):
    """Where a socket of the router listens."""
    host, port = text_of(body).rsplit(":", 1)
    return host, int(port)


def list_of(body, size):
    """So many entries of a size, and nothing else."""
    (number,) = struct.unpack_from(">H", body)
    entries = [body[start : start + size] for start in range(2, len(body), size)]
    if len(entries) != number or any(len(entry) != size for entry in entries):
        raise ValueError(f"{number} entries in {len(body)} bytes")
    return entries


def error_of(body):
    """The name of an error; every byte of it is read."""
    (length,) = struct.unpack_from(">I", body)
    code = body[4:]
    if length != len(code):
        raise ValueError(f"{length} bytes of an error, {len(code)} came")
    variant, rest = struct.unpack_from("<I", code)[0], code[4:]
    name = ERRORS[variant]
    if name == "IncompatibleVersion":
        rest = after_string(after_string(rest))
    elif name == "Internal":
        rest = after_string(rest)
    elif name == "NoSuchSubscription":
        if struct.unpack_from("<Q", rest)[0] != 32:
            raise ValueError(f"not an identifier: {rest.hex()}")
        rest = rest[8 + 32 :]
    elif name == "User":
        kind, rest = struct.unpack_from("<I", rest)[0], rest[4:]
        name = USER_ERRORS[kind]
        if kind < 2:
            rest = after_string(rest)
        if kind == 0:
            rest = after_string(rest[1:]) if rest[0] == 1 else rest[1:]
    if rest:
        raise ValueError(f"surplus bytes of an error: {rest.hex()}")
    return name


def after_string(code):
    """What stands behind a string of bincode."""
    (length,) = struct.unpack_from("<Q", code)
    code[8 : 8 + length].decode()
    if len(code) < 8 + length:
        raise ValueError("a string is cut off")
    return code[8 + length :]


# Keys of namespaces are of ed25519 (RFC 8032): -x² + y² = 1 + d·x²·y² modulo P.
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
BASE = (
    15112221349535400772501151409588531511454012693041857206046113283949847762202,
    4 * pow(5, -1, P) % P,
)


def add(one, other):
    """The sum of two points."""
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P
    return x, (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P


def public_key(seed):
    """The public key of a seed."""
    scalar = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little")
    scalar = scalar & ~7 & (2**254 - 1) | 2**254
    point, power = (0, 1), BASE
    while scalar:
        if scalar & 1:
            point = add(point, power)
        power, scalar = add(power, power), scalar >> 1
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")
