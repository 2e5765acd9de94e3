"""Sessions whose components are fakes, and a script for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.pipeline import events
from app.pipeline.components import PipelineComponents
from app.pipeline.session import Session
from app.pipeline.user_input import UserInput
from app.transports.base import TTSTransport
from tests.pipeline.fakes import STYLE, FakeAgent, FakeTranscriber, Recorder
from tests.transports.fakes import FakeTransport, PlainSynthesizer, Step

FIRST = "أهلاً وسهلاً بك في خدمة العملاء لشركة ناقل إكسبرس في الرياض."
SECOND = "شحنتك في الطريق إليك الآن وستصل قبل الظهر إن شاء الله تعالى."
AUDIO: list[Step] = [b"\x01\x00" * 1600, b"\x02\x00" * 1600]
"""Audio of one sentence: 200 ms in two chunks."""


def audio_of_sentences(count: int) -> FakeTransport:
    """A transport that has audio for so many sentences."""
    return FakeTransport([[*AUDIO] for _ in range(count)])


def components(
    agent: FakeAgent, transport: TTSTransport, transcriber: FakeTranscriber | None = None
) -> PipelineComponents:
    synthesizer = PlainSynthesizer(transport)
    return PipelineComponents(
        transcriber or FakeTranscriber(), agent, synthesizer, max_utterance_s=120
    )


@asynccontextmanager
async def running_session(
    agent: FakeAgent,
    transport: TTSTransport,
    transcriber: FakeTranscriber | None = None,
    *,
    recorder: Recorder,
) -> AsyncIterator[Session]:
    """Run a session whose events `recorder` gets."""
    shared = components(agent, transport, transcriber)
    async with Session("s", shared, STYLE, recorder.emit) as session:
        yield session


async def run_turn(
    agent: FakeAgent,
    transport: TTSTransport,
    user_input: UserInput = "أين شحنتي؟",
    transcriber: FakeTranscriber | None = None,
    *,
    recorder: Recorder | None = None,
) -> Recorder:
    """Run one turn to its end; return its events."""
    recorder = recorder or Recorder()
    async with running_session(agent, transport, transcriber, recorder=recorder) as session:
        await session.start_turn(user_input)
        await recorder.until(events.TurnDone)
    return recorder
