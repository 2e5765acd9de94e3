"""Pauses in opening sockets after signs of throttling."""

import asyncio

import pytest

from app import errors
from app.hamsa.connection import Connection
from app.pool.budget import SlidingWindowBudget
from app.pool.pool import MAX_THROTTLE_PENALTY_S, ConnectionPool
from app.simulator import Simulator, SimulatorConfig
from app.simulator.faults import FaultSpec
from tests.pool.pools import EMPTY, UNREACHABLE_URL, Open, frames_of_request, running_pool
from tests.scripted import responds, scripted_provider
from tests.waiting import settle

regular = responds(b"\x00" * 640)


class RecordingBudget(SlidingWindowBudget):
    """A budget that records the penalties, and refuses no permit for them."""

    def __init__(self) -> None:
        super().__init__(100, 20)
        self.penalties_s: list[float] = []

    def penalize(self, now: float, for_s: float) -> None:
        self.penalties_s.append(for_s)


async def truncated_request(pool: ConnectionPool[Connection]) -> bool:
    """Have a stream judged as truncated; return whether its socket had been used before."""
    with pytest.raises(errors.IncompleteAudioError):
        async with pool.lease() as lease:
            reused = lease.reused
            await lease.connection.send(b"{}")
            while lease.connection.in_flight:
                await lease.connection.receive()
            raise errors.IncompleteAudioError("640 bytes")
    return reused


async def test_each_truncated_stream_on_a_new_socket_doubles_the_pause() -> None:
    budget = RecordingBudget()
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, budget=budget, throttle_penalty_s=1) as pool,
    ):
        for _ in range(7):
            assert await truncated_request(pool) is False, "the socket is closed each time"
        assert budget.penalties_s == [1, 2, 4, 8, 16] + [MAX_THROTTLE_PENALTY_S] * 2
        await frames_of_request(pool)
        await truncated_request(pool)  # on the socket that was good a moment ago
        assert len(budget.penalties_s) == 7, "bad luck is no sign of throttling"
        await truncated_request(pool)
        assert budget.penalties_s[7:] == [1], "a complete stream has reset it"


async def test_after_a_truncated_stream_a_waiting_request_gets_no_socket_during_the_pause() -> None:
    loop = asyncio.get_running_loop()
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, max_connections=1, throttle_penalty_s=0.1) as pool,
        asyncio.TaskGroup() as tasks,
    ):
        with pytest.raises(errors.IncompleteAudioError):
            async with pool.lease():
                waiting = tasks.create_task(frames_of_request(pool))
                await settle()
                judged_at = loop.time()
                raise errors.IncompleteAudioError("640 bytes")
        assert pool.counts()["opening"] == 0
        await waiting
        assert loop.time() - judged_at >= 0.09
        assert pool.opened == 2


@pytest.mark.parametrize(("retry_after_s", "penalties_s"), [(7, [7, 7]), (None, [1, 2])])
async def test_a_throttled_handshake_pauses_openings_for_as_long_as_it_says(
    retry_after_s: float | None, penalties_s: list[float]
) -> None:
    async def refuse(_: Open) -> Connection:
        raise errors.RateLimitedError("too many", retry_after_s)

    budget = RecordingBudget()
    async with running_pool(
        UNREACHABLE_URL, budget=budget, throttle_penalty_s=1, opener=refuse
    ) as pool:
        for _ in penalties_s:
            with pytest.raises(errors.RateLimitedError):
                await frames_of_request(pool)
        assert budget.penalties_s == penalties_s
        assert repr(pool) == EMPTY


async def test_a_real_handshake_that_is_throttled_says_how_long_to_wait() -> None:
    budget = RecordingBudget()
    config = SimulatorConfig(
        profile="instant",
        voice="hum",
        faults={"rate_limited": FaultSpec(operation="connect", times=1)},
        retry_after_s=3,
    )
    async with (
        Simulator(config) as simulator,
        running_pool(simulator.urls.hamsa_ws_url, budget=budget) as pool,
    ):
        with pytest.raises(errors.RateLimitedError):
            await frames_of_request(pool)
        assert budget.penalties_s == [3]
