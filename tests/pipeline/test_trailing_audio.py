"""Audio that arrives after the end of a sentence's stream: waited for, played, or dropped."""

import asyncio

from app.errors import IncompleteAudioError, ProviderError
from app.pipeline import events
from app.pipeline.playout import JITTER_MARGIN_S
from app.telemetry.speech_metrics import SpeechMetrics
from app.transports.base import TrailingAudio
from tests import virtual_time
from tests.pipeline.fakes import FakeAgent, Recorder
from tests.pipeline.scripted_playout import (
    SECOND_OF_AUDIO,
    Script,
    settle,
    start_playout,
    trailing_audio,
)
from tests.pipeline.sessions import AUDIO, FIRST, SECOND, run_turn, running_session
from tests.transports.fakes import FakeTransport
from tests.waiting import until


async def test_it_is_waited_for_while_the_client_has_audio_left() -> None:
    trailing = trailing_audio()
    playout = start_playout({"1": Script([SECOND_OF_AUDIO], trailing), "2": Script([b"2a"])})
    await settle()
    assert playout.emitted == ["1", SECOND_OF_AUDIO]
    trailing.put(b"1z")
    trailing.close()
    await playout.task
    assert playout.emitted == ["1", SECOND_OF_AUDIO, b"1z", "2", b"2a"]


async def test_it_is_not_waited_for_when_the_client_has_no_audio_left() -> None:
    metrics = SpeechMetrics()
    trailing = trailing_audio(metrics)
    little = SECOND_OF_AUDIO[: int(JITTER_MARGIN_S * 32000)]
    playout = start_playout({"1": Script([little], trailing), "2": Script([b"2a"])})
    await playout.task
    assert playout.emitted == ["1", little, "2", b"2a"]
    trailing.put(b"1z")
    assert metrics.late_audio_bytes == 2


async def test_audio_that_was_played_since_the_clients_report_is_not_left() -> None:
    trailing, second_allowed = trailing_audio(), asyncio.Event()
    playout = start_playout(
        {"1": Script([SECOND_OF_AUDIO], trailing), "2": Script([second_allowed, b"2a"])}
    )
    await settle()
    playout.timeline.on_playback_report(100, asyncio.get_running_loop().time() - 0.9)
    second_allowed.set()
    await settle()
    assert playout.emitted == ["1", SECOND_OF_AUDIO, "2", b"2a"]
    await playout.task


def test_it_is_waited_for_after_a_gap_too() -> None:
    """A client that had to wait has all of the audio left that came after the gap."""

    async def play() -> list[str | bytes | ProviderError]:
        trailing, second_allowed = trailing_audio(), asyncio.Event()
        playout = start_playout(
            {
                "1": Script([b"1a"]),
                "2": Script([second_allowed, SECOND_OF_AUDIO], trailing),
                "3": Script([b"3a"]),
            }
        )
        await asyncio.sleep(5)
        second_allowed.set()
        await asyncio.sleep(0.1)
        trailing.put(b"2z")
        trailing.close()
        await playout.task
        return playout.emitted

    emitted = virtual_time.run(play())
    assert emitted == ["1", b"1a", "2", SECOND_OF_AUDIO, b"2z", "3", b"3a"]


def test_the_wait_ends_when_the_client_runs_out_of_audio() -> None:
    some = SECOND_OF_AUDIO[: int((JITTER_MARGIN_S + 0.05) * 32000)]

    async def play() -> tuple[list[str | bytes | ProviderError], float]:
        playout = start_playout({"1": Script([some], trailing_audio()), "2": Script([b"2a"])})
        await playout.task
        return playout.emitted, asyncio.get_running_loop().time()

    emitted, took_s = virtual_time.run(play())
    assert emitted == ["1", some, "2", b"2a"]
    assert 0.04 < took_s < 0.06


async def test_it_is_played_though_the_next_sentence_fails() -> None:
    trailing = trailing_audio()
    failure = IncompleteAudioError("short")
    playout = start_playout({"1": Script([b"1a"], trailing), "2": Script([failure])})
    await settle()
    trailing.put(b"1z")
    trailing.close()
    await playout.task
    assert playout.emitted == ["1", b"1a", failure, b"1z"]


async def test_it_is_played_before_the_next_sentence_of_a_turn() -> None:
    trailing = trailing_audio()
    trailing.put(b"\x09\x00")
    trailing.close()
    transport = FakeTransport([[*AUDIO], [*AUDIO]], trailing=trailing)
    recorder = await run_turn(FakeAgent([f"{FIRST} ", SECOND]), transport)
    emitted = [event for event in recorder.events if not isinstance(event, events.Token)]
    second = next(
        at
        for at, event in enumerate(emitted)
        if isinstance(event, events.SentenceStarted) and event.index == 1
    )
    trailing_chunk, end = emitted[second - 2 : second]
    assert isinstance(trailing_chunk, events.AudioChunk)
    assert trailing_chunk.data == b"\x09\x00"
    assert isinstance(end, events.SentenceEnded), "it is part of the first sentence"


async def test_a_turn_waits_for_that_of_its_last_sentence() -> None:
    trailing, recorder = trailing_audio(), Recorder()
    transport = FakeTransport([[*AUDIO]], trailing=trailing)
    whole = b"".join(step for step in AUDIO if isinstance(step, bytes))
    async with running_session(FakeAgent([FIRST]), transport, recorder=recorder) as session:
        await session.start_turn("مرحبا")
        await until(
            lambda: b"".join(chunk.data for chunk in recorder.of(events.AudioChunk)) == whole
        )
        trailing.put(b"\x09\x00")
        trailing.close()
        await recorder.until(events.TurnDone)
    assert recorder.of(events.AudioChunk)[-1].data == b"\x09\x00"


async def test_what_comes_after_it_was_drained_is_dropped_and_counted() -> None:
    metrics = SpeechMetrics()
    trailing = trailing_audio(metrics)
    trailing.drain()
    trailing.put(b"\x09\x00")
    assert (trailing.drain(), metrics.late_audio_bytes) == (b"", 2)


async def test_the_wait_for_its_end_is_bounded() -> None:
    await TrailingAudio(0.001).wait_closed()
