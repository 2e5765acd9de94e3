"""Cancelled at every single suspension, a sentence leaves nothing behind.

The work and all tasks that come of it are stepped through one counter, so that the n-th run can be
cancelled at exactly its n-th suspension, whichever task that is in, until a run needs no more.
"""

import asyncio
import contextvars
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import pytest

from app.audio import PCM16_16K
from app.pipeline import events
from app.pipeline.components import PipelineComponents
from app.pipeline.session import Session
from app.simulator import Simulator, SimulatorConfig
from app.stt.base import Utterance
from app.stt.fallback import FallbackTranscriber
from app.stt.rest import RestTranscriber
from app.stt.websocket import WebSocketTranscriber
from tests.pipeline.fakes import STYLE, FakeAgent, FakeTranscriber, Recorder
from tests.providers import Providers, composed
from tests.transports.fakes import request

TEXT = "أهلاً وسهلاً بك في خدمة العملاء."
TWO_SENTENCES = f"{TEXT} شحنتك في الطريق إليك الآن."
THREE_SENTENCES = f"{TWO_SENTENCES} هل تحتاج إلى أي مساعدة؟"
MOST_SUSPENSIONS = 1000  # bounds a work that would never end

Mode = Literal["waiting", "served", "twice"]
"""Cancelled while it waits; just as what it waits for is there; and once more as it cleans up."""

counting: contextvars.ContextVar["Cancellation | None"] = contextvars.ContextVar(
    "counting", default=None
)


@dataclass
class Cancellation:
    """Cancels `work` at the n-th suspension of any task that comes of it."""

    at: int
    mode: Mode
    work: asyncio.Task[Any] | None = None
    suspensions: int = 0
    took: bool = False
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def suspended(self, on: Any) -> None:
        self.suspensions += 1
        last = self.at + 1 if self.mode == "twice" else self.at
        if not self.at <= self.suspensions <= last:
            return
        if self.mode == "served" and asyncio.isfuture(on):
            on.add_done_callback(lambda _: self.cancel())
        else:
            self.cancel()

    def cancel(self) -> None:
        assert self.work is not None
        self.took = self.work.cancel() or self.took


@dataclass
class Counted:
    """Awaits a coroutine, and tells each of its suspensions."""

    coroutine: Coroutine[Any, Any, Any]
    cancellation: Cancellation

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[Any], Any] = self.coroutine.send
        value: Any = None
        while True:
            try:
                waits_for = step(value)
            except StopIteration as end:
                return end.value
            self.cancellation.suspended(waits_for)
            try:
                step, value = self.coroutine.send, (yield waits_for)
            except BaseException as error:  # noqa: BLE001 - it is thrown on
                step, value = self.coroutine.throw, error


async def awaited(work: Awaitable[Any]) -> Any:
    return await work


def counting_factory(
    loop: asyncio.AbstractEventLoop, work: Any, **options: Any
) -> asyncio.Task[Any]:
    cancellation = counting.get()
    if cancellation is None:
        return asyncio.Task(work, loop=loop, **options)
    task = asyncio.Task(awaited(Counted(work, cancellation)), loop=loop, **options)
    task.add_done_callback(lambda _: work.close())  # it never ran, if cancelled before its start
    cancellation.tasks.append(task)
    return task


Work = Callable[[Providers], Coroutine[Any, Any, None]]
Prepare = Callable[[Providers], Awaitable[None]]


async def speak(providers: Providers) -> None:
    async with providers.transport.synthesize(request(TEXT)) as stream:
        assert [chunk async for chunk in stream]


async def converse(providers: Providers) -> None:
    """A turn of three sentences, two of them in the making at a time."""
    recorder = Recorder()
    stages = PipelineComponents(
        FakeTranscriber(), FakeAgent([THREE_SENTENCES]), providers.transport, 1
    )
    async with Session("s", stages, STYLE, recorder.emit) as session:
        await session.start_turn("مرحبا")
        await recorder.until(events.TurnDone)
    assert not recorder.of(events.Failed)


async def barge_in(providers: Providers) -> None:
    """A turn that the caller interrupts as it begins to speak, and the one after it."""
    recorder = Recorder()
    stages = PipelineComponents(
        FakeTranscriber(), FakeAgent([TWO_SENTENCES]), providers.transport, 1
    )
    async with Session("s", stages, STYLE, recorder.emit) as session:
        await session.start_turn("الأول")
        await recorder.until(events.AudioChunk)
        await session.start_turn("الثاني")
        await recorder.until(events.TurnDone)


async def transcribe(providers: Providers) -> None:
    by_socket = WebSocketTranscriber(providers.pool, timeout_s=5)
    by_rest = RestTranscriber(providers.client, timeout_s=5)
    utterance = Utterance(bytes(3200), PCM16_16K)
    await FallbackTranscriber([by_socket, by_rest], deadline_s=15).transcribe(utterance)


async def cold(providers: Providers) -> None:
    """Nothing is open."""


async def warm(providers: Providers) -> None:
    providers.pool.warm_up()
    await providers.client.warm_up()
    while "idle=1" not in repr(providers.pool):
        await asyncio.sleep(0)


async def much_fails(providers: Providers) -> None:
    """A rate at which the second round is a race."""
    for route in providers.transport.routes:
        for _ in range(8):
            route.breaker.failed(0)
            route.breaker.succeeded()


async def suspended(providers: Providers) -> None:
    """All breakers have been open for long enough: the next attempt by each way is its probe."""
    for route in providers.transport.routes:
        for _ in range(5):
            route.breaker.failed(-1000)


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
    "socket": Case(speak, "websocket/none"),
    "socket, warm": Case(speak, "websocket/none", prepare=warm),
    "rest": Case(speak, "rest/none"),
    "rest, warm": Case(speak, "rest/none", prepare=warm),
    "auto, a socket is free": Case(speak, "auto", prepare=warm),
    "auto, none is free": Case(speak, "auto"),
    "retry": Case(speak, "websocket/none", {"truncated": once()}),
    "late audio": Case(speak, "websocket/none", {"late_frames": once()}),
    "failover to rest": Case(speak, faults={"truncated": {"channel": "websocket"}}),
    "failover to the socket": Case(speak, "rest/websocket", {"truncated": {"channel": "rest"}}),
    "refused socket": Case(speak, faults={"rate_limited": once(operation="connect")}),
    "error with a body": Case(speak, "rest/websocket", {"unavailable": once()}),
    "race": Case(speak, faults={"truncated": once(channel="websocket")}, prepare=much_fails),
    "race that goes on": Case(
        speak, faults={"truncated": {"probability": 1, "times": 3}}, prepare=much_fails
    ),
    "continuation over rest": Case(speak, faults={"drop": once(channel="websocket")}),
    "continuation over the socket": Case(speak, "rest/websocket", {"drop": once(channel="rest")}),
    "continuation by a race": Case(speak, faults={"drop": once()}, prepare=much_fails),
    "hedge": Case(
        speak, faults={"stall_first": once(channel="websocket")}, changes={"tts_hedge_after_ms": 1}
    ),
    "probe": Case(speak, faults={"truncated": once()}, prepare=suspended),
    "transcript": Case(transcribe),
    "transcript by the other way": Case(
        transcribe, faults={"unavailable": once(channel="websocket", operation="stt")}
    ),
    "lookahead": Case(converse, faults={"drop": once()}),
    "barge-in, auto": Case(barge_in, "auto", {"truncated": once()}, warm),
}


def keeps_a_socket(task: asyncio.Task[Any]) -> bool:
    return task.get_name() in {"hamsa-open", "hamsa-linger", "hamsa-drain", "hamsa-close"}


def free_of(pool: object, *states: str) -> bool:
    return all(f"{state}=0" in repr(pool) for state in states)


async def wait_closed(simulator: Simulator, providers: Providers) -> None:
    """Wait until all is given back; the test's own timeout is the guard."""
    pool, client = providers.pool, providers.client
    while not free_of(pool, "opening", "leased", "draining", "waiting"):
        await asyncio.sleep(0)
    counts = pool.counts()
    while simulator.stats.sockets_open > counts["idle"] + counts["lingering"]:
        await asyncio.sleep(0)
        counts = pool.counts()
    streams = repr(client).count("streams=")
    assert repr(client).count("streams=0") == streams, "no HTTP/2 stream stays open"


async def run(simulator: Simulator, case: Case, at: int, mode: Mode) -> Cancellation:
    """Run the work once, cancelled at that suspension; check that nothing of it is left."""
    simulator.clear_faults()
    simulator.configure({"faults": case.faults})
    transport, _, fallback = case.routes.partition("/")
    settings = {"tts_transport": transport, **({"tts_fallback": fallback} if fallback else {})}
    cancellation = Cancellation(at, mode)
    async with composed(simulator, **settings, **case.changes) as providers:
        await case.prepare(providers)
        context = contextvars.copy_context()
        context.run(counting.set, cancellation)
        loop = asyncio.get_running_loop()
        cancellation.work = loop.create_task(
            awaited(Counted(case.work(providers), cancellation)), context=context
        )
        await asyncio.wait([cancellation.work])
        assert cancellation.work.cancelled() == cancellation.took, cancellation.work
        if not cancellation.took:
            await cancellation.work
        await wait_closed(simulator, providers)
        while any(not task.done() for task in cancellation.tasks if not keeps_a_socket(task)):
            await asyncio.sleep(0)
        for route in providers.transport.routes:
            assert route.breaker.try_begin(1e9), "no probe is under way"
    assert all(task.done() for task in cancellation.tasks)
    return cancellation


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take what costs most of a run's time: trusted certificates, loaded for each HTTP client."""
    monkeypatch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))


@pytest.mark.parametrize("mode", ["waiting", "served", "twice"])
@pytest.mark.parametrize("name", CASES)
async def test_cancelled_at_any_suspension_it_leaves_nothing(
    name: str, mode: Mode, light: None
) -> None:
    config = SimulatorConfig(
        profile="instant", voice="hum", retry_after_s=0, stall_ms=10, late_ms=1
    )
    asyncio.get_running_loop().set_task_factory(counting_factory)
    before = asyncio.all_tasks()
    cancelled = 0
    async with Simulator(config) as simulator:
        for at in range(1, MOST_SUSPENSIONS):
            cancellation = await run(simulator, CASES[name], at, mode)
            cancelled += cancellation.took
            if cancellation.suspensions < at:
                break
        else:
            pytest.fail("it never ends")
    assert cancelled >= 3
    assert asyncio.all_tasks() == before
