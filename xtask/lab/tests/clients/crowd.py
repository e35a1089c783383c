# SPDX-License-Identifier: AGPL-3.0-or-later
"""Many programs of a router's host at once: a crowd that behaves, and one that does not, beside a program that wants its turn.

Prints one line of JSON with what it measured; fails where something is lost, comes twice or takes too long.
"""

import asyncio
import collections
import contextlib
import json
import os
import socket
import sys
import time

import protocol
from protocol import Objection, body_of

ROUTER = ("127.0.0.1", 5852)
# Shared by 20 of 200 programs each: those who come over TCP have 16 together.
ADDRESSES = 10
# Every wait ends with the test's own limit at the latest; this one tells what waited.
PATIENCE = 30
# A turn of the program that behaves: a question, a stream of 64 KiB sent and the same received.
TURNS = 8
LONG = 4 << 20
SLOW_READERS = 16
SILENT = 60
HALF_A_FRAME = 60
FLOODS = 4
# All programs over TCP together, from the router's manual.
PLACES = 256
# Streams that are sent at once, from the router's manual.
SENDINGS = 64


class Session:
    """With the router of this host."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, path=None, **options):
        if path:
            session = cls(*await asyncio.open_unix_connection(path))
        else:
            session = cls(*await asyncio.open_connection(*ROUTER, **options))
        await session.ok(protocol.CONNECT, protocol.HANDSHAKE)
        return session

    async def hear(self):
        length = int.from_bytes(await self.reader.readexactly(4), "big")
        mode, token, size = protocol.header_of(length, await self.reader.readexactly(length))
        return mode, token, await self.reader.readexactly(size)

    async def reply(self, tag):
        mode, _, payload = await self.hear()
        if mode != 0:
            raise ValueError(f"expected a reply, got mode {mode:#06x}")
        return body_of(payload, tag)

    async def ask(self, tag, mode, payload=b"", token=None):
        self.writer.write(protocol.frame(mode, payload, token))
        return await self.reply(tag)

    async def ok(self, *request):
        await self.ask(protocol.OK, *request)

    async def address(self):
        """One that is up, and its token."""
        self.writer.write(protocol.frame(protocol.ADDR_CREATE, b"\0"))
        _, token, address = await self.hear()
        await self.ok(protocol.ADDR_UP, address, token)
        return address, token

    async def socket_for(self, sender, to):
        """Where the content of a stream goes."""
        head = protocol.letterhead(sender[0], to[0].hex())
        return protocol.place_of(await self.ask(protocol.SOCKET, protocol.SEND_ONE, head, sender[1]))

    async def send(self, sender, to, content):
        _, writer = await asyncio.open_connection(*await self.socket_for(sender, to))
        writer.write(content)
        await writer.drain()
        writer.close()
        await self.reply(protocol.OK)

    async def receive(self, own):
        """The content of the next stream."""
        await self.ok(protocol.RECV_ONE, own[0] + b"\0", own[1])
        mode, _, payload = await self.hear()
        if mode != protocol.RECV_ONE:
            raise ValueError(f"expected a stream, got mode {mode:#06x}")
        content = await self.reader.readexactly(protocol.letterhead_of(payload)[2])
        await self.reply(protocol.OK)
        return content

    def leave(self):
        self.writer.close()


async def crowd(clients, rounds):
    """Each of them sends to another one and receives, all of them at the same time; each stream comes to one of them, once."""
    if clients % ADDRESSES:
        raise ValueError("some would wait for streams that nobody sends")
    first = await Session.open()
    addresses = [await first.address() for _ in range(ADDRESSES)]
    sessions = [await Session.open() for _ in range(clients)]
    sent, come = collections.Counter(), collections.Counter()

    async def live(number, session):
        own, other = addresses[number % ADDRESSES], addresses[(number + 1) % ADDRESSES]
        for turn in range(rounds):
            content = f"{number}/{turn} ".encode() + os.urandom((number * 331 + turn * 7919) % 20_000)
            sent[content] += 1
            await session.send(own, other, content)
            come[await session.receive(own)] += 1

    began = time.monotonic()
    await asyncio.gather(*(live(number, session) for number, session in enumerate(sessions)))
    seconds = time.monotonic() - began
    if sent != come:
        raise ValueError(f"{len(sent - come)} streams are lost, {len(come - sent)} came too often")
    return {"clients": clients, "streams": sent.total(), "seconds": seconds}


async def turn(session, own):
    """What a program does that behaves; how long it took."""
    began, content = time.monotonic(), os.urandom(64 << 10)
    await session.ask(protocol.FIGURES, protocol.STATUS)
    await session.send(own, own, content)
    if await session.receive(own) != content:
        raise ValueError("another stream came")
    return time.monotonic() - began


async def longest(session, own):
    return max([await turn(session, own) for _ in range(TURNS)])


async def slow_reader(own):
    """Asks for a long stream, and does not take it."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(narrow, ROUTER)
    session = Session(*await asyncio.open_connection(sock=narrow, limit=4096))
    await session.ok(protocol.CONNECT, protocol.HANDSHAKE)
    await session.ok(protocol.RECV_ONE, own[0] + b"\0", own[1])
    # The letterhead has come: the router gives the content from now on.
    mode, _, payload = await session.hear()
    if mode != protocol.RECV_ONE or protocol.letterhead_of(payload)[2] != LONG:
        raise ValueError("expected the long stream")
    return session


async def silent():
    return Session(*await asyncio.open_connection(*ROUTER))


async def half_a_frame():
    session = await Session.open()
    session.writer.write(protocol.frame(protocol.ADDR_CREATE, bytes([65]) * 1000)[:500])
    await session.writer.drain()
    return session


async def boaster(bytes_of):
    """Says that very much comes; the connection ends, and not for want of time."""
    session = await Session.open()
    session.writer.write(bytes_of)
    await asyncio.wait_for(session.reader.read(), PATIENCE)
    session.leave()


async def flood(counts):
    """Connects again and again."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(*ROUTER)
            counts["connections"] += 1
            writer.close()


async def full():
    """Takes every place that is left, and hears that there is none."""
    sessions = []
    while len(sessions) <= PLACES:
        try:
            sessions.append(await Session.open())
        except Objection as objection:
            return sessions, str(objection)
        except OSError as cut_off:
            return sessions, type(cut_off).__name__
    raise ValueError(f"the router takes more than {PLACES}")


async def placed():
    """A session, once there is a place."""
    while True:
        try:
            return await Session.open()
        except (Objection, OSError, EOFError):
            await asyncio.sleep(0.02)


async def hostile(unix_socket):
    """What one program feels of others that do not behave."""
    good = await Session.open()
    own, slow = await good.address(), await good.address()
    told = {"alone": await longest(good, own)}
    content = os.urandom(LONG)
    for _ in range(SLOW_READERS):
        await good.send(own, slow, content)
    kept = [await slow_reader(slow) for _ in range(SLOW_READERS)]
    told["beside slow readers"] = await longest(good, own)
    kept += [await silent() for _ in range(SILENT)]
    kept += [await half_a_frame() for _ in range(HALF_A_FRAME)]
    much = b"\xff" * 4
    for said in (much, protocol.frame(protocol.STATUS)[:-4] + much, b"GET / HTTP/1.1\r\n\r\n" + bytes(64)):
        await boaster(said)
    told["beside half-open connections"] = await longest(good, own)
    counts = collections.Counter()
    floods = [asyncio.create_task(flood(counts)) for _ in range(FLOODS)]
    told["in a flood"] = await longest(good, own)
    for task in floods:
        task.cancel()
    # Those that wait to be accepted are gone when somebody behind them was.
    (await placed()).leave()
    others, why = await full()
    # Of the last of the flood, the router may not have seen the end.
    told.update(refused=why, places=len(kept) + len(others) + 1, flood=counts["connections"])
    told["with every place taken"] = await longest(good, own)
    other_user = await Session.open(unix_socket)
    told["over the unix socket meanwhile"] = await longest(other_user, own)
    for session in kept + others:
        session.leave()
    told["afterwards"] = await longest(await placed(), own)
    # The slow ones gave back what they did not take.
    for _ in range(SLOW_READERS):
        if await good.receive(slow) != content:
            raise ValueError("a stream that a slow reader did not take is another one now")
    return told


async def idle_senders(path):
    """Programs that are about to send, as many as may of one user, and do not; and one of another user, on the unix socket, that sends."""
    good = await Session.open(path)
    own = await good.address()
    told, kept = {"alone": await longest(good, own)}, []
    for _ in range(SENDINGS):
        session = await Session.open()
        kept.append((session, await asyncio.open_connection(*await session.socket_for(own, own))))
    began = time.monotonic()
    told["beside idle senders"] = await asyncio.wait_for(turn(good, own), PATIENCE + 10)
    told["seconds"] = time.monotonic() - began
    return told


async def main(what, *arguments):
    if what == "crowd":
        told = await crowd(*map(int, arguments))
    elif what == "hostile":
        told = await hostile(*arguments)
    else:
        told = await idle_senders(*arguments)
    print(json.dumps(told), flush=True)


asyncio.run(main(*sys.argv[1:]))
