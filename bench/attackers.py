"""Strangers on raw sockets: `python -m bench.attackers ATTACK PORT`, until its input closes.

Prints `struck` when each of them has done what it came for. Those that are put out come again.
"""

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
MiB = 1024 * 1024

TEXT, CONTINUATION, PING = 0x1, 0x0, 0x9

NICENESS = 5
"""Strangers are elsewhere: what they compute must hardly slow the gateway down."""

PIECE_BYTES = 64 * 1024
"""Floods are sent in pieces of this size."""


class Stranger:
    """One connection of an attacker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def upgrade(self, origin: str | None = None) -> bytes:
        """Ask for a WebSocket; return the head of the response."""
        lines = [
            "GET /ws/agent/ HTTP/1.1",
            "Host: 127.0.0.1",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            *([f"Origin: {origin}"] if origin else []),
        ]
        await self.send(("\r\n".join(lines) + "\r\n\r\n").encode())
        try:
            return await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise ConnectionError("the handshake was not answered") from error

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    def stop_reading(self) -> None:
        """Take nothing more from the socket."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]

    async def closed(self) -> None:
        """Read and drop what comes, until the connection is closed."""
        while await self._reader.read(PIECE_BYTES):
            pass

    @property
    def is_put_out(self) -> bool:
        """Whether the gateway has closed."""
        return self._reader.at_eof() or self._writer.transport.is_closing()

    def abort(self) -> None:
        """Close at once."""
        self._writer.transport.abort()


Strike = Callable[[Stranger], Awaitable[None]]
"""What one stranger does with a new connection."""


@dataclass(frozen=True, slots=True)
class Attack:
    """So many strangers who do the same."""

    strangers: int
    strike: Strike
    again_after_s: float = 1.0
    """How long one who was put out stays away."""
    reads: bool = True


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """Encode a frame; masked, as clients must, with zeros."""
    size = len(payload)
    head = bytes([opcode | (0x80 if fin else 0)])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += bytes([0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([0x80 | 127]) + size.to_bytes(8, "big")
    return head + bytes(4) + payload


@cache
def arrays(size: int) -> bytes:
    """Return JSON that is nothing but small objects."""
    return frame(TEXT, b"[" + b"[]," * (size // 3) + b"[]]")


@cache
def ping_with_id(size: int) -> bytes:
    """Return a `ping` whose id is as long as that."""
    return frame(TEXT, b'{"type":"ping","id":"' + b"x" * size + b'"}')


@cache
def recording() -> bytes:
    """Return a recording that claims to be 2 GB of index in 600 bytes."""
    from tests.audio.attacks import mp4_with_claimed_samples  # noqa: PLC0415 - for one attack

    content = base64.b64encode(mp4_with_claimed_samples()).decode()
    return frame(TEXT, json.dumps({"audio_base64": content}).encode())


def _sending(*messages: Callable[[], bytes]) -> Strike:
    async def strike(stranger: Stranger) -> None:
        await stranger.upgrade()
        for message in messages:
            await stranger.send(message())

    return strike


async def _read_nothing(stranger: Stranger) -> None:
    await stranger.upgrade()
    stranger.stop_reading()
    await stranger.send(ping_with_id(3_000_000))
    await stranger.send(frame(TEXT, b'{"type":"ping","id":"%s"}' % (b"x" * 64)) * 200)


async def _open(stranger: Stranger) -> None:
    """Send nothing."""


async def _send_a_head_byte_by_byte(stranger: Stranger) -> None:
    await stranger.send(b"G")

    async def go_on() -> None:
        for byte in b"ET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"Cookie: a\r\n" * 100:
            await asyncio.sleep(1)
            await stranger.send(bytes([byte]))

    _in_background(go_on())


async def _come_from_an_evil_page(stranger: Stranger) -> None:
    head = await stranger.upgrade(origin="https://evil.example")
    if b"101" in head.split(b"\r\n", 1)[0]:
        await stranger.send(frame(TEXT, '{"type":"text","text":"مرحبا"}'.encode()))


def _flooding(piece: Callable[[], bytes], first: bytes = b"") -> Strike:
    async def strike(stranger: Stranger) -> None:
        await stranger.upgrade()
        await stranger.send(first + piece())

        async def go_on() -> None:
            while not stranger.is_put_out:
                await stranger.send(piece())

        _in_background(go_on())

    return strike


@cache
def _many(one: bytes) -> bytes:
    return one * (PIECE_BYTES // len(one))


SMALL_PING = frame(TEXT, b'{"type":"ping"}')

ATTACKS: dict[str, Attack] = {
    "arrays of 27 MB": Attack(3, _sending(lambda: arrays(27_000_000))),
    "arrays of 20 MB": Attack(3, _sending(lambda: arrays(20_000_000))),
    "ping with an id of 20 MB": Attack(3, _sending(lambda: ping_with_id(20_000_000))),
    "150 that read nothing": Attack(150, _read_nothing, reads=False),
    "flood of pings": Attack(4, _flooding(lambda: _many(frame(PING)))),
    "flood of messages": Attack(4, _flooding(lambda: _many(SMALL_PING))),
    "empty continuations": Attack(
        4, _flooding(lambda: _many(frame(CONTINUATION, fin=False)), frame(TEXT, b"{", fin=False))
    ),
    "fragments of 20 MB": Attack(
        10, _sending(lambda: frame(TEXT, b"x" * 20 * 1000 * 1000, fin=False))
    ),
    "2,000 that send nothing": Attack(2000, _open, again_after_s=5),
    "2,000 that send a byte a second": Attack(2000, _send_a_head_byte_by_byte, again_after_s=5),
    "40 of an evil page": Attack(40, _come_from_an_evil_page, again_after_s=0.1),
    "6 hostile recordings": Attack(6, _sending(recording)),
}

_tasks: set[asyncio.Task[None]] = set()


def _in_background(work: Awaitable[None]) -> None:
    """Go on with an attack after its first strike, as long as the connection lasts."""

    async def run() -> None:
        try:
            await work
        except OSError:
            return  # put out

    task = asyncio.create_task(run())
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _attack(attack: Attack, port: int, struck: asyncio.Event) -> None:
    """Be one stranger, again and again."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=PIECE_BYTES)
            stranger = Stranger(reader, writer)
            try:
                await attack.strike(stranger)
                struck.set()
                if not attack.reads:
                    await asyncio.get_running_loop().create_future()
                await stranger.closed()
            finally:
                stranger.abort()
        except OSError:
            struck.set()  # refused, which is an answer too
        await asyncio.sleep(attack.again_after_s)


async def _run(attack: Attack, port: int) -> None:
    loop = asyncio.get_running_loop()
    struck = [asyncio.Event() for _ in range(attack.strangers)]
    tasks = [asyncio.create_task(_attack(attack, port, each)) for each in struck]
    for each in struck:
        await each.wait()
    print("struck", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Attacker:
    """A process of strangers."""

    process: asyncio.subprocess.Process

    async def struck(self) -> None:
        """Wait until each of them has done what it came for."""
        assert self.process.stdout is not None
        if not await self.process.stdout.readline():
            raise RuntimeError("the attackers did not start")


@asynccontextmanager
async def attacking(name: str, port: int) -> AsyncIterator[Attacker]:
    """Run an attack of `ATTACKS` in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bench.attackers", name, str(port)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Attacker(process)
    finally:
        process.kill()
        await process.communicate()


if __name__ == "__main__":
    os.nice(NICENESS)
    asyncio.run(_run(ATTACKS[sys.argv[1]], int(sys.argv[2])))
