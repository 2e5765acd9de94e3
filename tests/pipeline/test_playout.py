"""Playout: sentences are prefetched, and played in order."""

import asyncio

import pytest

from app.errors import ConnectionLostError, IncompleteAudioError
from app.pipeline import events
from app.pipeline.audio_buffer import MAX_BUFFERED_BYTES
from app.pipeline.quota import Unlimited
from tests.pipeline.fakes import Recorder
from tests.pipeline.scripted_playout import SECOND_OF_AUDIO, Script, settle, start_playout
from tests.waiting import until


class CountedAudio(Unlimited):
    """Counts the audio that waits for the client."""

    held_bytes = 0

    def hold_audio(self, size: int) -> None:
        self.held_bytes += size


@pytest.mark.parametrize("lookahead", [0, 1, 2, 5])
async def test_no_more_sentences_are_synthesized_than_the_one_played_and_the_prefetched(
    lookahead: int,
) -> None:
    allowed = {str(number): asyncio.Event() for number in range(8)}
    playout = start_playout(
        {text: Script([event, b"aa"]) for text, event in allowed.items()}, lookahead=lookahead
    )
    for number, event in enumerate(allowed.values(), start=1):
        await settle()
        assert playout.transport.open == min(1 + lookahead, 9 - number)
        event.set()
    await playout.task
    assert playout.transport.most_open == 1 + lookahead


async def test_a_sentence_that_is_complete_but_not_played_still_occupies_its_slot() -> None:
    first_allowed = asyncio.Event()
    scripts = {
        "1": Script([first_allowed, b"11"]),
        **{str(n): Script([b"xx"]) for n in range(2, 6)},
    }
    playout = start_playout(scripts, lookahead=2)
    await settle()
    assert list(playout.transport.requests) == ["1", "2", "3"]
    first_allowed.set()
    await playout.task


async def test_the_order_holds_when_the_second_is_ready_before_the_first() -> None:
    goes_on = asyncio.Event()
    playout = start_playout({"1": Script([b"1a", goes_on, b"1b"]), "2": Script([b"2a", b"2b"])})
    await settle()
    assert playout.transport.open == 1, "the second is complete"
    assert playout.emitted == ["1", b"1a"]
    goes_on.set()
    await playout.task
    assert playout.emitted == ["1", b"1a", b"1b", "2", b"2a2b"], "waiting chunks are joined"


async def test_audio_for_later_is_sent_in_longer_messages() -> None:
    """While the client has more than a second to play, pieces are joined; never at the end."""
    piece, goes_on = bytes(len(SECOND_OF_AUDIO) // 5), [asyncio.Event() for _ in range(5)]
    script = Script([SECOND_OF_AUDIO * 10])
    for event in goes_on:
        script.steps += [event, piece]
    playout = start_playout({"1": script})
    sent = []
    for event in goes_on:
        await settle()
        sent.append(len(playout.emitted) - 2)
        event.set()
    await playout.task
    assert sent == [0, 0, 0, 1, 1]
    sizes = [len(each) for each in playout.emitted if isinstance(each, bytes)]
    assert sizes == [50 * len(piece), 3 * len(piece), 2 * len(piece)]


async def test_a_prefetched_failure_is_reported_in_its_turn_and_the_next_is_played() -> None:
    goes_on = asyncio.Event()
    failure = IncompleteAudioError("short")
    scripts = {"1": Script([b"1a", goes_on, b"1b"]), "2": Script([failure]), "3": Script([b"3a"])}
    playout = start_playout(scripts, lookahead=2)
    await settle()
    assert playout.emitted == ["1", b"1a"]
    goes_on.set()
    await playout.task
    assert playout.emitted == ["1", b"1a", b"1b", failure, "3", b"3a"]


async def test_audio_before_a_failure_is_played_before_it_is_reported() -> None:
    lost = ConnectionLostError("gone")
    playout = start_playout({"1": Script([b"1a", lost]), "2": Script([b"2a"])})
    await playout.task
    assert playout.emitted == ["1", b"1a", lost, "2", b"2a"]


async def test_a_sentence_is_needed_when_it_is_its_turn_and_not_before() -> None:
    first, second = asyncio.Event(), asyncio.Event()
    playout = start_playout(
        {"1": Script([b"1a", first]), "2": Script([second, b"2a"]), "3": Script([b""])}
    )
    await settle()
    urgencies = playout.transport.urgencies
    assert {text: each.is_needed_now for text, each in urgencies.items()} == {
        "1": True,
        "2": False,
    }
    first.set()
    await settle()
    assert urgencies["2"].is_needed_now
    second.set()
    await playout.task


async def test_without_lookahead_each_sentence_is_needed_when_it_is_requested() -> None:
    playout = start_playout({"1": Script([b"1a"]), "2": Script([b"2a"])}, lookahead=0)
    await playout.task
    assert playout.transport.needed_now == {"1": True, "2": True}


async def test_a_prefetched_sentence_is_not_needed_when_it_is_requested() -> None:
    first = asyncio.Event()
    playout = start_playout({"1": Script([b"1a", first]), "2": Script([b"2a"])})
    await settle()
    first.set()
    await playout.task
    assert playout.transport.needed_now == {"1": True, "2": False}


async def test_cancelled_while_a_buffer_is_full_it_leaves_no_task_and_no_stream() -> None:
    before = asyncio.all_tasks()

    class StalledRecorder(Recorder):
        async def emit(self, event: events.Event) -> None:
            await super().emit(event)
            if isinstance(event, events.AudioChunk):
                await asyncio.Event().wait()

    scripts = {"1": Script([SECOND_OF_AUDIO] * 40), "2": Script([b"2a"])}
    quota = CountedAudio()
    playout = start_playout(scripts, recorder=StalledRecorder(), quota=quota)
    await settle()
    assert playout.transport.open == 1
    assert quota.held_bytes >= MAX_BUFFERED_BYTES
    playout.task.cancel()
    await asyncio.wait([playout.task])
    assert playout.transport.open == 0
    assert quota.held_bytes == 0
    await until(lambda: asyncio.all_tasks() <= before, state=asyncio.all_tasks())
