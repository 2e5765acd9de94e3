"""The pool over real sockets, against a provider that follows a script."""

import asyncio

import pytest

from app import errors
from app.hamsa import wire
from app.hamsa.budget import SlidingWindowBudget
from app.hamsa.connection import Connection
from app.hamsa.pool import MAX_THROTTLE_PENALTY_S, PREFETCH_ACQUIRE_TIMEOUT_S, ConnectionPool
from app.simulator import Simulator, SimulatorConfig
from tests.hamsa.pools import KEY, Open, running_pool
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
        running_pool(provider.url, limit=1, lease_timeout_s=0.15) as pool,
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

    async def trailing(socket: Socket) -> None:
        await socket.answer(b"\x01" * 640)
        await ended.wait()
        await socket.send(b"\x02" * 640)
        await regular(socket)

    sink = Late()
    async with scripted_provider(trailing) as provider, running_pool(provider.url) as pool:
        async with pool.lease() as lease:
            await lease.connection.send("{}")
            while lease.connection.in_flight:
                await lease.connection.receive()
            lease.connection.trailing = sink
        ended.set()
        await sink.closed.wait()
        assert sink.data == b"\x02" * 640
        await until(pool, CLEAN)


async def test_late_audio_never_reaches_the_next_request_though_it_hurries_the_socket() -> None:
    async def trailing(socket: Socket) -> None:
        await socket.answer(b"\x01" * 640)
        await socket.request()
        await socket.send(b"\x02" * 640, ACK, b"\x03" * 640, END)
        await forever(socket)

    sink = Late()
    async with (
        scripted_provider(trailing) as provider,
        running_pool(provider.url, linger_s=30) as pool,
    ):
        async with pool.lease() as lease:
            await lease.connection.send("{}")
            while lease.connection.in_flight:
                await lease.connection.receive()
            lease.connection.trailing = sink
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


async def test_a_pong_behind_audio_that_nobody_reads_yet_is_not_missed() -> None:
    async def pours(socket: Socket) -> None:
        await socket.answer(*[bytes(64 * 1024)] * 200)  # more than the buffers on the way hold
        await forever(socket)

    async with (
        scripted_provider(pours) as provider,
        running_pool(provider.url, ping_interval_s=0.02, ping_timeout_s=0.05) as pool,
    ):
        async with pool.lease() as lease:
            await lease.connection.send("{}")
            await lease.connection.receive()
            given_up = asyncio.create_task(provider.until_open(0))
            await asyncio.wait([given_up], timeout=0.2)  # several pings go out meanwhile
            assert not given_up.done()
            given_up.cancel()
            while lease.connection.in_flight:
                await lease.connection.receive()
        await until(pool, CLEAN)


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


@pytest.mark.parametrize(("suffix", "key"), [("", "“secret”"), ("?token=secret#x", KEY)])
async def test_why_no_socket_could_be_opened_is_told_without_key_or_address(
    suffix: str, key: str
) -> None:
    """It goes into the log."""
    async with scripted_provider(regular) as provider:
        with pytest.raises(errors.ConnectError, match="no socket: Invalid") as caught:
            await Connection.open(provider.url + suffix, key, connect_timeout_s=5)
    assert "secret" not in str(caught.value)


def now() -> float:
    return asyncio.get_running_loop().time()


async def turns() -> None:
    """Let every task that can run do so, and what is on its way over loopback arrive."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_request_made_ahead_opens_nothing_until_it_is_due() -> None:
    needed_now = asyncio.Event()

    async def ahead(pool: ConnectionPool) -> bool:
        async with pool.lease(needed_now=needed_now) as lease:
            return lease.reused

    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url) as pool,
        asyncio.TaskGroup() as tasks,
    ):
        asking = tasks.create_task(ahead(pool))
        await turns()
        assert repr(pool) == EMPTY.replace("waiting=0", "waiting=1")
        assert provider.sockets == []
        needed_now.set()
        assert await asking is False
        assert len(provider.sockets) == 1
        await until(pool, CLEAN)


async def test_a_request_made_ahead_takes_a_socket_that_comes_free() -> None:
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url) as pool,
        asyncio.TaskGroup() as tasks,
    ):
        async with pool.lease():
            never = asyncio.Event()

            async def ahead() -> int:
                async with pool.lease(needed_now=never) as lease:
                    return lease.connection.number

            asking = tasks.create_task(ahead())
            await turns()
            assert not asking.done()
        await asking
        assert pool.opened == 1


async def test_what_is_due_is_served_before_what_is_made_ahead() -> None:
    served: list[str] = []

    async def take(name: str, needed_now: asyncio.Event | None) -> None:
        async with pool.lease(needed_now=needed_now):
            served.append(name)

    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, max_connections=1) as pool,
        asyncio.TaskGroup() as tasks,
    ):
        became_due = asyncio.Event()
        async with pool.lease():
            tasks.create_task(take("ahead", asyncio.Event()))
            tasks.create_task(take("ahead, then due", became_due))
            await turns()
            tasks.create_task(take("due", None))
            became_due.set()
            await turns()
        await until(pool, CLEAN)
        assert served == ["ahead, then due", "due", "ahead"]


async def test_a_request_that_is_due_already_opens_at_once() -> None:
    needed_now = asyncio.Event()
    needed_now.set()
    async with scripted_provider(regular) as provider, running_pool(provider.url) as pool:
        async with pool.lease(needed_now=needed_now):
            assert pool.opened == 1


async def test_what_is_made_ahead_has_more_patience_and_loses_it_when_due() -> None:
    needed_now = asyncio.Event()
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, limit=1) as pool,
        pool.lease(),
        asyncio.TaskGroup() as tasks,
    ):

        async def ahead() -> float:
            with pytest.raises(errors.PoolExhaustedError):
                async with pool.lease(0.02, needed_now=needed_now):
                    pass
            return now()

        asking = tasks.create_task(ahead())
        done, _ = await asyncio.wait([asking], timeout=0.06)
        assert not done
        due_at = now()
        needed_now.set()
        assert 0.01 < await asking - due_at < PREFETCH_ACQUIRE_TIMEOUT_S / 2
        assert "waiting=0" in repr(pool)


async def test_what_may_not_open_takes_a_socket_that_is_there_or_none() -> None:
    async with scripted_provider(regular) as provider, running_pool(provider.url) as pool:
        with pytest.raises(errors.PoolExhaustedError):
            async with pool.lease(0.01, allow_connect=False):
                pass
        assert repr(pool) == EMPTY
        assert provider.sockets == []
        await ask(pool)
        async with pool.lease(0.01, allow_connect=False) as lease:
            assert lease.reused


async def test_waiters_that_gave_up_are_forgotten_though_no_socket_ever_comes() -> None:
    async with running_pool("ws://127.0.0.1:9") as pool:
        for _ in range(20):
            with pytest.raises(errors.PoolExhaustedError):
                async with pool.lease(0.001, allow_connect=False):
                    pass
        assert len(pool._slots.waiters) <= 1


async def test_a_failed_opening_is_told_to_whom_it_was_for() -> None:
    refused = asyncio.Event()

    async def refuse(_: Open) -> Connection:
        await refused.wait()
        raise errors.ConnectError("refused")

    async with (
        running_pool("ws://127.0.0.1:9", opener=refuse, limit=1, lease_timeout_s=0.2) as pool,
        asyncio.TaskGroup() as tasks,
    ):

        async def asking(allow_connect: bool) -> type[Exception]:
            with pytest.raises(errors.ProviderError) as told:
                async with pool.lease(allow_connect=allow_connect):
                    pass
            return told.type

        ahead = tasks.create_task(asking(allow_connect=False))
        await turns()
        opening = tasks.create_task(asking(allow_connect=True))
        await turns()
        refused.set()
        assert await opening is errors.ConnectError
        assert await ahead is errors.PoolExhaustedError


class Penalties(SlidingWindowBudget):
    """A budget that only writes down what it is asked to punish."""

    def __init__(self) -> None:
        super().__init__(100, 20)
        self.seconds: list[float] = []

    def penalize(self, now: float, for_s: float) -> None:
        self.seconds.append(for_s)


async def truncated(pool: ConnectionPool) -> bool:
    """Have an answer judged too short; tell whether its socket was in use before."""
    with pytest.raises(errors.IncompleteAudioError):
        async with pool.lease() as lease:
            reused = lease.reused
            await lease.connection.send("{}")
            while lease.connection.in_flight:
                await lease.connection.receive()
            raise errors.IncompleteAudioError("640 bytes")
    return reused


async def test_a_truncated_answer_on_a_fresh_socket_pauses_openings_and_each_sign_doubles_it() -> (
    None
):
    budget = Penalties()
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, budget=budget, throttle_penalty_s=1) as pool,
    ):
        for _ in range(7):
            assert await truncated(pool) is False, "the socket is dropped each time"
        assert budget.seconds == [1, 2, 4, 8, 16, MAX_THROTTLE_PENALTY_S, MAX_THROTTLE_PENALTY_S]
        await ask(pool)
        await truncated(pool)  # on the socket that was good a moment ago
        assert len(budget.seconds) == 7, "bad luck is no sign of throttling"
        await truncated(pool)
        assert budget.seconds[7:] == [1], "a good answer has reset it"


async def test_a_truncated_answer_opens_no_socket_for_whoever_waits_until_the_pause_is_over() -> (
    None
):
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, max_connections=1, throttle_penalty_s=0.1) as pool,
        asyncio.TaskGroup() as tasks,
    ):
        with pytest.raises(errors.IncompleteAudioError):
            async with pool.lease():
                waiting = tasks.create_task(ask(pool))
                await turns()
                judged_at = now()
                raise errors.IncompleteAudioError("640 bytes")
        assert "opening=0" in repr(pool)
        await waiting
        assert now() - judged_at >= 0.09
        assert pool.opened == 2


@pytest.mark.parametrize(("retry_after_s", "pauses"), [(7, [7, 7]), (None, [1, 2])])
async def test_a_throttled_handshake_pauses_openings_for_as_long_as_it_says(
    retry_after_s: float | None, pauses: list[float]
) -> None:
    async def refuse(_: Open) -> Connection:
        raise errors.RateLimitedError("too many", retry_after_s)

    budget = Penalties()
    async with running_pool(
        "ws://127.0.0.1:9", budget=budget, throttle_penalty_s=1, opener=refuse
    ) as pool:
        for _ in pauses:
            with pytest.raises(errors.RateLimitedError):
                await ask(pool)
        assert budget.seconds == pauses
        assert repr(pool) == EMPTY


async def test_a_real_handshake_that_is_throttled_says_how_long_to_wait() -> None:
    budget = Penalties()
    config = SimulatorConfig(
        profile="instant",
        voice="hum",
        faults={"rate_limited": {"operation": "connect", "times": 1}},
        retry_after_s=3,
    )
    async with (
        Simulator(config) as simulator,
        running_pool(simulator.urls.hamsa_ws_url, budget=budget) as pool,
    ):
        with pytest.raises(errors.RateLimitedError):
            await ask(pool)
        assert budget.seconds == [3]


async def test_idle_sockets_above_the_floor_are_closed_after_a_while_and_the_floor_is_kept() -> (
    None
):
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, idle_timeout_s=0.1, min_idle=2) as pool,
    ):
        async with pool.lease(), pool.lease(), pool.lease(), pool.lease():
            assert len(provider.sockets) == 4
        freed_at = now()
        await until(pool, CLEAN.replace("idle=1", "idle=4"))
        await until(pool, CLEAN.replace("idle=1", "idle=2"))
        assert now() - freed_at >= 0.09
        await provider.until_open(2)
        assert pool._wake_at is None, "nobody will look at the others again"


async def test_the_floor_counts_the_sockets_in_use() -> None:
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, idle_timeout_s=0.05, min_idle=1) as pool,
        pool.lease(),
    ):
        async with pool.lease():
            pass
        await until(pool, EMPTY.replace("leased=0", "leased=1"))


async def test_warming_up_opens_only_when_none_is_free() -> None:
    async with scripted_provider(regular) as provider, running_pool(provider.url) as pool:
        pool.warm_up()
        pool.warm_up()
        await until(pool, CLEAN)
        pool.warm_up()
        await turns()
        assert pool.opened == 1
        async with pool.lease():
            pool.warm_up()
            await until(pool, CLEAN.replace("leased=0", "leased=1"))
        assert pool.opened == len(provider.sockets) == 2


async def test_warming_up_keeps_to_the_budget() -> None:
    async with scripted_provider(regular) as provider, running_pool(provider.url, limit=2) as pool:
        pool.warm_up(5)
        await until(pool, CLEAN.replace("idle=1", "idle=2"))
        await turns()
        assert len(provider.sockets) == 2


async def test_a_socket_is_retired_by_its_age() -> None:
    async with (
        scripted_provider(regular) as provider,
        running_pool(provider.url, max_age_s=0.1) as pool,
    ):
        await ask(pool)
        opened_at = now()
        await ask(pool)
        assert pool.opened == 1
        while now() < opened_at + 0.1:
            await asyncio.sleep(0)
        await ask(pool)
        assert pool.opened == 2
        await provider.until_open(1)


async def test_nothing_came_before_the_first_request_so_its_end_is_its_own() -> None:
    async def empty(socket: Socket) -> None:
        await socket.request()
        await socket.send(END)
        await forever(socket)

    async with scripted_provider(empty) as provider, running_pool(provider.url) as pool:
        assert await ask(pool) == [wire.End()]


async def test_audio_that_comes_when_nobody_waits_any_longer_is_not_the_next_request_s() -> None:
    lingered = asyncio.Event()

    async def very_late(socket: Socket) -> None:
        await socket.answer(b"\x01" * 640)
        await lingered.wait()
        await socket.send(b"\x02" * 640)
        await socket.answer(b"\x03" * 640)
        await socket.answer(b"\x04" * 640)

    sink = Late()
    async with (
        scripted_provider(very_late) as provider,
        running_pool(provider.url, linger_s=0.01) as pool,
    ):
        async with pool.lease() as lease:
            await lease.connection.send("{}")
            while lease.connection.in_flight:
                await lease.connection.receive()
            lease.connection.trailing = sink
        await sink.closed.wait()
        await until(pool, CLEAN)
        lingered.set()
        assert await ask(pool) == [wire.Ack(), wire.Audio(b"\x03" * 640), wire.End()]
        assert sink.data == b"\x02" * 640
        assert wire.Audio(b"\x04" * 640) in await ask(pool)
        assert len(provider.sockets) == 1
