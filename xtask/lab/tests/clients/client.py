# SPDX-License-Identifier: AGPL-3.0-or-later
"""A program of a router's host: it makes addresses, and sends and receives streams with them, as deployed programs do.

What it is told to do is on its command line; what comes of it, it prints as one line of JSON each.
"""

import argparse
import json
import pathlib
import secrets
import socket

import protocol
from protocol import Objection, body_of

ROUTER = ("127.0.0.1", 5852)
PIECE = 64 * 1024


class Connection:
    """To a router, or to the socket of a subscription."""

    def __init__(self, place):
        self.socket = socket.create_connection(place)

    def exactly(self, length):
        """So many bytes."""
        come = bytearray()
        while len(come) < length:
            piece = self.socket.recv(min(PIECE, length - len(come)))
            if not piece:
                raise EOFError(f"the router closed after {len(come)} of {length} bytes")
            come += piece
        return bytes(come)

    def hear(self):
        """The next microframe: mode, token, payload."""
        length = int.from_bytes(self.exactly(4), "big")
        if length > 38:
            raise ValueError(f"a header of {length} bytes")
        mode, token, size = protocol.header_of(length, self.exactly(length))
        return mode, token, self.exactly(size)

    def stream(self, mode, token, file):
        """The next stream, with its content in the file."""
        come, echo, payload = self.hear()
        if come != mode:
            raise ValueError(f"expected mode {mode:#06x}, got {come:#06x}, {payload[:16].hex()}")
        if echo != token:
            raise ValueError("a stream comes without its token")
        sender, to, size = protocol.letterhead_of(payload)
        with open(file, "wb") as content:
            for start in range(0, size, PIECE):
                content.write(self.exactly(min(PIECE, size - start)))
        return {"from": sender, "to": to, "size": size, "file": str(pathlib.Path(file).resolve())}


class Router(Connection):
    """A session with the router of this host."""

    def __init__(self):
        super().__init__(ROUTER)
        self.ok(protocol.CONNECT, protocol.HANDSHAKE)

    def reply(self, token=None):
        """The payload of the next reply, whose token is the one of the request."""
        mode, echo, payload = self.hear()
        if mode != 0:
            raise ValueError(f"expected a reply, got mode {mode:#06x}")
        if payload[:1] != bytes([protocol.ERROR]) and echo != token:
            raise ValueError("a reply comes with another token")
        return payload

    def ask(self, mode, payload=b"", token=None):
        """The payload of the reply."""
        self.socket.sendall(protocol.frame(mode, payload, token))
        return self.reply(token)

    def ok(self, mode, payload=b"", token=None):
        """Asks for what is answered with Ok."""
        body_of(self.ask(mode, payload, token), protocol.OK)

    def create(self):
        """A new address and its token."""
        self.socket.sendall(protocol.frame(protocol.ADDR_CREATE, b"\0"))
        mode, token, address = self.hear()
        if mode != 0 or token is None or len(address) != 32:
            raise ValueError(f"no address: {address.hex()}")
        return address, token

    def send(self, mode, payload, token, file):
        """Sends the content of a file."""
        place = protocol.place_of(body_of(self.ask(mode, payload, token), protocol.SOCKET))
        with socket.create_connection(place) as content, open(file, "rb") as source:
            content.sendfile(source)
        body_of(self.reply(token), protocol.OK)

    def subscription(self, mode, payload, token):
        """The name of a subscription, and the connection over which its streams come."""
        body = body_of(self.ask(mode, payload, token), protocol.SUBSCRIPTION)
        return body[:32], Connection(protocol.place_of(body[32:]))

    def figures(self):
        """What the router counts. Whatever else would come first is found out so."""
        body = body_of(self.ask(protocol.STATUS), protocol.FIGURES)
        if len(body) != 32:
            raise ValueError(f"not four figures: {body.hex()}")
        return [int.from_bytes(body[start : start + 8], "big") for start in range(0, 32, 8)]


class Identity:
    """An address and its token, in a file."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def keep(self, address, token):
        self.path.write_text(json.dumps({"addr": address.hex(), "auth": token.hex()}))

    @property
    def address(self):
        return bytes.fromhex(json.loads(self.path.read_text())["addr"])

    @property
    def token(self):
        return bytes.fromhex(json.loads(self.path.read_text())["auth"])


def tell(**what):
    print(json.dumps(what), flush=True)


def create(router, own, _):
    address, token = router.create()
    own.keep(address, token)
    router.ok(protocol.ADDR_UP, address, token)
    tell(address=address.hex())


def up(router, own, _):
    router.ok(protocol.ADDR_UP, own.address, own.token)


def down(router, own, _):
    router.ok(protocol.ADDR_DOWN, own.address, own.token)


def destroy(router, own, _):
    router.ok(protocol.ADDR_DESTROY, own.address + b"\1", own.token)


def send(router, own, arguments):
    heads = [protocol.letterhead(own.address, to) for to in arguments.to]
    for file in arguments.content:
        if arguments.many:
            router.send(protocol.SEND_MANY, len(heads).to_bytes(2, "big") + b"".join(heads), own.token, file)
        else:
            (head,) = heads
            router.send(protocol.SEND_ONE, head, own.token, file)


def recv(router, own, arguments):
    wanted = own.address + protocol.optional_recipient(arguments.recipient)
    if arguments.many:
        mode, wanted = protocol.RECV_MANY, wanted + protocol.optional_number(arguments.limit)
    else:
        mode = protocol.RECV_ONE
    router.ok(mode, wanted, own.token)
    tell(waiting=True)
    for number in range(arguments.limit if arguments.many else 1):
        tell(**router.stream(mode, own.token, f"{arguments.into}-{number}"))
    if not arguments.many:
        body_of(router.reply(own.token), protocol.OK)
    router.figures()


def subscribe(router, own, arguments):
    """A new subscription, or one that was made before; so many streams of it."""
    if arguments.id:
        asked = protocol.STREAM_RESUB, bytes.fromhex(arguments.id) + own.address
    else:
        asked = protocol.STREAM_SUB, own.address + protocol.optional_recipient(arguments.recipient)
    name, streams = router.subscription(*asked, own.token)
    tell(subscription=name.hex())
    for number in range(arguments.limit):
        tell(**streams.stream(protocol.SUBSCRIBED, own.token, f"{arguments.into}-{number}"))
    router.figures()
    if arguments.stay:
        # Until it is killed: there must not be one more.
        extra = streams.hear()
        raise ValueError(f"one more stream: {extra}")


def unsubscribe(router, own, arguments):
    router.ok(protocol.STREAM_UNSUB, bytes.fromhex(arguments.id) + own.address, own.token)


def look(router, own, _):
    """What the router tells everybody, and the subscriptions of the address."""
    peers = protocol.list_of(body_of(router.ask(protocol.PEER_LIST), protocol.PEERS), 103)
    for peer in peers:
        if not all(date.endswith(b"+00:00") for date in (peer[32:67], peer[67:102])) or peer[102] > 1:
            raise ValueError(f"not a peer: {peer!r}")
    listed = router.ask(protocol.STREAM_LIST, own.address, own.token)
    subscriptions = protocol.list_of(body_of(listed, protocol.SUBSCRIPTIONS), 32)
    tell(
        addresses=[address.hex() for address in protocol.list_of(router.ask(protocol.ADDR_LIST), 32)],
        peers=[peer[:32].hex() for peer in peers if peer[102]],
        subscriptions=[name.hex() for name in subscriptions],
        figures=router.figures(),
    )


def join(router, own, arguments):
    """Takes part in a namespace, of which the seed is kept in a file."""
    path = pathlib.Path(arguments.seed)
    if not path.exists():
        path.write_bytes(secrets.token_bytes(32))
    seed = path.read_bytes()
    key = protocol.public_key(seed)
    # The reply to it has no token.
    for mode, payload in ((protocol.SPACE_CREATE, key + seed), (protocol.SPACE_UP, own.address + key)):
        router.socket.sendall(protocol.frame(mode, payload, own.token))
        body_of(router.reply(), protocol.OK)
    tell(namespace=f"namespace:{key.hex()}")


def leave(router, own, arguments):
    key = bytes.fromhex(arguments.recipient.removeprefix("namespace:"))
    router.socket.sendall(protocol.frame(protocol.SPACE_DOWN, own.address + key, own.token))
    body_of(router.reply(), protocol.OK)


def wrong(router, own, _):
    """What is wrong, and what it is answered, all in one session."""
    address, token = own.address, own.token
    forged, nobody = bytes([9]) * 32, protocol.public_key(bytes(32))
    head = protocol.letterhead(address, address.hex())
    one = address + protocol.optional_recipient(None)
    asked = {
        "up with a wrong token": (protocol.ADDR_UP, address, forged),
        "up without a token": (protocol.ADDR_UP, address, None),
        "up of nobody": (protocol.ADDR_UP, nobody, token),
        "recv with a wrong token": (protocol.RECV_ONE, one, forged),
        "send with a wrong token": (protocol.SEND_ONE, head, forged),
        "send as somebody else": (protocol.SEND_ONE, protocol.letterhead(nobody, address.hex()), token),
        "sub with a wrong token": (protocol.STREAM_SUB, one, forged),
        "space with a wrong token": (protocol.SPACE_UP, address + nobody, forged),
        "send to nobody": (protocol.SEND_MANY, b"\0\0", token),
        "a subscription that is none": (protocol.STREAM_RESUB, forged + address, token),
        "a surplus byte after up": (protocol.ADDR_UP, address + b"\0", token),
        "a surplus byte after status": (protocol.STATUS, b"\0", None),
        "a surplus byte after recv": (protocol.RECV_ONE, one + b"\0", token),
        "a byte too few": (protocol.ADDR_UP, address[1:], token),
        "what nobody knows": (0x7777, b"", None),
    }
    for what, request in asked.items():
        payload = router.ask(*request)
        told = protocol.error_of(payload[1:]) if payload[:1] == bytes([protocol.ERROR]) else payload.hex()
        tell(what=what, told=told)
    router.figures()


COMMANDS = [create, up, down, destroy, send, recv, subscribe, unsubscribe, look, join, leave, wrong]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=[command.__name__ for command in COMMANDS])
    parser.add_argument("identity")
    parser.add_argument("--many", action="store_true")
    parser.add_argument("--limit", type=int, default=1)
    parser.add_argument("--to", nargs="+")
    parser.add_argument("--content", nargs="+")
    parser.add_argument("--recipient")
    parser.add_argument("--into", default="come")
    parser.add_argument("--id")
    parser.add_argument("--seed")
    parser.add_argument("--stay", action="store_true")
    arguments = parser.parse_args()
    command = {command.__name__: command for command in COMMANDS}[arguments.command]
    try:
        command(Router(), Identity(arguments.identity), arguments)
    except Objection as objection:
        tell(objection=str(objection))
        raise SystemExit(1) from None


main()
