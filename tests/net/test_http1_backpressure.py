"""HTTP/1.1: a body that is read slowly waits with the server, not with us."""

import asyncio

from app.net.client import raw_chunks
from tests.net.clients import acquired, http1_client, post
from tests.net.scripted_http1 import END, HEAD, Exchange, chunk, scripted_http1
from tests.waiting import until

MiB = 1024 * 1024
PIECES = 64
SOCKET_BUFFERS = 16 * MiB
"""More than both ends of a loopback connection hold in the kernel."""


class LongBody:
    """A script that sends a body of 64 MiB, and counts what it got rid of."""

    def __init__(self) -> None:
        self.sent_bytes = 0

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.send(HEAD)
        for number in range(PIECES):
            await exchange.send(chunk(bytes([number]) * MiB))
            self.sent_bytes += MiB
        await exchange.send(END)

    async def until_stuck(self) -> None:
        """Wait until nothing has gone out for a while."""
        before = -1
        while self.sent_bytes > before:
            before = self.sent_bytes
            for _ in range(2000):
                await asyncio.sleep(0)


async def test_a_body_that_is_not_read_stays_with_the_server_and_arrives_whole() -> None:
    script = LongBody()
    async with scripted_http1(script) as server, http1_client(server.url) as client:
        response = await post(client, server.url)
        chunks = raw_chunks(response)
        received = bytearray(await anext(chunks))
        await script.until_stuck()
        assert script.sent_bytes < SOCKET_BUFFERS
        async for data in chunks:
            received += data
        await response.aclose()
        assert received == b"".join(bytes([number]) * MiB for number in range(PIECES))
        assert not acquired(client)


async def test_a_body_that_is_abandoned_half_read_closes_its_connection() -> None:
    script = LongBody()
    async with scripted_http1(script) as server, http1_client(server.url) as client:
        response = await post(client, server.url)
        await anext(raw_chunks(response))
        await script.until_stuck()
        await response.aclose()
        await until(server.ended.is_set, state=server)
        assert not acquired(client)
