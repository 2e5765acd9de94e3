"""Sentences made ahead and played in order, on a scripted transport and a clock that is set."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from app.errors import ConnectionLostError, IncompleteAudioError, ProviderError
from app.pipeline import events
from app.pipeline.playout import MARGIN_S, Playout
from app.pipeline.timeline import Timeline
from app.telemetry.speech_metrics import SpeechMetrics
from app.transports.base import AudioStream, SpeechRequest, TrailingAudio, TTSTransport
from tests import virtual_time
from tests.pipeline.fakes import STYLE, Recorder
from tests.transports.fakes import FakeStream, Step

SECOND_OF_AUDIO = b"\x01\x00" * 16000


@dataclass
class Script:
    """What one sentence answers, and when; `late` is what follows its end."""

    steps: list[Step]
    trailing: TrailingAudio | None = None


@dataclass
class ScriptedTransport(TTSTransport):
    """Answers each text by its script, and tells what it was asked."""

    scripts: dict[str, Script]
    name: str = "scripted"
    requests: dict[str, SpeechRequest] = field(default_factory=dict)
    needed_now: dict[str, bool] = field(default_factory=dict)
    """Whether each sentence was due when it was asked for."""
    open: int = 0
    most_open: int = 0

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[AudioStream]:
        assert request.needed_now is not None
        self.requests[request.text] = request
        self.needed_now[request.text] = request.needed_now.is_set()
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            script = self.scripts[request.text]
            yield FakeStream(script.steps, script.trailing)
        finally:
            self.open -= 1


@dataclass
class StreamedUtterance:
    """A `Speech` that runs, and what it stands between."""

    transport: ScriptedTransport
    recorder: Recorder
    timeline: Timeline
    saying: asyncio.Task[None]

    @property
    def heard(self) -> list[str | bytes | ProviderError]:
        """Texts, audio and failures in the order in which the client learned them."""
        told: list[str | bytes | ProviderError] = []
        for event in self.recorder.events:
            if isinstance(event, events.SentenceStarted):
                told.append(event.text)
            elif isinstance(event, events.AudioChunk):
                told.append(event.data)
            elif isinstance(event, events.Failed):
                assert isinstance(event.error, ProviderError)
                told.append(event.error)
        return told


async def texts_of(scripts: dict[str, Script]) -> AsyncIterator[str]:
    for text in scripts:
        yield text


def speak(
    scripts: dict[str, Script], *, lookahead: int = 1, recorder: Recorder | None = None
) -> StreamedUtterance:
    recorder = recorder or Recorder()
    transport = ScriptedTransport(scripts)
    timeline = Timeline(asyncio.get_running_loop().time())
    speech = Playout(1, transport, STYLE, timeline, recorder.emit, lookahead=lookahead)
    saying = asyncio.create_task(speech.say(texts_of(scripts)))
    return StreamedUtterance(transport, recorder, timeline, saying)


async def turns() -> None:
    """Let every task that can run do so."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.mark.parametrize("lookahead", [0, 1, 2, 5])
async def test_no_more_sentences_are_in_the_making_than_are_made_ahead_and_the_one_played(
    lookahead: int,
) -> None:
    gates = {str(number): asyncio.Event() for number in range(8)}
    spoken = speak(
        {text: Script([gate, b"aa"]) for text, gate in gates.items()}, lookahead=lookahead
    )
    for number, gate in enumerate(gates.values(), start=1):
        await turns()
        assert spoken.transport.open == min(1 + lookahead, 9 - number)
        gate.set()
    await spoken.saying
    assert spoken.transport.most_open == 1 + lookahead


async def test_sentences_that_are_made_but_not_played_count_as_in_the_making() -> None:
    never = asyncio.Event()
    scripts = {"1": Script([never, b"11"]), **{str(n): Script([b"xx"]) for n in range(2, 6)}}
    spoken = speak(scripts, lookahead=2)
    await turns()
    assert list(spoken.transport.requests) == ["1", "2", "3"]
    never.set()
    await spoken.saying


async def test_the_order_holds_when_the_second_is_ready_before_the_first() -> None:
    first = asyncio.Event()
    spoken = speak({"1": Script([b"1a", first, b"1b"]), "2": Script([b"2a", b"2b"])})
    await turns()
    assert spoken.transport.open == 1, "the second is made"
    assert spoken.heard == ["1", b"1a"]
    first.set()
    await spoken.saying
    assert spoken.heard == ["1", b"1a", b"1b", "2", b"2a2b"], "what waits is joined"


async def test_a_failure_made_ahead_is_told_at_its_turn_and_the_next_is_spoken() -> None:
    first = asyncio.Event()
    failure = IncompleteAudioError("short")
    scripts = {"1": Script([b"1a", first, b"1b"]), "2": Script([failure]), "3": Script([b"3a"])}
    spoken = speak(scripts, lookahead=2)
    await turns()
    assert spoken.heard == ["1", b"1a"]
    first.set()
    await spoken.saying
    assert spoken.heard == ["1", b"1a", b"1b", failure, "3", b"3a"]


async def test_what_was_made_before_a_failure_is_heard_before_it() -> None:
    lost = ConnectionLostError("gone")
    spoken = speak({"1": Script([b"1a", lost]), "2": Script([b"2a"])})
    await spoken.saying
    assert spoken.heard == ["1", b"1a", lost, "2", b"2a"]


async def test_a_sentence_is_due_when_it_is_its_turn_and_not_before() -> None:
    first, second = asyncio.Event(), asyncio.Event()
    spoken = speak({"1": Script([b"1a", first]), "2": Script([second, b"2a"]), "3": Script([b""])})
    await turns()
    needed_now = {text: request.needed_now for text, request in spoken.transport.requests.items()}
    assert {text: event is not None and event.is_set() for text, event in needed_now.items()} == {
        "1": True,
        "2": False,
    }
    first.set()
    await turns()
    assert needed_now["2"] is not None
    assert needed_now["2"].is_set()
    second.set()
    await spoken.saying


async def test_what_is_due_at_once_is_asked_for_as_due() -> None:
    spoken = speak({"1": Script([b"1a"]), "2": Script([b"2a"])}, lookahead=0)
    await spoken.saying
    assert spoken.transport.needed_now == {"1": True, "2": True}


async def test_what_is_made_ahead_is_asked_for_as_such() -> None:
    first = asyncio.Event()
    spoken = speak({"1": Script([b"1a", first]), "2": Script([b"2a"])})
    await turns()
    first.set()
    await spoken.saying
    assert spoken.transport.needed_now == {"1": True, "2": False}


async def test_late_audio_is_waited_for_while_the_client_has_audio_left() -> None:
    trailing = TrailingAudio(30, SpeechMetrics())
    spoken = speak({"1": Script([SECOND_OF_AUDIO], trailing), "2": Script([b"2a"])})
    await turns()
    assert spoken.heard == ["1", SECOND_OF_AUDIO]
    trailing.put(b"1z")
    trailing.close()
    await spoken.saying
    assert spoken.heard == ["1", SECOND_OF_AUDIO, b"1z", "2", b"2a"]


async def test_late_audio_is_not_waited_for_when_the_client_has_none_left() -> None:
    metrics = SpeechMetrics()
    trailing = TrailingAudio(30, metrics)
    little = SECOND_OF_AUDIO[: int(MARGIN_S * 32000)]
    spoken = speak({"1": Script([little], trailing), "2": Script([b"2a"])})
    await spoken.saying
    assert spoken.heard == ["1", little, "2", b"2a"]
    trailing.put(b"1z")
    assert metrics.late_audio_bytes == 2


async def test_audio_that_was_played_since_the_clients_report_is_not_left() -> None:
    trailing, next_one = TrailingAudio(30, SpeechMetrics()), asyncio.Event()
    spoken = speak({"1": Script([SECOND_OF_AUDIO], trailing), "2": Script([next_one, b"2a"])})
    await turns()
    spoken.timeline.on_playback_report(100, asyncio.get_running_loop().time() - 0.9)
    next_one.set()
    await turns()
    assert spoken.heard == ["1", SECOND_OF_AUDIO, "2", b"2a"]
    await spoken.saying


def test_late_audio_is_waited_for_after_a_silence_too() -> None:
    """A client that had to wait has no less left of what came then."""

    async def converse() -> list[str | bytes | ProviderError]:
        trailing, goes_on = TrailingAudio(30, SpeechMetrics()), asyncio.Event()
        spoken = speak(
            {
                "1": Script([b"1a"]),
                "2": Script([goes_on, SECOND_OF_AUDIO], trailing),
                "3": Script([b"3a"]),
            }
        )
        await asyncio.sleep(5)
        goes_on.set()
        await asyncio.sleep(0.1)
        trailing.put(b"2z")
        trailing.close()
        await spoken.saying
        return spoken.heard

    heard = virtual_time.run(converse())
    assert heard == ["1", b"1a", "2", SECOND_OF_AUDIO, b"2z", "3", b"3a"]


async def test_the_wait_for_late_audio_ends_when_the_client_runs_out_of_audio() -> None:
    trailing = TrailingAudio(30, SpeechMetrics())
    some = SECOND_OF_AUDIO[: int((MARGIN_S + 0.05) * 32000)]
    spoken = speak({"1": Script([some], trailing), "2": Script([b"2a"])})
    began_at = asyncio.get_running_loop().time()
    await spoken.saying
    assert 0.03 < asyncio.get_running_loop().time() - began_at < 2
    assert spoken.heard == ["1", some, "2", b"2a"]


async def test_late_audio_is_heard_though_the_sentence_after_it_fails() -> None:
    trailing = TrailingAudio(30, SpeechMetrics())
    failure = IncompleteAudioError("short")
    spoken = speak({"1": Script([b"1a"], trailing), "2": Script([failure])})
    await turns()
    trailing.put(b"1z")
    trailing.close()
    await spoken.saying
    assert spoken.heard == ["1", b"1a", failure, b"1z"]


async def test_cancelled_while_a_sentence_is_full_it_leaves_no_task_and_nothing_open() -> None:
    before = asyncio.all_tasks()

    class Slow(Recorder):
        async def emit(self, event: events.Event) -> None:
            await super().emit(event)
            if isinstance(event, events.AudioChunk):
                await asyncio.Event().wait()

    spoken = speak({"1": Script([SECOND_OF_AUDIO] * 40), "2": Script([b"2a"])}, recorder=Slow())
    await turns()
    assert spoken.transport.open == 1
    spoken.saying.cancel()
    await asyncio.wait([spoken.saying])
    assert spoken.transport.open == 0
    while asyncio.all_tasks() - before:
        await asyncio.sleep(0)
