"""A conversation with scripted stages: what the client hears of it, and in which order."""

import asyncio

import pytest
import structlog

from app import errors
from app.pipeline import events
from app.pipeline.components import PipelineComponents
from app.pipeline.session import Session
from app.pipeline.timeline import Timeline
from app.pipeline.user_input import EncodedUtterance
from app.stt.base import Utterance
from app.telemetry.speech_metrics import SpeechMetrics
from app.transports.base import TrailingAudio
from tests import virtual_time
from tests.gateway import ARABIC_WAV
from tests.pipeline.fakes import STYLE, FakeAgent, FakeTranscriber, Recorder
from tests.transports.fakes import FakeTransport, Step

FIRST = "أهلاً وسهلاً بك في خدمة العملاء لشركة ناقل إكسبرس في الرياض."
SECOND = "شحنتك في الطريق إليك الآن وستصل قبل الظهر إن شاء الله تعالى."
AUDIO: list[Step] = [b"\x01\x00" * 1600, b"\x02\x00" * 1600]


def components(
    agent: FakeAgent, transport: FakeTransport, transcriber: FakeTranscriber | None = None
) -> PipelineComponents:
    return PipelineComponents(
        transcriber or FakeTranscriber(), agent, transport, max_utterance_s=120
    )


async def converse(
    agent: FakeAgent,
    transport: FakeTransport,
    user_input: EncodedUtterance | str = "أين شحنتي؟",
    transcriber: FakeTranscriber | None = None,
) -> Recorder:
    recorder = Recorder()
    async with Session(
        "s", components(agent, transport, transcriber), STYLE, recorder.emit
    ) as session:
        await session.begin(user_input)
        await recorder.until(events.TurnDone)
    return recorder


async def test_a_turn_tells_its_events_in_the_order_of_their_meaning() -> None:
    transcriber = FakeTranscriber()
    recorder = await converse(
        FakeAgent([f"{FIRST} ", SECOND]),
        FakeTransport([[*AUDIO], [*AUDIO]]),
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


async def test_the_first_sentence_is_spoken_before_the_second_is_written() -> None:
    goes_on = asyncio.Event()
    agent = FakeAgent([f"{FIRST} ", goes_on, SECOND])
    recorder = Recorder()
    transport = FakeTransport([[*AUDIO], [*AUDIO]])
    async with Session("s", components(agent, transport), STYLE, recorder.emit) as session:
        await session.begin("مرحبا")
        await recorder.until(events.AudioChunk)
        assert transport.texts == [FIRST]
        goes_on.set()
        await recorder.until(events.TurnDone)
    assert transport.texts == [FIRST, SECOND]


def test_a_client_that_reads_slowly_does_not_make_the_agent_slow() -> None:
    class Slow(Recorder):
        async def emit(self, event: events.Event) -> None:
            if isinstance(event, events.Token):
                await asyncio.sleep(5)
            await super().emit(event)

    async def converse_slowly() -> float | None:
        recorder, shared = Slow(), components(FakeAgent([FIRST]), FakeTransport([[*AUDIO]]))
        async with Session("s", shared, STYLE, recorder.emit) as session:
            await session.begin("مرحبا")
            await recorder.until(events.TurnDone)
        return recorder.of(events.TurnDone)[0].metrics.agent_done_ms

    assert virtual_time.run(converse_slowly()) == 0


async def test_text_with_nothing_speakable_is_shown_and_not_sent() -> None:
    transport = FakeTransport([])
    recorder = await converse(FakeAgent(["😀 … !"]), transport)
    assert transport.texts == []
    assert recorder.of(events.AgentResponded)[0].text == "😀 … !"
    assert not recorder.of(events.Failed)


async def test_a_sentence_that_fails_is_told_and_the_next_is_spoken() -> None:
    fails: list[Step] = [errors.IncompleteAudioError("short")]
    recorder = await converse(FakeAgent([f"{FIRST} ", SECOND]), FakeTransport([fails, [*AUDIO]]))
    (failure,) = recorder.of(events.Failed)
    assert failure.error.code == "incomplete-audio"
    assert failure.recoverable
    assert [event.text for event in recorder.of(events.SentenceStarted)] == [SECOND]
    metrics = recorder.of(events.TurnDone)[0].metrics
    assert [sentence.faults for sentence in metrics.sentences] == [["incomplete-audio"], []]


async def test_an_answer_that_is_cut_is_spoken_as_far_as_it_goes_and_then_told() -> None:
    agent = FakeAgent([f"{FIRST} ", "شحنتك في", errors.AgentCutError("cut")])
    recorder = await converse(agent, FakeTransport([[*AUDIO], [*AUDIO]]))
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
async def test_without_a_transcript_the_agent_is_not_asked(
    transcriber: FakeTranscriber, code: str
) -> None:
    agent = FakeAgent([])
    recorder = await converse(agent, FakeTransport([]), EncodedUtterance(ARABIC_WAV), transcriber)
    assert [event.error.code for event in recorder.of(events.Failed)] == [code]
    assert agent.requests == []
    assert recorder.kinds[-1] == "TurnDone"


async def test_a_fault_of_ours_is_told_as_internal_and_the_session_goes_on() -> None:
    class Broken(FakeAgent):
        def answer(self, request: object) -> object:  # type: ignore[override]
            raise ZeroDivisionError

    recorder = await converse(Broken([]), FakeTransport([]))
    assert [event.error.code for event in recorder.of(events.Failed)] == ["internal"]


async def test_audio_that_comes_after_the_end_is_played_before_the_next_sentence() -> None:
    trailing = TrailingAudio(30, SpeechMetrics())
    trailing.put(b"\x09\x00")
    transport = FakeTransport([[*AUDIO], [*AUDIO]], trailing=trailing)
    trailing.close()
    recorder = await converse(FakeAgent([f"{FIRST} ", SECOND]), transport)
    told = [event for event in recorder.events if not isinstance(event, events.Token)]
    second = next(
        at
        for at, event in enumerate(told)
        if isinstance(event, events.SentenceStarted) and event.index == 1
    )
    assert isinstance(told[second - 1], events.AudioChunk)
    assert told[second - 1].data == b"\x09\x00"


async def test_audio_that_comes_after_the_last_end_is_waited_for() -> None:
    trailing = TrailingAudio(30, SpeechMetrics())
    recorder = Recorder()
    transport = FakeTransport([[*AUDIO]], trailing=trailing)
    async with Session(
        "s", components(FakeAgent([FIRST]), transport), STYLE, recorder.emit
    ) as session:
        await session.begin("مرحبا")
        while b"".join(chunk.data for chunk in recorder.of(events.AudioChunk)) != b"".join(AUDIO):
            await asyncio.sleep(0)
        trailing.put(b"\x09\x00")
        trailing.close()
        await recorder.until(events.TurnDone)
    assert recorder.of(events.AudioChunk)[-1].data == b"\x09\x00"


async def test_audio_whose_turn_has_passed_is_counted() -> None:
    metrics = SpeechMetrics()
    trailing = TrailingAudio(30, metrics)
    trailing.drain()
    trailing.put(b"\x09\x00")
    assert (trailing.drain(), metrics.late_audio_bytes) == (b"", 2)


async def test_waiting_for_late_audio_is_bounded() -> None:
    await TrailingAudio(0.001, SpeechMetrics()).wait_closed()


async def test_a_new_utterance_interrupts_the_turn_and_nothing_of_it_follows() -> None:
    never = asyncio.Event()
    agent = FakeAgent([f"{FIRST} ", never])
    transport = FakeTransport([[*AUDIO], [*AUDIO]])
    recorder = Recorder()
    async with Session("s", components(agent, transport), STYLE, recorder.emit) as session:
        await session.begin("الأول")
        await recorder.until(events.AudioChunk)
        await session.begin("الثاني")
        (interrupted,) = recorder.of(events.Interrupted)
        at = recorder.events.index(interrupted)
        while len(recorder.of(events.SentenceStarted)) < 2:
            await asyncio.sleep(0)
        await session.interrupt("client")
    assert interrupted.turn == 1
    assert interrupted.reason == "barge_in"
    assert all(event.turn == 2 for event in recorder.events[at + 1 :])
    assert [event.reason for event in recorder.of(events.Interrupted)] == ["barge_in", "client"]
    assert agent.open == transport.open == 0


async def test_leaving_the_session_cancels_the_turn_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    agent = FakeAgent([FIRST, asyncio.Event()])
    transport = FakeTransport([[*AUDIO]])
    recorder = Recorder()
    async with Session("s", components(agent, transport), STYLE, recorder.emit) as session:
        await session.begin("مرحبا")
        await recorder.until(events.Token)
    assert asyncio.all_tasks() == before
    assert agent.open == transport.open == 0


async def test_a_client_that_is_gone_ends_nothing_but_its_own_events() -> None:
    recorder = Recorder(gone=True)
    agent = FakeAgent([FIRST])
    async with Session(
        "s", components(agent, FakeTransport([[*AUDIO]])), STYLE, recorder.emit
    ) as session:
        await session.begin("مرحبا")
    assert recorder.events == []


@pytest.mark.parametrize("allowed", [False, True])
async def test_the_log_holds_what_was_said_only_where_it_may(allowed: bool) -> None:
    agent, transport = FakeAgent([FIRST]), FakeTransport([[*AUDIO]])
    recorder = Recorder()
    shared = PipelineComponents(FakeTranscriber(), agent, transport, 120, log_transcripts=allowed)
    with structlog.testing.capture_logs() as lines:
        async with Session("s", shared, STYLE, recorder.emit) as session:
            await session.begin("كلمة السر")
            await recorder.until(events.TurnDone)
    (line,) = [line for line in lines if line["event"] == "turn"]
    assert (line.get("heard"), line.get("answered")) == (
        ("كلمة السر", FIRST) if allowed else (None, None)
    )
    assert ("كلمة السر" in str(lines)) == allowed


async def test_a_turn_interrupted_before_its_first_step_has_its_line_in_the_log_too() -> None:
    with structlog.testing.capture_logs() as lines:
        async with Session(
            "s", components(FakeAgent([]), FakeTransport([])), STYLE, Recorder().emit
        ) as session:
            await session.begin("مرحبا")
            await session.interrupt("client")
    outcomes = [line["outcome"] for line in lines if line["event"] == "turn"]
    assert outcomes == ["interrupted"]


@pytest.mark.parametrize("error", [events.ClientGoneError, ZeroDivisionError])
async def test_what_ends_a_session_leaves_it_as_what_it_is(error: type[Exception]) -> None:
    recorder = Recorder()
    agent = FakeAgent([f"{FIRST} ", asyncio.Event()])
    transport = FakeTransport([[*AUDIO]])
    with pytest.raises(error):
        async with Session("s", components(agent, transport), STYLE, recorder.emit) as session:
            await session.begin("مرحبا")
            await recorder.until(events.AudioChunk)
            raise error
    assert agent.open == transport.open == 0
    assert "TurnDone" not in recorder.kinds


async def test_a_client_that_is_gone_when_it_is_interrupted_ends_the_session_as_gone() -> None:
    recorder = Recorder()
    agent = FakeAgent([f"{FIRST} ", asyncio.Event()])
    with pytest.raises(events.ClientGoneError):
        async with Session(
            "s", components(agent, FakeTransport([[*AUDIO]])), STYLE, recorder.emit
        ) as session:
            await session.begin("الأول")
            await recorder.until(events.AudioChunk)
            recorder.gone = True
            await session.begin("الثاني")


async def test_a_warm_up_that_hangs_does_not_hold_up_the_end_of_a_session() -> None:
    class Cold(FakeTransport):
        async def warm_up(self) -> None:
            await asyncio.Event().wait()

    async with Session("s", components(FakeAgent([]), Cold([])), STYLE, Recorder().emit):
        await asyncio.sleep(0)


@pytest.fixture
def half_played(monkeypatch: pytest.MonkeyPatch) -> None:
    """A player that has played half of what it was sent, whatever the clock says."""
    monkeypatch.setattr(Timeline, "played_ms", lambda self, _: self._sent_ms / 2)


async def test_the_request_after_an_interruption_tells_what_was_heard_and_no_later_one(
    half_played: None,
) -> None:
    agent = FakeAgent([f"{FIRST} ", asyncio.Event()])
    transport = FakeTransport([[*AUDIO] for _ in range(4)])
    recorder = Recorder()
    async with Session("s", components(agent, transport), STYLE, recorder.emit) as session:
        await session.begin("الأول")
        await recorder.until(events.AudioChunk)
        await session.begin("الثاني")
        await until_asked(agent, 2)
        agent.pieces = [FIRST]
        await session.interrupt("client")
        await session.begin("الثالث")
        await recorder.until(events.TurnDone)
        await session.begin("الرابع")
        await until_asked(agent, 4)
    first, second = recorder.of(events.Interrupted)
    assert FIRST.startswith(first.played_text)
    assert first.played_text
    assert [(r.interrupted, r.played_text) for r in agent.requests] == [
        (False, ""),
        (True, first.played_text),
        (True, second.played_text),
        (False, ""),
    ]


async def test_an_interruption_before_anything_was_heard_is_told_too() -> None:
    agent = FakeAgent([asyncio.Event()])
    recorder = Recorder()
    async with Session("s", components(agent, FakeTransport([])), STYLE, recorder.emit) as session:
        await session.begin("الأول")
        await until_asked(agent, 1)
        await session.interrupt("client")
        await session.begin("الثاني")
        await until_asked(agent, 2)
    assert [(r.interrupted, r.played_text) for r in agent.requests] == [(False, ""), (True, "")]


@pytest.mark.parametrize("interrupted", [False, True])
async def test_a_turn_that_never_asks_leaves_the_telling_to_the_next(
    half_played: None, interrupted: bool
) -> None:
    """What was heard is not lost on a noise, nor does a noise unsay the answer before."""
    agent = FakeAgent([f"{FIRST} ", asyncio.Event()])
    transcriber = Deaf(asyncio.Event())
    recorder = Recorder()
    shared = components(agent, FakeTransport([[*AUDIO]] * 2), transcriber)
    async with Session("s", shared, STYLE, recorder.emit) as session:
        await session.begin("الأول")
        await recorder.until(events.AudioChunk)
        await session.begin(EncodedUtterance(ARABIC_WAV))
        while not transcriber.utterances:
            await asyncio.sleep(0)
        if not interrupted:
            transcriber.goes_on.set()
            await recorder.until(events.TurnDone)
        await session.begin("الثالث")
        await until_asked(agent, 2)
    assert [(r.interrupted, r.played_text) for r in agent.requests] == [
        (False, ""),
        (True, recorder.of(events.Interrupted)[0].played_text),
    ]
    assert agent.requests[1].played_text


async def test_speaking_over_what_never_asked_is_no_interruption_for_the_agent() -> None:
    agent = FakeAgent([asyncio.Event()])
    transcriber = Deaf(asyncio.Event())
    recorder = Recorder()
    shared = components(agent, FakeTransport([]), transcriber)
    async with Session("s", shared, STYLE, recorder.emit) as session:
        await session.begin(EncodedUtterance(ARABIC_WAV))
        while not transcriber.utterances:
            await asyncio.sleep(0)
        await session.begin("الثاني")
        await until_asked(agent, 1)
    assert recorder.of(events.Interrupted)
    assert agent.requests[0].interrupted is False


class Deaf(FakeTranscriber):
    """Hears nothing, once it may."""

    def __init__(self, goes_on: asyncio.Event) -> None:
        super().__init__("")
        self.goes_on = goes_on

    async def transcribe(self, utterance: Utterance) -> str:
        self.utterances.append(utterance)
        await self.goes_on.wait()
        return ""


async def until_asked(agent: FakeAgent, times: int) -> None:
    while len(agent.requests) < times:
        await asyncio.sleep(0)
