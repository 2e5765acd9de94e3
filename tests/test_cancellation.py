"""Cancelled at any suspension, a sentence, a turn or an utterance leaves nothing behind.

Each case is run again and again, cancelled at suspension 1, 2, 3, … until a run has no more.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from app.audio import PCM16_16K
from app.hamsa.stt_rest import RestTranscriber
from app.hamsa.stt_websocket import WebSocketTranscriber
from app.pipeline import events
from app.pipeline.components import PipelineComponents
from app.pipeline.session import Session
from app.simulator import Simulator, SimulatorConfig
from app.stt.base import Utterance
from app.stt.fallback import FallbackTranscriber
from tests.pipeline.fakes import STYLE, FakeAgent, FakeTranscriber, Recorder
from tests.providers import Providers, composed
from tests.suspensions import MAX_SUSPENSIONS, Cancellation, Mode, counting_task_factory, start
from tests.transports.fakes import speak, speech_request
from tests.waiting import until

TEXT = "أهلاً وسهلاً بك في خدمة العملاء."
TWO_SENTENCES = f"{TEXT} شحنتك في الطريق إليك الآن."
RELEASE_TIMEOUT_S = 10.0  # longer than the longest drain

Work = Callable[[Providers], Coroutine[Any, Any, None]]
Prepare = Callable[[Providers], Awaitable[None]]


async def one_sentence(providers: Providers) -> None:
    assert await speak(providers.transport, speech_request(TEXT))


async def one_turn(providers: Providers) -> None:
    """A turn of two sentences; the second is a prefetch."""
    recorder = Recorder()
    components = PipelineComponents(
        FakeTranscriber(), FakeAgent([TWO_SENTENCES]), providers.transport, 1
    )
    async with Session("s", components, STYLE, recorder.emit) as session:
        await session.start_turn("مرحبا")
        await recorder.until(events.TurnDone)
    assert not recorder.of(events.Failed)


async def barge_in(providers: Providers) -> None:
    """A turn that the user interrupts at its first audio, and the next one."""
    recorder = Recorder()
    components = PipelineComponents(
        FakeTranscriber(), FakeAgent([TWO_SENTENCES]), providers.transport, 1
    )
    async with Session("s", components, STYLE, recorder.emit) as session:
        await session.start_turn("الأول")
        await recorder.until(events.AudioChunk)
        await session.start_turn("الثاني")
        await recorder.until(events.TurnDone)


async def one_utterance(providers: Providers) -> None:
    by_socket = WebSocketTranscriber(providers.pool, timeout_s=5)
    by_rest = RestTranscriber(providers.client, timeout_s=5)
    utterance = Utterance(bytes(3200), PCM16_16K)
    await FallbackTranscriber([by_socket, by_rest], deadline_s=15).transcribe(utterance)


async def cold(providers: Providers) -> None:
    """Nothing is open."""


async def warm(providers: Providers) -> None:
    providers.pool.warm_up()
    await providers.client.warm_up()
    await until(lambda: providers.pool.counts()["idle"] == 1, state=providers.pool)


async def high_failure_rate(providers: Providers) -> None:
    """The second round is a race."""
    for route in providers.transport.routes:
        for _ in range(8):
            route.breaker.record_failure(0)
            route.breaker.record_success()


async def half_open(providers: Providers) -> None:
    """The next attempt over each route is the probe of its breaker."""
    for route in providers.transport.routes:
        for _ in range(5):
            route.breaker.record_failure(-1000)


@dataclass
class Case:
    work: Work
    routes: str = "websocket/rest"
    faults: dict[str, Any] = field(default_factory=dict)
    prepare: Prepare = cold
    changes: dict[str, Any] = field(default_factory=dict)


def once(**filters: Any) -> dict[str, Any]:
    return {"probability": 1, "times": 1, **filters}


CASES = {
    "socket": Case(one_sentence, "websocket/none"),
    "socket, warm": Case(one_sentence, "websocket/none", prepare=warm),
    "rest": Case(one_sentence, "rest/none"),
    "rest, warm": Case(one_sentence, "rest/none", prepare=warm),
    "auto, with a free socket": Case(one_sentence, "auto", prepare=warm),
    "auto, without one": Case(one_sentence, "auto"),
    "retry": Case(one_sentence, "websocket/none", {"truncated": once()}),
    "trailing audio": Case(one_sentence, "websocket/none", {"late_frames": once()}),
    "failover to rest": Case(one_sentence, faults={"truncated": {"channel": "websocket"}}),
    "failover to websocket": Case(
        one_sentence, "rest/websocket", {"truncated": {"channel": "rest"}}
    ),
    "refused socket": Case(one_sentence, faults={"rate_limited": once(operation="connect")}),
    "error with a body": Case(one_sentence, "rest/websocket", {"unavailable": once()}),
    "race": Case(
        one_sentence, faults={"truncated": once(channel="websocket")}, prepare=high_failure_rate
    ),
    "race that goes on": Case(
        one_sentence,
        faults={"truncated": {"probability": 1, "times": 3}},
        prepare=high_failure_rate,
    ),
    "continuation over rest": Case(one_sentence, faults={"drop": once(channel="websocket")}),
    "continuation over websocket": Case(
        one_sentence, "rest/websocket", {"drop": once(channel="rest")}
    ),
    "continuation by a race": Case(
        one_sentence, faults={"drop": once()}, prepare=high_failure_rate
    ),
    "hedge": Case(
        one_sentence,
        faults={"stall_first": once(channel="websocket")},
        changes={"tts_hedge_after_ms": 1},
    ),
    "probe": Case(one_sentence, faults={"truncated": once()}, prepare=half_open),
    "transcript": Case(one_utterance),
    "transcript by the fallback": Case(
        one_utterance, faults={"unavailable": once(channel="websocket", operation="stt")}
    ),
    "prefetch": Case(one_turn, faults={"drop": once()}),
    "barge-in, auto": Case(barge_in, "auto", {"truncated": once()}, warm),
}


def belongs_to_the_pool(task: asyncio.Task[Any]) -> bool:
    return task.get_name() in {"hamsa-open", "hamsa-linger", "hamsa-drain", "hamsa-close"}


async def until_released(simulator: Simulator, providers: Providers) -> None:
    """Wait until every socket is free or closed, at both ends, and every HTTP/2 stream closed."""
    pool, client = providers.pool, providers.client

    def at_rest() -> bool:
        counts = pool.counts()
        busy = [counts[state] for state in ("opening", "leased", "draining", "waiting")]
        open_sockets = counts["idle"] + counts["lingering"]
        return not any(busy) and simulator.stats.sockets_open <= open_sockets

    await until(at_rest, state=pool, timeout_s=RELEASE_TIMEOUT_S)
    streams = repr(client).count("streams=")
    assert repr(client).count("streams=0") == streams, "no HTTP/2 stream stays open"


async def run(simulator: Simulator, case: Case, at: int, mode: Mode) -> Cancellation:
    """Run the work once, cancelled at that suspension; assert that it leaves nothing."""
    simulator.clear_faults()
    simulator.configure({"faults": case.faults})
    transport, _, fallback = case.routes.partition("/")
    settings = {"tts_transport": transport, **({"tts_fallback": fallback} if fallback else {})}
    cancellation = Cancellation(at, mode)
    async with composed(simulator, **settings, **case.changes) as providers:
        await case.prepare(providers)
        work = start(case.work(providers), cancellation)
        await asyncio.wait([work])
        assert work.cancelled() == cancellation.was_cancelled, work
        if not cancellation.was_cancelled:
            await work
        await until_released(simulator, providers)
        own_tasks = [task for task in cancellation.tasks if not belongs_to_the_pool(task)]
        await until(lambda: all(task.done() for task in own_tasks), state=own_tasks)
        for route in providers.transport.routes:
            assert route.breaker.try_begin(1e9), "no probe is under way"
    assert all(task.done() for task in cancellation.tasks)
    return cancellation


@pytest.fixture
def shared_tls_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load trusted certificates once: for each HTTP client they cost most of a run's time."""
    monkeypatch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))


@pytest.mark.parametrize("mode", ["waiting", "served", "twice"])
@pytest.mark.parametrize("name", CASES)
async def test_cancelled_at_any_suspension_it_leaves_nothing(
    name: str, mode: Mode, shared_tls_context: None
) -> None:
    config = SimulatorConfig(
        profile="instant", voice="hum", retry_after_s=0, stall_ms=10, late_ms=1
    )
    asyncio.get_running_loop().set_task_factory(counting_task_factory)
    before = asyncio.all_tasks()
    cancelled = 0
    async with Simulator(config) as simulator:
        for at in range(1, MAX_SUSPENSIONS):
            cancellation = await run(simulator, CASES[name], at, mode)
            cancelled += cancellation.was_cancelled
            if cancellation.suspensions < at:
                break
        else:
            pytest.fail("the work never ends")
    assert cancelled >= 3
    assert asyncio.all_tasks() == before
