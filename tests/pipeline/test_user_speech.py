"""What becomes of what a listener hears: turns, interruptions, early transcripts."""

import asyncio
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from app.audio import PCM16_16K, AudioFormat
from app.errors import ProviderTimeoutError, UnsupportedConfigurationError
from app.pipeline import events
from app.pipeline.components import PipelineComponents
from app.pipeline.session import Session
from app.pipeline.user_input import EncodedUtterance
from app.stt.base import Utterance
from app.vad.base import (
    SpeechBegan,
    SpeechEnded,
    SpeechEvent,
    SpeechPaused,
    SpeechResumed,
    UtteranceDetector,
)
from tests.pipeline.fakes import STYLE, FakeAgent, FakeTranscriber, Recorder
from tests.transports.fakes import FakeTransport, Step

ANSWER = "أهلاً وسهلاً بك في خدمة العملاء لشركة ناقل إكسبرس في الرياض."
SECOND_OF_AUDIO: list[Step] = [b"\x01\x00" * 16_000]

BEGIN, PAUSE, RESUME, END, LIMIT = b"B.", b"P.", b"R.", b"E.", b"L."


@dataclass
class ScriptedListener(UtteranceDetector):
    """Takes the first byte of what it hears for its mark, and all of it for the utterance."""

    during_response: list[bool] = field(default_factory=list)
    user_input: bytes = b""

    def process(self, data: bytes, *, during_response: bool) -> list[SpeechEvent]:
        self.during_response.append(during_response)
        self.user_input = data if data == BEGIN else self.user_input + data
        mark: dict[bytes, SpeechEvent] = {
            BEGIN: SpeechBegan(100),
            PAUSE: SpeechPaused(self.user_input),
            RESUME: SpeechResumed(),
            END: SpeechEnded(900, self.user_input, 500, "silence"),
            LIMIT: SpeechEnded(900, self.user_input, 0, "limit"),
        }
        return [mark[data]] if data in mark else []

    def finish(self) -> SpeechEnded | None:
        user_input, self.user_input = self.user_input, b""
        return SpeechEnded(700, user_input, 0, "client") if user_input else None


@dataclass
class SlowTranscriber(FakeTranscriber):
    """Hears when it is let, and knows which of its requests were given up."""

    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: list[bytes] = field(default_factory=list)

    async def transcribe(self, utterance: Utterance) -> str:
        self.utterances.append(utterance)
        try:
            await self.goes_on.wait()
        except asyncio.CancelledError:
            self.abandoned.append(utterance.pcm)
            raise
        return await super().transcribe(utterance)

    async def until_asked(self, times: int) -> None:
        while len(self.utterances) < times:
            await asyncio.sleep(0)


@dataclass
class Scene:
    """A session that listens."""

    session: Session
    detector: ScriptedListener
    recorder: Recorder
    agent: FakeAgent
    transcriber: FakeTranscriber

    async def append_audio(self, *pieces: bytes) -> None:
        for piece in pieces:
            await self.session.append_audio(piece)

    @property
    def pcm(self) -> list[bytes]:
        return [utterance.pcm for utterance in self.transcriber.utterances]


class listening:  # noqa: N801 - reads as the context that it is
    """Open a session that listens with a scripted listener."""

    def __init__(
        self,
        agent: FakeAgent,
        transport: FakeTransport | None = None,
        transcriber: FakeTranscriber | None = None,
        *,
        speculative: bool = False,
        max_utterance_s: float = 120,
    ) -> None:
        self.recorder = Recorder()
        self.agent = agent
        self.transcriber = transcriber or FakeTranscriber()
        self.detector = ScriptedListener()
        components = PipelineComponents(
            self.transcriber,
            agent,
            transport or FakeTransport([[*SECOND_OF_AUDIO]] * 4),
            max_utterance_s=max_utterance_s,
            create_detector=self._open,
            stt_early=speculative,
        )
        self.session = Session("s", components, STYLE, self.recorder.emit)

    async def _open(self, format: AudioFormat) -> UtteranceDetector:
        return self.detector

    async def __aenter__(self) -> Scene:
        await self.session.__aenter__()
        await self.session.start_turn_detection(PCM16_16K)
        return Scene(self.session, self.detector, self.recorder, self.agent, self.transcriber)

    async def __aexit__(self, *error: object) -> None:
        await self.session.__aexit__(None, None, None)


async def test_an_utterance_becomes_a_turn() -> None:
    async with listening(FakeAgent([ANSWER])) as scene:
        await scene.append_audio(BEGIN, b"xx", END)
        await scene.recorder.until(events.TurnDone)
    assert scene.recorder.kinds[:4] == [
        "UserSpeechStarted",
        "UserSpeechStopped",
        "Status",
        "Transcribed",
    ]
    assert scene.pcm == [b"B.xxE."]
    metrics = scene.recorder.of(events.TurnDone)[0].metrics
    assert metrics.endpointing_ms == 500
    assert metrics.stt_ms is not None
    assert metrics.stt_ms >= 500, "latencies count from the end of speech, not of the silence"


async def test_speech_during_an_answer_interrupts_it_before_anything_else() -> None:
    async with listening(FakeAgent([f"{ANSWER} ", asyncio.Event()])) as scene:
        await scene.session.begin("مرحبا")
        await scene.recorder.until(events.AudioChunk)
        await scene.append_audio(BEGIN)
        assert scene.recorder.kinds[-2:] == ["Interrupted", "UserSpeechStarted"]
        await asyncio.sleep(0)
        await scene.append_audio(b"xx", END)
        while len(scene.agent.requests) < 2:
            await asyncio.sleep(0)
        after = scene.recorder.kinds[scene.recorder.kinds.index("Interrupted") :]
    assert after[:3] == ["Interrupted", "UserSpeechStarted", "UserSpeechStopped"]
    assert scene.agent.requests[1].interrupted
    assert scene.detector.during_response[0] is True


async def test_an_answer_that_is_still_heard_is_interrupted_though_its_turn_is_over() -> None:
    async with listening(FakeAgent([ANSWER])) as scene:
        await scene.session.begin("مرحبا")
        await scene.recorder.until(events.TurnDone)  # a second of audio, sent at once
        scene.session.report_playback(1, 500)
        await scene.append_audio(BEGIN, END)
        while len(scene.agent.requests) < 2:
            await asyncio.sleep(0)
    (interrupted,) = scene.recorder.of(events.Interrupted)
    assert (interrupted.turn, interrupted.played_ms) == (1, 500)
    words = ANSWER.split()
    assert interrupted.played_text == " ".join(words[: round(len(words) / 2)])
    assert scene.agent.requests[1].played_text == interrupted.played_text


async def test_an_answer_that_was_played_to_its_end_is_not_interrupted() -> None:
    async with listening(FakeAgent([ANSWER])) as scene:
        await scene.session.begin("مرحبا")
        await scene.recorder.until(events.TurnDone)
        scene.session.report_playback(1, 1000)
        await scene.append_audio(BEGIN, END)
        while len(scene.agent.requests) < 2:
            await asyncio.sleep(0)
    assert not scene.recorder.of(events.Interrupted)
    assert scene.agent.requests[1].interrupted is False
    assert scene.detector.during_response == [False, False]


async def test_reports_on_an_old_turn_are_ignored() -> None:
    async with listening(FakeAgent([ANSWER])) as scene:
        await scene.session.begin("مرحبا")
        await scene.recorder.until(events.TurnDone)
        scene.session.report_playback(7, 1000)
        assert scene.session.is_responding


async def test_an_utterance_that_goes_on_before_the_agent_was_asked_is_one() -> None:
    """Somebody who takes breath for too long is not answered by halves."""
    transcriber = SlowTranscriber()
    async with listening(FakeAgent([ANSWER]), transcriber=transcriber) as scene:
        await scene.append_audio(BEGIN, b"11", END)
        await transcriber.until_asked(1)
        await scene.append_audio(BEGIN, b"22", END)
        transcriber.goes_on.set()
        await scene.recorder.until(events.TurnDone)
    assert scene.transcriber.utterances[-1].pcm == b"B.11E.B.22E."
    assert len(scene.agent.requests) == 1
    assert scene.agent.requests[0].interrupted is False
    assert len(scene.recorder.of(events.Interrupted)) == 1


@pytest.mark.parametrize("steps", range(6))
async def test_an_utterance_that_goes_on_as_its_transcript_comes_is_not_lost(steps: int) -> None:
    """Either the agent is asked, and told of the interruption, or both halves are one."""
    transcriber = SlowTranscriber()
    async with listening(FakeAgent([asyncio.Event()]), transcriber=transcriber) as scene:
        scene.recorder.takes_steps = 5
        await scene.append_audio(BEGIN, b"11", END)
        await transcriber.until_asked(1)
        transcriber.goes_on.set()
        for _ in range(steps):
            await asyncio.sleep(0)
        await scene.append_audio(BEGIN, b"22", END)
        while not scene.agent.requests or scene.pcm[-1] == b"B.11E.":
            await asyncio.sleep(0)
        while len(scene.agent.requests) < (1 if b"11" in scene.pcm[-1] else 2):
            await asyncio.sleep(0)
    interrupted = [request.interrupted for request in scene.agent.requests]
    assert (scene.pcm[-1], interrupted) in (
        (b"B.11E.B.22E.", [False]),
        (b"B.22E.", [False, True]),
    )


async def test_an_utterance_that_goes_on_and_on_is_cut_at_the_limit() -> None:
    transcriber = SlowTranscriber()
    seven_samples_s = 7 / PCM16_16K.sample_rate_hz
    async with listening(
        FakeAgent([ANSWER]), transcriber=transcriber, max_utterance_s=seven_samples_s
    ) as scene:
        for half in (b"11", b"22", b"33"):
            earlier = len(transcriber.utterances)
            await scene.append_audio(BEGIN, half, END)
            await transcriber.until_asked(earlier + 1)
        transcriber.goes_on.set()
        await scene.recorder.until(events.TurnDone)
    assert scene.pcm[:3] == [b"B.11E.", b"B.11E.B.22E.", b"B.11E.B.22E.B."]
    stops = [event.reason for event in scene.recorder.of(events.UserSpeechStopped)]
    assert stops == ["silence", "silence", "limit"]


async def test_an_utterance_after_the_agent_was_asked_is_another() -> None:
    async with listening(FakeAgent([asyncio.Event()])) as scene:
        await scene.append_audio(BEGIN, b"11", END)
        while not scene.agent.requests:
            await asyncio.sleep(0)
        await scene.append_audio(BEGIN, b"22", END)
        while len(scene.agent.requests) < 2:
            await asyncio.sleep(0)
    assert scene.pcm == [b"B.11E.", b"B.22E."]
    assert scene.agent.requests[1].interrupted


async def test_a_typed_turn_is_not_joined_to_what_is_said_next() -> None:
    transcriber = SlowTranscriber()
    async with listening(FakeAgent([ANSWER]), transcriber=transcriber) as scene:
        transcriber.goes_on.set()
        await scene.append_audio(BEGIN, b"11", END)
        await scene.recorder.until(events.TurnDone)
        await scene.session.begin("مرحبا")
        await scene.append_audio(BEGIN, b"22", END)
        while len(scene.pcm) < 3:
            await asyncio.sleep(0)
    assert scene.pcm[-1] == b"B.22E."


async def test_an_early_transcript_is_used_when_the_pause_was_the_end() -> None:
    transcriber = SlowTranscriber()
    async with listening(FakeAgent([ANSWER]), transcriber=transcriber, speculative=True) as scene:
        await scene.append_audio(BEGIN, b"xx", PAUSE)
        await transcriber.until_asked(1)
        await scene.append_audio(END)
        transcriber.goes_on.set()
        await scene.recorder.until(events.TurnDone)
    assert {utterance.pcm for utterance in transcriber.utterances} == {b"B.xxP."}
    assert scene.recorder.of(events.Transcribed)[0].text == transcriber.answer


async def test_an_early_transcript_is_given_up_when_the_pause_was_none() -> None:
    transcriber = SlowTranscriber()
    async with listening(FakeAgent([ANSWER]), transcriber=transcriber, speculative=True) as scene:
        await scene.append_audio(BEGIN, b"xx", PAUSE)
        await transcriber.until_asked(1)
        await scene.append_audio(RESUME, b"yy", PAUSE)
        transcriber.goes_on.set()
        await scene.append_audio(END)
        await scene.recorder.until(events.TurnDone)
    assert transcriber.abandoned == [b"B.xxP."]
    assert transcriber.utterances[-1].pcm == b"B.xxP.R.yyP."


async def test_without_early_transcripts_nobody_asks_at_a_pause() -> None:
    async with listening(FakeAgent([ANSWER])) as scene:
        await scene.append_audio(BEGIN, b"xx", PAUSE)
        await asyncio.sleep(0)
        assert scene.pcm == []


async def test_an_early_transcript_that_fails_is_asked_for_again() -> None:
    transcriber = FakeTranscriber(ProviderTimeoutError("late"))
    async with listening(FakeAgent([ANSWER]), transcriber=transcriber, speculative=True) as scene:
        await scene.append_audio(BEGIN, b"xx", PAUSE)
        while not transcriber.utterances:
            await asyncio.sleep(0)
        transcriber.answer = "أين شحنتي؟"
        await scene.append_audio(END)
        await scene.recorder.until(events.TurnDone)
    assert scene.pcm == [b"B.xxP.", b"B.xxP.E."]
    assert not scene.recorder.of(events.Failed)


@pytest.mark.parametrize("ending", ["leaves", "speaks on", "stops listening"])
async def test_an_early_transcript_dies_with_what_it_was_for(ending: str) -> None:
    transcriber = SlowTranscriber()
    async with listening(FakeAgent([ANSWER]), transcriber=transcriber, speculative=True) as scene:
        await scene.append_audio(BEGIN, b"xx", PAUSE)
        await transcriber.until_asked(1)
        if ending == "speaks on":
            await scene.append_audio(END, BEGIN)
        elif ending == "stops listening":
            scene.session.stop_turn_detection()
        if ending != "leaves":
            while not transcriber.abandoned:
                await asyncio.sleep(0)
    assert transcriber.abandoned == [b"B.xxP."]


async def test_an_early_transcript_of_a_turn_that_has_begun_outlives_the_listening() -> None:
    transcriber = SlowTranscriber()
    async with listening(FakeAgent([ANSWER]), transcriber=transcriber, speculative=True) as scene:
        await scene.append_audio(BEGIN, b"xx", PAUSE)
        await transcriber.until_asked(1)
        await scene.append_audio(END)
        scene.session.stop_turn_detection()
        transcriber.goes_on.set()
        await scene.recorder.until(events.TurnDone)
    assert scene.recorder.of(events.Transcribed)


async def test_speech_without_end_is_cut_and_told() -> None:
    transcriber = SlowTranscriber()
    async with listening(FakeAgent([ANSWER]), transcriber=transcriber, speculative=True) as scene:
        transcriber.goes_on.set()
        await scene.append_audio(BEGIN, b"xx", PAUSE, b"yy", LIMIT)
        await scene.recorder.until(events.TurnDone)
    assert scene.recorder.of(events.UserSpeechStopped)[0].reason == "limit"
    assert transcriber.utterances[-1].pcm == b"B.xxP.yyL.", "no early transcript of a part of it"


async def test_the_client_may_end_the_utterance() -> None:
    async with listening(FakeAgent([ANSWER])) as scene:
        assert await scene.session.commit() is False
        await scene.append_audio(BEGIN, b"xx")
        assert await scene.session.commit() is True
        await scene.recorder.until(events.TurnDone)
    assert scene.recorder.of(events.UserSpeechStopped)[0].reason == "client"


@pytest.mark.parametrize(("frames", "pieces"), [(1, 5), (50, 50)])
async def test_much_audio_at_once_is_heard_in_pieces(frames: int, pieces: int) -> None:
    """Ten minutes at once, in one frame or in many, must not hold up the other sessions."""
    async with listening(FakeAgent([ANSWER])) as scene:
        ran: Sequence[int] = []

        async def other() -> None:
            while True:
                ran.append(len(scene.detector.during_response))  # type: ignore[attr-defined]
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        for _ in range(frames):
            await scene.session.append_audio(bytes(PCM16_16K.bytes_per_second // frames))
        task.cancel()
    assert len(scene.detector.during_response) == pieces
    assert len(ran) >= 4


@pytest.mark.parametrize(
    ("transcript", "by_voice"), [("أين شحنتي؟", True), ("", True), ("", False)]
)
async def test_the_audio_of_a_turn_is_let_go_when_it_is_over(
    transcript: str, by_voice: bool
) -> None:
    """A session is idle for most of its time, and an utterance may be of megabytes."""
    size = 5_000_000
    async with listening(FakeAgent([ANSWER]), transcriber=FakeTranscriber(transcript)) as scene:
        tracemalloc.start()
        try:
            await scene.session.begin(EncodedUtterance(bytes(size)))
            await scene.recorder.until(events.TurnDone)
            scene.recorder.events.clear()
            if by_voice:
                await scene.append_audio(BEGIN, bytes(size), END)
                await scene.recorder.until(events.TurnDone)
                scene.recorder.events.clear()
            scene.transcriber.utterances.clear()
            scene.detector.user_input = b""
            while scene.session.is_responding:
                scene.session.report_playback(2, 1000)
                await asyncio.sleep(0)
            await scene.append_audio(b"silence")
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert kept < size / 2


async def test_a_gateway_without_a_listener_says_so() -> None:
    recorder = Recorder()
    components = PipelineComponents(
        FakeTranscriber(), FakeAgent([]), FakeTransport([]), max_utterance_s=120
    )
    async with Session("s", components, STYLE, recorder.emit) as session:
        with pytest.raises(UnsupportedConfigurationError):
            await session.start_turn_detection(PCM16_16K)
