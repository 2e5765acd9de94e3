"""Conformance suites: subclass one in your tests, name your factory, and run pytest.

    class TestMyTransport(TransportConformance):
        factory = MyTransport

Each test builds the strategy as the gateway does, with settings from the environment, and closes it
again. Point those settings at a provider, or at a stand-in for it. The suites need no plug-in of
pytest.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar, Generic, TypeVar

from app.agents.base import Agent, AgentRequest
from app.agents.bounded import BoundedAgent
from app.audio import PCM16_16K
from app.plugins import build
from app.pool.terms import Urgency
from app.resources import Resources
from app.stt.base import Transcriber, Utterance
from app.stt.bounded import BoundedTranscriber
from app.transports.base import SpeechRequest, TTSTransport
from app.transports.policy import Policy
from app.transports.resilient import ResilientTransport
from app.types import Dialect, Voice

__all__ = ["AgentConformance", "TranscriberConformance", "TransportConformance"]

T = TypeVar("T", TTSTransport, Transcriber, Agent)


class Conformance(Generic[T]):
    """Builds a strategy for each test, and finds out whether it leaves anything behind."""

    factory: ClassVar[Callable[..., Any]]
    """What the entry point names: a class, or `staticmethod(function)`."""
    name: ClassVar[str] = ""
    """Name of the entry point; by default the class has it."""
    kind: ClassVar[type]

    def run(self, work: Callable[[T], Awaitable[None]]) -> None:
        """Run `work` with the strategy; fail if a task survives its end."""
        asyncio.run(self._run(work))

    async def _run(self, work: Callable[[T], Awaitable[None]]) -> None:
        async with self._strategy() as strategy:
            await work(strategy)
        await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others, f"tasks that outlive the strategy: {others}"

    @asynccontextmanager
    async def _strategy(self) -> AsyncIterator[Any]:
        resources = Resources()
        factory = type(self).factory
        name = self.name or getattr(factory, "name", "")
        strategy: Any = build(factory, name, self.kind, resources, what=f"factory {name!r}")
        async with AsyncExitStack() as stack:
            await resources.start(stack)
            stack.push_async_callback(strategy.aclose)
            yield strategy

    def test_it_has_a_name(self) -> None:
        """The name is that of the entry point: it stands in metrics and log lines."""

        async def work(strategy: Any) -> None:
            assert isinstance(strategy.name, str)
            assert strategy.name

        self.run(work)


async def _cancelled(work: Awaitable[object], *, after_s: float) -> None:
    """Cancel `work` after a while; what it does then must not take long."""
    task = asyncio.ensure_future(work)
    await asyncio.wait([task], timeout=after_s)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=2)
    assert done, "a cancelled request must end within 2 s"


class TransportConformance(Conformance[TTSTransport]):
    """What the gateway expects of a TTS transport."""

    kind = TTSTransport
    text: ClassVar[str] = "أهلاً وسهلاً بك في خدمة العملاء."
    voice: ClassVar[tuple[str, Dialect]] = ("Majd", "ksa")
    cancel_after_s: ClassVar[float] = 0.05
    """When the test of cancellation interrupts: while audio is awaited or comes."""

    def test_a_sentence_is_spoken_whole(self) -> None:
        """One attempt brings audio that is long enough for its text, and whole samples."""

        async def work(transport: TTSTransport) -> None:
            audio = await self._speak(transport)
            assert audio
            assert len(audio) % 2 == 0

        self.run(work)

    def test_sentences_are_spoken_at_the_same_time(self) -> None:
        """Several sessions share the transport."""

        async def work(transport: TTSTransport) -> None:
            audio = await asyncio.gather(*(self._speak(transport) for _ in range(3)))
            assert all(audio)

        self.run(work)

    def test_after_an_abandoned_sentence_the_next_is_whole(self) -> None:
        """A caller who interrupts leaves the context before the audio has ended."""

        async def work(transport: TTSTransport) -> None:
            async with self._synthesizer(transport).synthesize(self._request, Urgency()) as speech:
                await anext(aiter(speech))
            assert await self._speak(transport)

        self.run(work)

    def test_a_cancelled_sentence_leaves_nothing_behind(self) -> None:
        """Cancellation ends the request at any time, and the next one is whole."""

        async def work(transport: TTSTransport) -> None:
            for part in range(4):
                after_s = self.cancel_after_s * part / 3
                await _cancelled(self._speak(transport), after_s=after_s)
            assert await self._speak(transport)

        self.run(work)

    @property
    def _request(self) -> SpeechRequest:
        return SpeechRequest(self.text, Voice(*self.voice), PCM16_16K)

    def _synthesizer(self, transport: TTSTransport) -> ResilientTransport:
        return ResilientTransport([transport], Policy(attempts=1))

    async def _speak(self, transport: TTSTransport) -> bytes:
        synthesizer = self._synthesizer(transport)
        async with synthesizer.synthesize(self._request, Urgency()) as speech:
            return b"".join([chunk async for chunk in speech])


class TranscriberConformance(Conformance[Transcriber]):
    """What the gateway expects of a transcriber."""

    kind = Transcriber
    pcm: ClassVar[bytes] = bytes(32_000)
    """The utterance, PCM16 at 16 kHz; by default a second of silence."""
    expected: ClassVar[str | None] = None
    """Its transcript; None where any text will do."""
    cancel_after_s: ClassVar[float] = 0.05

    def test_an_utterance_is_transcribed(self) -> None:
        """A transcript is text; of silence it may be empty."""

        async def work(transcriber: Transcriber) -> None:
            text = await self._transcribe(transcriber)
            assert self.expected in (None, text)

        self.run(work)

    def test_utterances_are_transcribed_at_the_same_time(self) -> None:
        """Several sessions share the transcriber."""

        async def work(transcriber: Transcriber) -> None:
            await asyncio.gather(*(self._transcribe(transcriber) for _ in range(3)))

        self.run(work)

    def test_a_cancelled_utterance_leaves_nothing_behind(self) -> None:
        """Cancellation ends the request at any time."""

        async def work(transcriber: Transcriber) -> None:
            for part in range(4):
                after_s = self.cancel_after_s * part / 3
                await _cancelled(self._transcribe(transcriber), after_s=after_s)
            await self._transcribe(transcriber)

        self.run(work)

    async def _transcribe(self, transcriber: Transcriber) -> str:
        bounded = BoundedTranscriber(transcriber, timeout_s=15)
        return await bounded.transcribe(Utterance(self.pcm, PCM16_16K))


class AgentConformance(Conformance[Agent]):
    """What the gateway expects of an agent."""

    kind = Agent
    text: ClassVar[str] = "أين شحنتي؟"
    cancel_after_s: ClassVar[float] = 0.05

    def test_it_answers_with_text(self) -> None:
        """The pieces of a response are strings, and not all of them are empty."""

        async def work(agent: Agent) -> None:
            assert (await self._answer(agent)).strip()

        self.run(work)

    def test_sessions_are_answered_at_the_same_time(self) -> None:
        """Several sessions share the agent."""

        async def work(agent: Agent) -> None:
            answers = await asyncio.gather(*(self._answer(agent, str(n)) for n in range(3)))
            assert all(answers)

        self.run(work)

    def test_after_an_interruption_it_answers_again(self) -> None:
        """A caller who interrupts leaves the context; the next request says what was played."""

        async def work(agent: Agent) -> None:
            async with self._bounded(agent).answer(AgentRequest(self.text, "s")) as pieces:
                await anext(pieces)
            request = AgentRequest(self.text, "s", interrupted=True, played_text="نعم")
            async with self._bounded(agent).answer(request) as pieces:
                assert [piece async for piece in pieces]

        self.run(work)

    def test_a_cancelled_response_leaves_nothing_behind(self) -> None:
        """Cancellation ends the request at any time."""

        async def work(agent: Agent) -> None:
            for part in range(4):
                after_s = self.cancel_after_s * part / 3
                await _cancelled(self._answer(agent), after_s=after_s)
            assert await self._answer(agent)

        self.run(work)

    def _bounded(self, agent: Agent) -> Agent:
        return BoundedAgent(
            agent, first_token_timeout_s=30, between_tokens_timeout_s=15, total_timeout_s=120
        )

    async def _answer(self, agent: Agent, session_id: str = "s") -> str:
        async with self._bounded(agent).answer(AgentRequest(self.text, session_id)) as pieces:
            return "".join([piece async for piece in pieces])
