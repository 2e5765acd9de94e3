"""Requests that wait for a socket, over real sockets."""

import asyncio

import pytest

from app import errors
from app.hamsa.connection import Connection
from app.pool.pool import ConnectionPool
from app.pool.terms import LeaseTerms, Urgency
from tests.pool.pools import (
    EMPTY,
    ONE_IDLE,
    UNREACHABLE_URL,
    frames_of_request,
    pool_repr,
    running_pool,
    until_pool,
    until_waiting,
)
from tests.scripted import responds, scripted_provider
from tests.waiting import settle

regular = responds(b"\x00" * 640)

PREFETCH_TIMEOUT_S = 2.0


def prefetch_urgency() -> Urgency:
    return Urgency(is_needed_now=False)


async def test_without_budget_a_request_waits_for_a_socket_to_become_free() -> None:
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, limit=1) as pool,
        asyncio.TaskGroup() as tasks,
    ):
        async with pool.lease():
            waiting = tasks.create_task(frames_of_request(pool))
            await until_waiting(pool)
        await waiting
        assert len(provider.sockets) == 1


async def test_a_request_that_waits_too_long_fails() -> None:
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, limit=1, acquire_timeout_s=0.15) as pool,
        pool.lease(),
    ):
        with pytest.raises(errors.PoolExhaustedError, match=r"within 0\.15 s"):
            await frames_of_request(pool)
        assert pool.counts()["waiting"] == 0


async def test_when_the_window_moves_on_the_waiting_request_gets_its_socket() -> None:
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, limit=1, window_s=0.2) as pool,
        pool.lease(),
    ):
        assert await frames_of_request(pool)
        assert len(provider.sockets) == 2


async def test_a_cancelled_request_leaves_the_pool_as_it_was() -> None:
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, limit=1) as pool,
    ):
        async with pool.lease():
            task = asyncio.create_task(frames_of_request(pool))
            await until_waiting(pool)
            task.cancel()
            await asyncio.wait([task])
            assert pool.counts()["waiting"] == 0
        await until_pool(pool, ONE_IDLE)


async def test_a_request_cancelled_just_as_it_is_served_frees_its_socket() -> None:
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, limit=1) as pool,
    ):
        async with pool.lease():
            task = asyncio.create_task(frames_of_request(pool))
            await until_waiting(pool)
        task.cancel()  # the socket is the result of its future by now, and the task has not run
        await asyncio.wait([task])
        assert task.cancelled()
        await until_pool(pool, ONE_IDLE)


async def test_a_request_that_may_not_connect_gets_an_open_socket_or_none() -> None:
    async with scripted_provider(regular) as provider, running_pool(provider.url) as pool:
        with pytest.raises(errors.PoolExhaustedError):
            async with pool.lease(LeaseTerms(0.01, allow_connect=False)):
                pass
        assert repr(pool) == EMPTY
        assert provider.sockets == []
        await frames_of_request(pool)
        async with pool.lease(LeaseTerms(0.01, allow_connect=False)) as lease:
            assert lease.reused


async def test_requests_that_gave_up_are_forgotten_though_there_never_is_a_socket() -> None:
    async with running_pool(UNREACHABLE_URL) as pool:
        for _ in range(20):
            with pytest.raises(errors.PoolExhaustedError):
                async with pool.lease(LeaseTerms(0.001, allow_connect=False)):
                    pass
        assert pool.counts()["waiting"] == 0


async def test_a_prefetch_opens_no_socket_until_it_is_needed() -> None:
    urgency = prefetch_urgency()

    async def prefetch(pool: ConnectionPool[Connection]) -> bool:
        async with pool.lease(LeaseTerms(urgency=urgency)) as lease:
            return lease.reused

    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url) as pool,
        asyncio.TaskGroup() as tasks,
    ):
        prefetching = tasks.create_task(prefetch(pool))
        await settle()
        assert repr(pool) == pool_repr(waiting=1)
        assert provider.sockets == []
        urgency.set_needed_now()
        assert await prefetching is False
        assert len(provider.sockets) == 1
        await until_pool(pool, ONE_IDLE)


async def test_a_prefetch_takes_a_socket_that_becomes_free() -> None:
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url) as pool,
        asyncio.TaskGroup() as tasks,
    ):
        async with pool.lease():
            never = prefetch_urgency()

            async def prefetch() -> int:
                async with pool.lease(LeaseTerms(urgency=never)) as lease:
                    return lease.connection.number

            prefetching = tasks.create_task(prefetch())
            await settle()
            assert not prefetching.done()
        await prefetching
        assert pool.opened == 1


async def test_what_is_needed_now_is_served_before_a_prefetch() -> None:
    served: list[str] = []

    async def take(name: str, urgency: Urgency) -> None:
        async with pool.lease(LeaseTerms(urgency=urgency)):
            served.append(name)

    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, max_connections=1) as pool,
        asyncio.TaskGroup() as tasks,
    ):
        urgency = prefetch_urgency()
        async with pool.lease():
            tasks.create_task(take("prefetch", prefetch_urgency()))
            tasks.create_task(take("prefetch, then needed", urgency))
            await settle()
            tasks.create_task(take("needed", Urgency()))
            urgency.set_needed_now()
            await settle()
        await until_pool(pool, ONE_IDLE)
        assert served == ["prefetch, then needed", "needed", "prefetch"]


async def test_a_request_that_is_needed_already_connects_at_once() -> None:
    urgency = prefetch_urgency()
    urgency.set_needed_now()
    async with scripted_provider(regular) as provider, running_pool(provider.url) as pool:
        async with pool.lease(LeaseTerms(urgency=urgency)):
            assert pool.opened == 1


async def test_a_prefetch_waits_longer_until_it_is_needed() -> None:
    urgency = prefetch_urgency()
    loop = asyncio.get_running_loop()
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, limit=1) as pool,
        pool.lease(),
        asyncio.TaskGroup() as tasks,
    ):

        async def prefetch() -> float:
            with pytest.raises(errors.PoolExhaustedError):
                async with pool.lease(LeaseTerms(0.02, PREFETCH_TIMEOUT_S, urgency=urgency)):
                    pass
            return loop.time()

        prefetching = tasks.create_task(prefetch())
        done, _ = await asyncio.wait([prefetching], timeout=0.06)
        assert not done
        needed_at = loop.time()
        urgency.set_needed_now()
        assert 0.01 < await prefetching - needed_at < PREFETCH_TIMEOUT_S / 2
        assert pool.counts()["waiting"] == 0
