"""A turn with fake components: its events in order, its failures, its line in the log."""

import asyncio

import pytest
import structlog

from app import errors
from app.agents.base import AgentRequest
from app.pipeline import events
from app.pipeline.components import PipelineComponents
from app.pipeline.session import Session
from app.pipeline.user_input import EncodedUtterance
from tests import virtual_time
from tests.gateway import ARABIC_WAV
from tests.pipeline.fakes import STYLE, FakeAgent, FakeTranscriber, Recorder
from tests.pipeline.sessions import (
    AUDIO,
    FIRST,
    SECOND,
    audio_of_sentences,
    components,
    run_turn,
    running_session,
)
from tests.transports.fakes import FakeTransport, PlainSynthesizer, Step


async def test_events_come_in_the_order_of_their_meaning() -> None:
    transcriber = FakeTranscriber()
    recorder = await run_turn(
        FakeAgent([f"{FIRST} ", SECOND]),
        audio_of_sentences(2),
        EncodedUtterance(ARABIC_WAV),
        transcriber,
    )
    statuses = [status.code for status in recorder.of(events.Status)]
    assert statuses == ["transcribing", "thinking", "speaking"]
    assert [event.text for event in recorder.of(events.SentenceStarted)] == [FIRST, SECOND]
    assert len(recorder.of(events.PlayoutStarted)) == 1
    assert b"".join(event.data for event in recorder.of(events.AudioChunk)) == 2 * (
        b"\x01\x00" * 1600 + b"\x02\x00" * 1600
    )
    assert recorder.of(events.AgentResponded)[0].text == f"{FIRST} {SECOND}"
    assert recorder.kinds[-1] == "TurnDone"
    assert transcriber.utterances[0].format.sample_rate_hz == 16000


async def test_each_sentence_tells_where_its_audio_begins_and_ends() -> None:
    recorder = await run_turn(FakeAgent([f"{FIRST} ", SECOND]), audio_of_sentences(2))
    order = [name for name in recorder.kinds if name.startswith(("Sentence", "Audio"))]
    assert order == ["SentenceStarted", "AudioChunk", "SentenceEnded"] * 2
    assert [(event.index, event.audio_ms) for event in recorder.of(events.SentenceEnded)] == [
        (0, 200),
        (1, 200),
    ]


async def test_the_first_sentence_is_played_before_the_second_is_written() -> None:
    second_allowed = asyncio.Event()
    agent = FakeAgent([f"{FIRST} ", second_allowed, SECOND])
    recorder = Recorder()
    transport = audio_of_sentences(2)
    async with running_session(agent, transport, recorder=recorder) as session:
        await session.start_turn("مرحبا")
        await recorder.until(events.AudioChunk)
        assert transport.texts == [FIRST]
        second_allowed.set()
        await recorder.until(events.TurnDone)
    assert transport.texts == [FIRST, SECOND]


def test_a_client_that_reads_slowly_does_not_slow_the_agent_down() -> None:
    class SlowRecorder(Recorder):
        async def emit(self, event: events.Event) -> None:
            if isinstance(event, events.Token):
                await asyncio.sleep(5)
            await super().emit(event)

    recorder = virtual_time.run(
        run_turn(FakeAgent([FIRST]), audio_of_sentences(1), recorder=SlowRecorder())
    )
    assert recorder.of(events.TurnDone)[0].metrics.agent_done_ms == 0


async def test_text_without_speakable_characters_is_shown_and_not_synthesized() -> None:
    transport = FakeTransport([])
    recorder = await run_turn(FakeAgent(["😀 … !"]), transport)
    assert transport.texts == []
    assert recorder.of(events.AgentResponded)[0].text == "😀 … !"
    assert not recorder.of(events.Failed)


async def test_a_sentence_that_fails_is_reported_and_the_next_is_played() -> None:
    fails: list[Step] = [errors.IncompleteAudioError("short")]
    recorder = await run_turn(FakeAgent([f"{FIRST} ", SECOND]), FakeTransport([fails, [*AUDIO]]))
    (failure,) = recorder.of(events.Failed)
    assert failure.error.code == "incomplete-audio"
    assert failure.recoverable
    assert [event.text for event in recorder.of(events.SentenceStarted)] == [SECOND]
    metrics = recorder.of(events.TurnDone)[0].metrics
    assert [sentence.faults for sentence in metrics.sentences] == [["incomplete-audio"], []]


async def test_an_incomplete_response_is_played_as_far_as_it_goes_and_then_reported() -> None:
    agent = FakeAgent([f"{FIRST} ", "شحنتك في", errors.AgentCutError("cut")])
    recorder = await run_turn(agent, audio_of_sentences(2))
    assert [event.text for event in recorder.of(events.SentenceStarted)] == [FIRST, "شحنتك في"]
    assert recorder.kinds[-2:] == ["Failed", "TurnDone"]
    assert recorder.of(events.Failed)[0].error.code == "agent-cut"


@pytest.mark.parametrize(
    ("transcriber", "code"),
    [
        (FakeTranscriber(""), "no-speech"),
        (FakeTranscriber(errors.AuthenticationError("key")), "provider-authentication"),
    ],
)
async def test_without_a_transcript_the_agent_is_not_requested(
    transcriber: FakeTranscriber, code: str
) -> None:
    agent = FakeAgent([])
    recorder = await run_turn(agent, FakeTransport([]), EncodedUtterance(ARABIC_WAV), transcriber)
    assert [event.error.code for event in recorder.of(events.Failed)] == [code]
    assert agent.requests == []
    assert recorder.kinds[-1] == "TurnDone"


async def test_a_bug_is_reported_as_internal_and_ends_only_its_turn() -> None:
    class BrokenAgent(FakeAgent):
        def answer(self, request: AgentRequest) -> object:  # type: ignore[override] # it raises
            raise ZeroDivisionError

    recorder = await run_turn(BrokenAgent([]), FakeTransport([]))
    assert [event.error.code for event in recorder.of(events.Failed)] == ["internal"]


@pytest.mark.parametrize("allowed", [False, True])
async def test_the_log_holds_the_texts_only_if_it_may(allowed: bool) -> None:
    recorder = Recorder()
    shared = PipelineComponents(
        FakeTranscriber(),
        FakeAgent([FIRST]),
        PlainSynthesizer(audio_of_sentences(1)),
        max_utterance_s=120,
        log_transcripts=allowed,
    )
    with structlog.testing.capture_logs() as lines:
        async with Session("s", shared, STYLE, recorder.emit) as session:
            await session.start_turn("كلمة السر")
            await recorder.until(events.TurnDone)
    (line,) = [line for line in lines if line["event"] == "turn"]
    assert (line.get("user_text"), line.get("response")) == (
        ("كلمة السر", FIRST) if allowed else (None, None)
    )
    assert ("كلمة السر" in str(lines)) == allowed


async def test_a_turn_interrupted_before_its_first_step_is_logged_too() -> None:
    shared = components(FakeAgent([]), FakeTransport([]))
    with structlog.testing.capture_logs() as lines:
        async with Session("s", shared, STYLE, Recorder().emit) as session:
            await session.start_turn("مرحبا")
            await session.interrupt("client")
    outcomes = [line["outcome"] for line in lines if line["event"] == "turn"]
    assert outcomes == ["interrupted"]
