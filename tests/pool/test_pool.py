"""The pool over real sockets: opening, sharing, retiring and closing them."""

import asyncio

import pytest

from app import errors
from app.hamsa import wire
from app.hamsa.connection import Connection
from app.pool.terms import LeaseTerms
from tests.pool.pools import (
    EMPTY,
    ONE_IDLE,
    UNREACHABLE_URL,
    Open,
    frames_of_request,
    pool_repr,
    running_pool,
    until_pool,
)
from tests.scripted import ACK, Socket, responds, scripted_provider, stays_open
from tests.waiting import settle, until

AUDIO = b"\x00" * 640
regular = responds(AUDIO)


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_one_socket_serves_one_request_after_another() -> None:
    async with scripted_provider(regular) as provider, running_pool(provider.url) as pool:
        for _ in range(5):
            assert wire.Audio(AUDIO) in await frames_of_request(pool)
        assert len(provider.sockets) == pool.opened == 1
        await until_pool(pool, ONE_IDLE)


async def test_two_requests_at_once_have_a_socket_each() -> None:
    async with scripted_provider(regular) as provider, running_pool(provider.url) as pool:
        async with pool.lease() as first, pool.lease() as second:
            assert first.connection is not second.connection
            assert not first.reused


async def test_a_failed_socket_is_closed_and_the_next_request_gets_another() -> None:
    async def drops_once(socket: Socket) -> None:
        if socket.number == 1:
            await socket.request()
            await socket.send(ACK, AUDIO)
            socket.drop()
        await regular(socket)

    async with scripted_provider(drops_once) as provider, running_pool(provider.url) as pool:
        with pytest.raises(errors.ConnectionLostError):
            await frames_of_request(pool)
        assert await frames_of_request(pool)
        await until_pool(pool, ONE_IDLE)


async def test_a_socket_that_died_while_idle_is_not_leased() -> None:
    async def closes_once(socket: Socket) -> None:
        await socket.respond(b"\x00\x00")
        if socket.number == 1:
            return
        await stays_open(socket)

    async with scripted_provider(closes_once) as provider, running_pool(provider.url) as pool:
        await frames_of_request(pool)
        await provider.until_open(0)
        await until_pool(pool, EMPTY)
        await frames_of_request(pool)
        assert len(provider.sockets) == 2


async def test_a_socket_that_dies_behind_a_good_one_leaves_the_pool() -> None:
    dies = asyncio.Event()

    async def one_dies(socket: Socket) -> None:
        await (dies.wait() if socket.number == 2 else stays_open(socket))

    async with scripted_provider(one_dies) as provider, running_pool(provider.url) as pool:
        async with pool.lease():
            async with pool.lease():
                pass
            await until_pool(pool, pool_repr(idle=1, leased=1))
        await until_pool(pool, pool_repr(idle=2))
        dies.set()
        await until_pool(pool, ONE_IDLE)


@pytest.mark.parametrize("kind", [errors.AuthenticationError, errors.QuotaExceededError])
async def test_a_socket_that_the_provider_closes_for_good_fails_with_the_reason(
    kind: type[errors.ProviderError],
) -> None:
    code = 4001 if kind is errors.AuthenticationError else 4003

    async def refuses(socket: Socket) -> None:
        await socket.connection.close(code)

    async with scripted_provider(refuses) as provider, running_pool(provider.url) as pool:
        with pytest.raises(kind):
            await frames_of_request(pool)


async def test_an_unreachable_provider_fails_the_request_and_leaves_no_socket() -> None:
    async with scripted_provider(stays_open) as provider:
        url = provider.url
    async with running_pool(url) as pool:
        with pytest.raises(errors.ConnectError):
            await frames_of_request(pool)
        assert repr(pool) == EMPTY


async def test_a_failed_opening_fails_the_request_that_it_was_for() -> None:
    refused = asyncio.Event()

    async def refuse(_: Open) -> Connection:
        await refused.wait()
        raise errors.ConnectError("refused")

    async with (
        running_pool(UNREACHABLE_URL, opener=refuse, limit=1, acquire_timeout_s=0.2) as pool,
        asyncio.TaskGroup() as tasks,
    ):

        async def failure(allow_connect: bool) -> type[Exception]:
            with pytest.raises(errors.ProviderError) as caught:
                async with pool.lease(LeaseTerms(allow_connect=allow_connect)):
                    pass
            return caught.type

        waiting = tasks.create_task(failure(allow_connect=False))
        await settle()
        connecting = tasks.create_task(failure(allow_connect=True))
        await settle()
        refused.set()
        assert await connecting is errors.ConnectError
        assert await waiting is errors.PoolExhaustedError


async def test_closing_leaves_no_socket_and_no_task() -> None:
    before = asyncio.all_tasks()
    async with scripted_provider(regular) as provider:
        async with running_pool(provider.url) as pool:
            await asyncio.gather(frames_of_request(pool), frames_of_request(pool))
        await provider.until_open(0)
        assert repr(pool) == EMPTY
        with pytest.raises(errors.ConnectError):
            await frames_of_request(pool)
    assert asyncio.all_tasks() == before


async def test_unused_sockets_above_the_minimum_are_closed() -> None:
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, idle_timeout_s=0.1, min_idle=2) as pool,
    ):
        async with pool.lease(), pool.lease(), pool.lease(), pool.lease():
            assert len(provider.sockets) == 4
        freed_at = now()
        await until_pool(pool, pool_repr(idle=4))
        await until_pool(pool, pool_repr(idle=2))
        assert now() - freed_at >= 0.09
        await provider.until_open(2)
        assert pool._wake_at is None, "the others need no second look"


async def test_a_socket_used_meanwhile_is_closed_later() -> None:
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, idle_timeout_s=0.1) as pool,
    ):
        async with pool.lease(), pool.lease():
            used_again_at = now() + 0.05
        await until(lambda: now() >= used_again_at)
        async with pool.lease(), pool.lease():
            pass
        freed_at = now()
        await until_pool(pool, ONE_IDLE)
        assert now() - freed_at >= 0.09
        assert pool.opened == 2


async def test_the_minimum_of_idle_sockets_counts_those_in_use() -> None:
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, idle_timeout_s=0.05, min_idle=1) as pool,
        pool.lease(),
    ):
        async with pool.lease():
            pass
        await until_pool(pool, pool_repr(leased=1))


async def test_warming_up_opens_only_when_none_is_free() -> None:
    async with scripted_provider(regular) as provider, running_pool(provider.url) as pool:
        pool.warm_up()
        pool.warm_up()
        await until_pool(pool, ONE_IDLE)
        pool.warm_up()
        await settle()
        assert pool.opened == 1
        async with pool.lease():
            pool.warm_up()
            await until_pool(pool, pool_repr(idle=1, leased=1))
        assert pool.opened == len(provider.sockets) == 2


async def test_warming_up_keeps_to_the_budget() -> None:
    async with scripted_provider(regular) as provider, running_pool(provider.url, limit=2) as pool:
        pool.warm_up(5)
        await until_pool(pool, pool_repr(idle=2))
        await settle()
        assert len(provider.sockets) == 2


async def test_a_socket_is_retired_by_its_age() -> None:
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, max_age_s=0.1) as pool,
    ):
        await frames_of_request(pool)
        opened_at = now()
        await frames_of_request(pool)
        assert pool.opened == 1
        await until(lambda: now() >= opened_at + 0.1)
        await frames_of_request(pool)
        assert pool.opened == 2
        await provider.until_open(1)
