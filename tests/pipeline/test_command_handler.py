"""Commands: what each does to a session, and what is refused without an effect."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from app import errors
from app.audio import AudioFormat, wav
from app.pipeline import commands, events
from app.pipeline.command_handler import SLICE_BYTES, CommandHandler
from app.pipeline.components import PipelineComponents
from app.pipeline.conversation_metrics import ConversationMetrics
from app.pipeline.session import Session
from app.pipeline.session_config import InputLimits, SessionConfig, SessionTerms, SpeechStyle
from app.types import Voice
from app.vad.base import UtteranceDetector
from tests.gateway import ARABIC_WAV
from tests.pipeline.fakes import STYLE, FakeAgent, FakeTranscriber, Recorder
from tests.pipeline.sessions import FIRST
from tests.pipeline.turn_detection import BEGIN, ScriptedDetector
from tests.transports.fakes import FakeTransport, PlainSynthesizer

PCM = b"\x01\x02" * 1600
DETECTING = SessionConfig(STYLE, turn_detection="server_vad")


@dataclass
class Client:
    """A client that gives commands, and what comes of them."""

    handler: CommandHandler
    recorder: Recorder
    agent: FakeAgent
    transcriber: FakeTranscriber
    metrics: ConversationMetrics

    async def give(self, *given: commands.Command) -> None:
        for command in given:
            await self.handler.handle(command)

    @property
    def asked(self) -> list[str]:
        return [request.text for request in self.agent.requests]


@asynccontextmanager
async def client(
    *,
    has_vad: bool = True,
    fixed_speaker: str | None = None,
    transports: tuple[str, ...] = (),
    utterance_bytes: int = 100_000,
) -> AsyncIterator[Client]:
    agent, transcriber, recorder = FakeAgent([FIRST]), FakeTranscriber(), Recorder()

    async def create_detector(format: AudioFormat) -> UtteranceDetector:
        return ScriptedDetector()

    components = PipelineComponents(
        transcriber,
        agent,
        PlainSynthesizer(FakeTransport([[b"\x01\x00" * 1600] for _ in range(3)])),
        max_utterance_s=10,
        create_detector=create_detector if has_vad else None,
    )
    limits = InputLimits(utterance_bytes=utterance_bytes, text_chars=20)
    terms = SessionTerms("s", SessionConfig(STYLE), limits, transports, fixed_speaker)
    async with Session("s", components, STYLE, recorder.emit) as session:
        handler = CommandHandler(session, terms, recorder.emit, max_utterance_s=10)
        yield Client(handler, recorder, agent, transcriber, components.metrics)


async def test_text_waits_for_respond() -> None:
    async with client() as user:
        await user.give(commands.AddText(" رقمي 7 "), commands.AddText("أين هي؟"))
        assert not user.handler.is_responding
        await user.give(commands.Respond())
        await user.recorder.until(events.TurnDone)
        assert user.asked == ["رقمي 7\nأين هي؟"]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (commands.AddText(" \n"), errors.EmptyTextError),
        (commands.AddText("س" * 21), errors.TextTooLongError),
        (commands.Respond(), errors.EmptyTextError),
        (commands.Commit(), errors.EmptyAudioError),
        (commands.AppendAudio(bytes(100_002)), errors.UtteranceTooLongError),
    ],
    ids=["blank", "much text", "no text", "no audio", "much audio"],
)
async def test_what_cannot_be_used_is_refused_and_begins_no_turn(
    command: commands.Command, error: type[errors.BadInputError]
) -> None:
    async with client() as user:
        with pytest.raises(error):
            await user.give(command)
        assert user.recorder.events == []
        await user.give(commands.AddText("مرحبا"), commands.Respond())
        await user.recorder.until(events.TurnDone)


async def test_streamed_audio_is_transcribed_when_it_is_committed() -> None:
    async with client() as user:
        await user.give(commands.AppendAudio(PCM[:3]), commands.AppendAudio(PCM[3:]))
        assert not user.handler.is_responding
        await user.give(commands.Commit())
        await user.recorder.until(events.TurnDone)
        assert [utterance.pcm for utterance in user.transcriber.utterances] == [PCM]


async def test_streamed_audio_is_converted_and_counted_as_it_came() -> None:
    async with client() as user:
        telephone = SessionConfig(STYLE, input=AudioFormat("mulaw", 8000))
        await user.give(commands.Configure(telephone), commands.AppendAudio(b"\xff" * 8000))
        await user.give(commands.Commit())
        await user.recorder.until(events.TurnDone)
        assert [utterance.pcm for utterance in user.transcriber.utterances] == [bytes(32_000)]
        assert (user.metrics.audio_bytes["in"], user.metrics.audio_s["in"]) == (8000, 1.0)
        (done,) = user.recorder.of(events.TurnDone)
        assert done.metrics.endpointing_ms is None, "nobody had to find the end"


async def test_others_run_while_a_large_frame_is_converted() -> None:
    turns: list[int] = []

    async def other() -> None:
        while True:
            turns.append(len(turns))
            await asyncio.sleep(0)

    async with client(utterance_bytes=3 * SLICE_BYTES) as user:
        wideband = SessionConfig(STYLE, input=AudioFormat("pcm_s16le", 48_000))
        await user.give(commands.Configure(wideband))
        task = asyncio.create_task(other())
        await user.give(commands.AppendAudio(bytes(3 * SLICE_BYTES)))
        task.cancel()
        assert len(turns) == 2
        await user.give(commands.Commit())
        await user.recorder.until(events.TurnDone)
        assert [len(each.pcm) for each in user.transcriber.utterances] == [SLICE_BYTES]


async def test_a_recording_begins_a_turn() -> None:
    async with client() as user:
        await user.give(commands.SubmitRecording(wav(PCM, AudioFormat())))
        await user.recorder.until(events.TurnDone)
        assert [utterance.pcm for utterance in user.transcriber.utterances] == [PCM]


async def test_audio_that_is_cleared_belongs_to_no_utterance() -> None:
    async with client() as user:
        await user.give(commands.AppendAudio(bytes(640)), commands.Clear())
        await user.give(commands.AppendAudio(PCM), commands.Commit())
        await user.recorder.until(events.TurnDone)
        assert [utterance.pcm for utterance in user.transcriber.utterances] == [PCM]


async def test_detected_speech_that_is_cleared_belongs_to_no_utterance() -> None:
    async with client() as user:
        await user.give(commands.Configure(DETECTING), commands.AppendAudio(BEGIN))
        await user.give(commands.Clear())
        with pytest.raises(errors.EmptyAudioError):
            await user.give(commands.Commit())
        await user.give(commands.AppendAudio(BEGIN), commands.Commit())
        await user.recorder.until(events.TurnDone)


async def test_cancel_interrupts_and_is_harmless_without_a_turn() -> None:
    async with client() as user:
        await user.give(commands.Cancel(), commands.SubmitRecording(ARABIC_WAV), commands.Cancel())
        (interrupted,) = user.recorder.of(events.Interrupted)
        assert (interrupted.turn, interrupted.reason) == (1, "client")


async def test_what_the_client_played_or_heard_is_what_the_agent_is_told() -> None:
    async with client() as user:
        await user.give(commands.AddText("الأول"), commands.Respond())
        await user.recorder.until(events.TurnDone)
        await user.give(commands.ReportPlayback(1, 0), commands.Cancel())
        assert user.recorder.of(events.Interrupted)[0].played_text == ""
        await user.give(commands.Truncate(1, 1000), commands.AddText("الثاني"), commands.Respond())
        await user.recorder.until(events.TurnDone, 2)
        assert user.agent.requests[1].played_text == FIRST


async def test_a_configuration_counts_from_the_next_turn_on() -> None:
    async with client() as user:
        await user.give(commands.AddText("مرحبا"), commands.Respond())
        style = replace(STYLE, language="en")
        await user.give(commands.Configure(SessionConfig(style)))
        (configured,) = user.recorder.of(events.Configured)
        assert (configured.config.style.language, configured.after_turn) == ("en", 1)


async def test_a_configuration_that_is_refused_changes_nothing() -> None:
    async with client(has_vad=False) as user:
        await user.give(commands.AppendAudio(PCM))
        with pytest.raises(errors.UnsupportedConfigurationError):
            await user.give(commands.Configure(DETECTING))
        assert user.recorder.events == []
        await user.give(commands.Commit())
        await user.recorder.until(events.TurnDone)


@pytest.mark.parametrize(
    ("style", "allowed"),
    [
        (replace(STYLE, voice=Voice("Salma", "ksa")), "speaker: allowed: Majd"),
        (replace(STYLE, voice=Voice("Majd", "egy")), ""),
        (replace(STYLE, transport="rest"), ""),
        (replace(STYLE, transport="other"), "transport: allowed: rest"),
    ],
)
async def test_a_client_chooses_what_its_terms_allow(style: SpeechStyle, allowed: str) -> None:
    async with client(fixed_speaker="Majd", transports=("rest",)) as user:
        if allowed:
            with pytest.raises(errors.UnsupportedConfigurationError, match=allowed):
                await user.give(commands.Configure(SessionConfig(style)))
        else:
            await user.give(commands.Configure(SessionConfig(style)))
        assert bool(user.recorder.of(events.Configured)) is not bool(allowed)
