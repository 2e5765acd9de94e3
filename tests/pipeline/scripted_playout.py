"""A playout on a transport with a script for each sentence, and what the client gets of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.audio import SampleAligner
from app.errors import ProviderError
from app.pipeline import events
from app.pipeline.playout import Playout
from app.pipeline.quota import Quota
from app.pipeline.timeline import Timeline
from app.telemetry.speech_metrics import SpeechMetrics
from app.text.tts_text import SentenceText
from app.transports.base import (
    AudioStream,
    Speech,
    SpeechRequest,
    SpeechSynthesizer,
    TrailingAudio,
    Urgency,
)
from tests.pipeline.fakes import STYLE, Recorder
from tests.transports.fakes import FakeSpeech, FakeStream, Step

SECOND_OF_AUDIO = b"\x01\x00" * 16000


@dataclass
class Script:
    """The audio of one sentence; `trailing` follows its end."""

    steps: list[Step]
    trailing: TrailingAudio | None = None


@dataclass
class ScriptedTransport(SpeechSynthesizer):
    """Serves each text by its script, and records the requests."""

    scripts: dict[str, Script]
    name: str = "scripted"
    requests: dict[str, SpeechRequest] = field(default_factory=dict)
    urgencies: dict[str, Urgency] = field(default_factory=dict)
    needed_now: dict[str, bool] = field(default_factory=dict)
    """Whether each sentence was needed when it was requested."""
    open: int = 0
    most_open: int = 0

    def synthesize(self, request: SpeechRequest, urgency: Urgency) -> Speech:
        self.requests[request.text] = request
        self.urgencies[request.text] = urgency
        self.needed_now[request.text] = urgency.is_needed_now
        return FakeSpeech(self._speak(request), self.name)

    @asynccontextmanager
    async def _speak(self, request: SpeechRequest) -> AsyncIterator[AudioStream]:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            script = self.scripts[request.text]
            yield FakeStream(script.steps, script.trailing)
        finally:
            self.open -= 1


@dataclass
class RunningPlayout:
    """A playout under way."""

    transport: ScriptedTransport
    recorder: Recorder
    timeline: Timeline
    task: asyncio.Task[None]

    @property
    def emitted(self) -> list[str | bytes | ProviderError]:
        """Texts, audio and failures in the order in which the client gets them."""
        emitted: list[str | bytes | ProviderError] = []
        for event in self.recorder.events:
            if isinstance(event, events.SentenceStarted):
                emitted.append(event.text)
            elif isinstance(event, events.AudioChunk):
                emitted.append(event.data)
            elif isinstance(event, events.Failed):
                assert isinstance(event.error, ProviderError)
                emitted.append(event.error)
        return emitted


def start_playout(
    scripts: dict[str, Script],
    *,
    lookahead: int = 1,
    recorder: Recorder | None = None,
    quota: Quota | None = None,
) -> RunningPlayout:
    """Start to play the sentences of the scripts, in their order."""
    recorder = recorder or Recorder()
    transport = ScriptedTransport(scripts)
    timeline = Timeline(asyncio.get_running_loop().time())
    playout = Playout(
        1, transport, STYLE, timeline, recorder.emit, lookahead=lookahead, quota=quota
    )
    task = asyncio.create_task(playout.play(_texts(scripts)))
    return RunningPlayout(transport, recorder, timeline, task)


def trailing_audio(metrics: SpeechMetrics | None = None) -> TrailingAudio:
    """Trailing audio that the playout would wait for longer than a test runs."""
    trailing = TrailingAudio(30)
    trailing.follow(SampleAligner(1), metrics or SpeechMetrics())
    return trailing


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(50):
        await asyncio.sleep(0)


async def _texts(scripts: dict[str, Script]) -> AsyncIterator[SentenceText]:
    for text in scripts:
        yield SentenceText(text, text, len(text))
