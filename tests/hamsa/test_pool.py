"""The pool over real sockets, against a provider that follows a script."""

import asyncio

import pytest

from app import errors
from app.hamsa import wire
from app.hamsa.pool import ConnectionPool
from tests.hamsa.pools import KEY, running_pool
from tests.scripted import ACK, END, INFO, Socket, error, forever, scripted_provider

TTS = wire.tts_request
CLEAN = "<ConnectionPool opening=0 idle=1 leased=0 lingering=0 draining=0 waiting=0>"
EMPTY = "<ConnectionPool opening=0 idle=0 leased=0 lingering=0 draining=0 waiting=0>"


async def until(pool: ConnectionPool, state: str) -> None:
    """Wait for a state of the pool; the test's own timeout is the guard."""
    while repr(pool) != state:
        await asyncio.sleep(0)


async def ask(pool: ConnectionPool) -> list[wire.Frame]:
    frames: list[wire.Frame] = []
    async with pool.lease() as lease:
        await lease.connection.send("{}")
        while lease.connection.in_flight:
            frames.append(await lease.connection.receive())
    return frames


async def regular(socket: Socket) -> None:
    await socket.send(INFO)
    while True:
        await socket.answer(b"\x00" * 640)


async def test_one_socket_serves_one_request_after_another() -> None:
    async with scripted_provider(regular) as provider, running_pool(provider.url) as pool:
        for _ in range(5):
            assert wire.Audio(b"\x00" * 640) in await ask(pool)
        assert len(provider.sockets) == pool.opened == 1
        await until(pool, CLEAN)


async def test_the_key_travels_as_a_header_and_not_in_the_address() -> None:
    async with scripted_provider(regular) as provider, running_pool(provider.url) as pool:
        await ask(pool)
        assert provider.headers[0]["X-Api-Key"] == KEY
        assert provider.paths == ["/v1/realtime/ws"]


async def test_two_requests_at_once_have_a_socket_each() -> None:
    async with scripted_provider(regular) as provider, running_pool(provider.url) as pool:
        async with pool.lease() as first, pool.lease() as second:
            assert first.connection is not second.connection
            assert not first.reused


async def test_without_budget_a_request_waits_for_a_socket_to_come_free() -> None:
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, limit=1) as pool,
        asyncio.TaskGroup() as tasks,
    ):
        async with pool.lease():
            waiting = tasks.create_task(ask(pool))
            while "waiting=1" not in repr(pool):
                await asyncio.sleep(0)
        await waiting
        assert len(provider.sockets) == 1


async def test_a_request_that_waits_too_long_is_told_so() -> None:
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, limit=1, lease_timeout_s=0.05) as pool,
        pool.lease(),
    ):
        with pytest.raises(errors.PoolExhaustedError):
            await ask(pool)
        assert "waiting=0" in repr(pool)


async def test_the_window_moves_on_and_the_waiter_gets_its_socket() -> None:
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, limit=1, window_s=0.2) as pool,
        pool.lease(),
    ):
        assert await ask(pool)
        assert len(provider.sockets) == 2


async def test_a_failed_socket_is_closed_and_the_next_request_gets_another() -> None:
    async def drops_once(socket: Socket) -> None:
        if socket.number == 1:
            await socket.request()
            await socket.send(ACK, b"\x00" * 640)
            socket.drop()
        await regular(socket)

    async with scripted_provider(drops_once) as provider, running_pool(provider.url) as pool:
        with pytest.raises(errors.ConnectionLostError):
            await ask(pool)
        assert await ask(pool)
        await until(pool, CLEAN)


async def test_a_socket_that_died_while_idle_is_not_leased() -> None:
    async def closes_once(socket: Socket) -> None:
        await socket.answer(b"\x00\x00")
        if socket.number == 1:
            return
        await forever(socket)

    async with scripted_provider(closes_once) as provider, running_pool(provider.url) as pool:
        await ask(pool)
        await provider.until_open(0)
        await until(pool, EMPTY)
        await ask(pool)
        assert len(provider.sockets) == 2


async def test_a_refused_voice_costs_no_socket() -> None:
    async def refuses_once(socket: Socket) -> None:
        await socket.request()
        await socket.send(error("Voice not owned by user"))
        await regular(socket)

    async with scripted_provider(refuses_once) as provider, running_pool(provider.url) as pool:
        with pytest.raises(errors.RefusedError):
            async with pool.lease() as lease:
                await lease.connection.send("{}")
                frame = await lease.connection.receive()
                assert isinstance(frame, wire.Failure)
                raise frame.error
        await until(pool, CLEAN)
        await ask(pool)
        assert len(provider.sockets) == 1


async def test_an_abandoned_answer_drains_and_its_socket_serves_on() -> None:
    goes_on = asyncio.Event()

    async def long_answer(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK, b"\x01" * 320)
        await goes_on.wait()
        await socket.send(b"\x01" * 320, END)
        await regular(socket)

    async with scripted_provider(long_answer) as provider, running_pool(provider.url) as pool:
        async with pool.lease() as lease:
            await lease.connection.send("{}")
            assert isinstance(await lease.connection.receive(), wire.Ack)
        assert "draining=1" in repr(pool)
        goes_on.set()
        await until(pool, CLEAN)
        assert wire.Audio(b"\x01" * 320) not in await ask(pool)
        assert len(provider.sockets) == 1


async def test_a_drain_that_takes_too_long_closes_the_socket() -> None:
    async def silent(socket: Socket) -> None:
        await socket.request()
        await socket.send(ACK)
        await forever(socket)

    async with (
        scripted_provider(silent) as provider,
        running_pool(provider.url, drain_timeout_s=0.05) as pool,
    ):
        async with pool.lease() as lease:
            await lease.connection.send("{}")
        await until(pool, EMPTY)
        await provider.until_open(0)


class Late:
    def __init__(self) -> None:
        self.data = b""
        self.closed = asyncio.Event()

    def put(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        self.closed.set()


async def test_audio_after_the_end_goes_to_the_request_that_ended() -> None:
    ended = asyncio.Event()

    async def late(socket: Socket) -> None:
        await socket.answer(b"\x01" * 640)
        await ended.wait()
        await socket.send(b"\x02" * 640)
        await regular(socket)

    sink = Late()
    async with scripted_provider(late) as provider, running_pool(provider.url) as pool:
        async with pool.lease() as lease:
            await lease.connection.send("{}")
            while lease.connection.in_flight:
                await lease.connection.receive()
            lease.connection.late = sink
        ended.set()
        await sink.closed.wait()
        assert sink.data == b"\x02" * 640
        await until(pool, CLEAN)


async def test_late_audio_never_reaches_the_next_request_though_it_hurries_the_socket() -> None:
    async def late(socket: Socket) -> None:
        await socket.answer(b"\x01" * 640)
        await socket.request()
        await socket.send(b"\x02" * 640, ACK, b"\x03" * 640, END)
        await forever(socket)

    sink = Late()
    async with (
        scripted_provider(late) as provider,
        running_pool(provider.url, linger_s=30) as pool,
    ):
        async with pool.lease() as lease:
            await lease.connection.send("{}")
            while lease.connection.in_flight:
                await lease.connection.receive()
            lease.connection.late = sink
        frames = await ask(pool)
        assert frames == [wire.Ack(), wire.Audio(b"\x03" * 640), wire.End()]
        assert sink.data == b"\x02" * 640
        assert sink.closed.is_set()
        assert len(provider.sockets) == 1


@pytest.mark.parametrize("refusal", [errors.AuthenticationError, errors.QuotaExceededError])
async def test_a_socket_closed_for_a_final_reason_says_so(
    refusal: type[errors.ProviderError],
) -> None:
    code = 4001 if refusal is errors.AuthenticationError else 4003

    async def refuses(socket: Socket) -> None:
        await socket.connection.close(code)

    async with scripted_provider(refuses) as provider, running_pool(provider.url) as pool:
        with pytest.raises(refusal):
            await ask(pool)


async def test_an_unreachable_provider_is_told_to_the_waiter_and_leaves_no_slot() -> None:
    async with scripted_provider(forever) as provider:
        url = provider.url
    async with running_pool(url) as pool:
        with pytest.raises(errors.ConnectError):
            await ask(pool)
        assert repr(pool) == EMPTY


async def test_a_cancelled_waiter_leaves_the_pool_clean() -> None:
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, limit=1) as pool,
    ):
        async with pool.lease():
            task = asyncio.create_task(ask(pool))
            while "waiting=1" not in repr(pool):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert "waiting=0" in repr(pool)
        await until(pool, CLEAN)


async def test_a_waiter_cancelled_just_as_it_is_served_gives_the_socket_back() -> None:
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, limit=1) as pool,
    ):
        async with pool.lease():
            task = asyncio.create_task(ask(pool))
            while "waiting=1" not in repr(pool):
                await asyncio.sleep(0)
        task.cancel()  # the slot is in its future by now, and the task has not run
        await asyncio.wait([task])
        assert task.cancelled()
        await until(pool, CLEAN)


async def test_a_socket_without_pong_is_given_up() -> None:
    async def deaf(socket: Socket) -> None:
        socket.connection.transport.pause_reading()
        await forever(socket)

    async with (
        scripted_provider(deaf) as provider,
        running_pool(provider.url, ping_interval_s=0.02, ping_timeout_s=0.02) as pool,
    ):
        pool.warm_up()
        await until(pool, CLEAN)
        await until(pool, EMPTY)
        provider.sockets[0].drop()


async def test_closing_leaves_no_socket_and_no_task() -> None:
    before = asyncio.all_tasks()
    async with scripted_provider(regular) as provider:
        async with running_pool(provider.url) as pool:
            await asyncio.gather(ask(pool), ask(pool))
        await provider.until_open(0)
        assert repr(pool) == EMPTY
        with pytest.raises(errors.ConnectError):
            await ask(pool)
    assert asyncio.all_tasks() == before
