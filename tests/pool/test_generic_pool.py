"""The pool over sockets of another provider, as a plug-in makes it: lines of text over TCP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from app import errors
from app.resources import Resources
from nabra import AudioSink, ConnectionPool, LeaseTerms


class LineConnection:
    """A connection of a provider that knows no trailing audio, and needs no pings."""

    numbers = 0

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        LineConnection.numbers += 1
        self.number = LineConnection.numbers
        self.opened_at = self.last_pong_at = asyncio.get_running_loop().time()
        self.requests = 0
        self.in_flight = False
        self.trailing: AudioSink | None = None
        self._reader, self._writer = reader, writer
        self._closed = asyncio.Event()

    @property
    def is_open(self) -> bool:
        return not self._writer.is_closing()

    @property
    def close_error(self) -> errors.ProviderError:
        return errors.ConnectionLostError("closed")

    async def ask(self, line: bytes) -> bytes:
        self.requests += 1
        self.in_flight = True
        self._writer.write(line + b"\n")
        return await self.receive()

    async def receive(self) -> bytes:
        if not (line := await self._reader.readline()):
            raise self.close_error
        self.in_flight = False
        return line.strip()

    def close_trailing(self) -> None:
        """There is none."""

    async def keep_alive(self, *, interval_s: float, timeout_s: float) -> None:
        await self._closed.wait()

    async def close(self) -> None:
        self._closed.set()
        self._writer.close()
        await self._writer.wait_closed()


@asynccontextmanager
async def line_pool(delay_s: float = 0.0) -> AsyncIterator[ConnectionPool[LineConnection]]:
    """A pool of two sockets at most, to a server that sends each line back."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await asyncio.sleep(delay_s)
            writer.write(line.upper())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def open_connection() -> LineConnection:
        return LineConnection(*await asyncio.open_connection("127.0.0.1", port))

    resources = Resources()
    pool = resources.pool(open_connection, name="lines", max_connections=2)
    async with server, AsyncExitStack() as stack:
        await resources.start(stack)
        yield pool


async def test_requests_share_sockets_of_any_kind() -> None:
    async with line_pool() as pool:

        async def ask(number: int) -> bytes:
            async with pool.lease(LeaseTerms(5)) as lease:
                return await lease.connection.ask(b"line %d" % number)

        answers = await asyncio.gather(*(ask(number) for number in range(20)))
        assert answers == [b"LINE %d" % number for number in range(20)]
        assert pool.opened == 2


async def test_an_abandoned_request_is_drained_and_its_socket_serves_on() -> None:
    async with line_pool(delay_s=0.02) as pool:

        async def ask(line: bytes) -> bytes:
            async with pool.lease() as lease:
                return await lease.connection.ask(line)

        abandoned = asyncio.create_task(ask(b"first"))
        await asyncio.sleep(0.01)
        abandoned.cancel()
        await asyncio.wait([abandoned])
        assert await ask(b"second") == b"SECOND"
        assert await ask(b"third") == b"THIRD"


async def test_terms_tell_what_came_of_them() -> None:
    async with line_pool() as pool:
        for reused in (False, True):
            terms = LeaseTerms()
            async with pool.lease(terms) as lease:
                await lease.connection.ask(b"line")
            assert terms.reused is reused


async def test_without_a_socket_there_is_an_error_in_time() -> None:
    async with line_pool() as pool, pool.lease(), pool.lease():
        with pytest.raises(errors.PoolExhaustedError):
            async with pool.lease(LeaseTerms(0.01)):
                pass
