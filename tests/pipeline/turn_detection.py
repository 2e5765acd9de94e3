"""A session with turn detection by a script: the audio itself says what is detected in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.audio import PCM16_16K, AudioFormat
from app.pipeline.components import PipelineComponents
from app.pipeline.session import Session
from app.vad.base import (
    SpeechBegan,
    SpeechEnded,
    SpeechEvent,
    SpeechPaused,
    SpeechResumed,
    UtteranceDetector,
)
from tests.pipeline.fakes import STYLE, FakeAgent, FakeTranscriber, Recorder
from tests.transports.fakes import FakeTransport, PlainSynthesizer
from tests.waiting import until

RESPONSE = "أهلاً وسهلاً بك في خدمة العملاء لشركة ناقل إكسبرس في الرياض."
"""One sentence."""
SECOND_OF_AUDIO = b"\x01\x00" * 16_000

BEGIN, PAUSE, RESUME, END, LIMIT = b"B.", b"P.", b"R.", b"E.", b"L."
"""Audio in which something is detected; any other audio only belongs to the utterance."""


@dataclass
class ScriptedDetector(UtteranceDetector):
    """Detects what the audio says, and keeps all of it as the utterance."""

    during_response: list[bool] = field(default_factory=list)
    utterance: bytes = b""

    def process(self, data: bytes, *, during_response: bool) -> list[SpeechEvent]:
        self.during_response.append(during_response)
        self.utterance = data if data == BEGIN else self.utterance + data
        events: dict[bytes, SpeechEvent] = {
            BEGIN: SpeechBegan(100),
            PAUSE: SpeechPaused(self.utterance),
            RESUME: SpeechResumed(),
            END: SpeechEnded(900, self.utterance, 500, "silence"),
            LIMIT: SpeechEnded(900, self.utterance, 0, "limit"),
        }
        return [events[data]] if data in events else []

    def finish(self) -> SpeechEnded | None:
        utterance, self.utterance = self.utterance, b""
        return SpeechEnded(700, utterance, 0, "client") if utterance else None


@dataclass
class DetectingSession:
    """A session with turn detection, and what surrounds it."""

    session: Session
    detector: ScriptedDetector
    recorder: Recorder
    agent: FakeAgent
    transcriber: FakeTranscriber

    async def append_audio(self, *frames: bytes) -> None:
        for frame in frames:
            await self.session.append_audio(frame)

    async def until_transcribing(self, requests: int) -> None:
        await until(lambda: len(self.transcribed) >= requests, state=self)

    @property
    def transcribed(self) -> list[bytes]:
        """The audio of all requests for a transcript."""
        return [utterance.pcm for utterance in self.transcriber.utterances]


@asynccontextmanager
async def detecting(
    agent: FakeAgent,
    transcriber: FakeTranscriber | None = None,
    *,
    speculative: bool = False,
    max_utterance_s: float = 120,
) -> AsyncIterator[DetectingSession]:
    """Run a session with turn detection; each sentence of a response has 1 s of audio."""
    recorder, detector = Recorder(), ScriptedDetector()
    transcriber = transcriber or FakeTranscriber()

    async def create_detector(format: AudioFormat) -> UtteranceDetector:
        return detector

    components = PipelineComponents(
        transcriber,
        agent,
        PlainSynthesizer(FakeTransport([[SECOND_OF_AUDIO] for _ in range(4)])),
        max_utterance_s=max_utterance_s,
        create_detector=create_detector,
        stt_early=speculative,
    )
    async with Session("s", components, STYLE, recorder.emit) as session:
        await session.start_turn_detection(PCM16_16K)
        yield DetectingSession(session, detector, recorder, agent, transcriber)
