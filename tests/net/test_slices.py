"""What arrives at once is processed in slices, one in each step of the loop."""

import asyncio

import pytest

from app.net import slices
from app.net.slices import MAX_SLICE_BYTES, SLICE_BYTES, SlicedInput
from tests.waiting import settle, until


class Reader:
    """Counts in how many steps of the loop what was processed."""

    def __init__(self) -> None:
        self.slices: list[bytes] = []
        self.paused = False
        self.input = SlicedInput(self.slices.append, pause=self.pause, resume=self.resume)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


async def test_a_little_is_processed_at_once() -> None:
    reader = Reader()
    reader.input.feed(b"x")
    assert reader.slices == [b"x"]
    assert not reader.paused


@pytest.fixture
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every slice take longer than a step."""
    monkeypatch.setattr(slices, "STEP_S", 0)


async def test_what_takes_long_is_processed_a_slice_a_step_and_in_order(no_time: None) -> None:
    reader, data = Reader(), b"".join(b"%08d" % n for n in range(5000))
    reader.input.feed(data)
    reader.input.feed(b"the end")
    seen = 1
    while not reader.input.is_empty:
        assert reader.paused
        await asyncio.sleep(0)
        assert len(reader.slices) <= seen + 1
        seen = len(reader.slices)
    assert not reader.paused
    assert max(map(len, reader.slices)) == SLICE_BYTES
    assert b"".join(reader.slices) == data + b"the end"


@pytest.fixture
def much_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every slice be a quick one, however busy the machine is."""
    monkeypatch.setattr(slices, "STEP_S", 60)


async def test_what_is_quick_is_processed_at_once_in_longer_slices(much_time: None) -> None:
    reader, data = Reader(), bytes(range(256)) * 1024
    reader.input.feed(data)
    assert b"".join(reader.slices) == data
    assert not reader.paused
    sizes = [len(each) for each in reader.slices]
    assert sizes[:4] == [SLICE_BYTES, 2 * SLICE_BYTES, 4 * SLICE_BYTES, MAX_SLICE_BYTES]
    assert max(sizes) == MAX_SLICE_BYTES


async def test_after_quick_slices_as_much_is_processed_in_one_piece(much_time: None) -> None:
    """A frame of audio is longer than the first slice."""
    reader = Reader()
    frame = bytes(2 * SLICE_BYTES)
    reader.input.feed(frame)
    assert len(reader.slices) == 2
    reader.input.feed(frame)
    assert reader.slices[2:] == [frame]


async def test_after_a_slow_slice_slices_are_short_again(
    much_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader()
    reader.input.feed(bytes(4 * MAX_SLICE_BYTES))
    monkeypatch.setattr(slices, "STEP_S", 0)
    reader.slices.clear()
    reader.input.feed(bytes(2 * MAX_SLICE_BYTES))
    await until(lambda: reader.input.is_empty)
    assert [len(each) for each in reader.slices[:2]] == [MAX_SLICE_BYTES, SLICE_BYTES]


async def test_the_end_waits_for_what_came_before_it(no_time: None) -> None:
    reader, ended = Reader(), list[int]()
    reader.input.feed(b"x" * 3 * SLICE_BYTES)
    reader.input.when_empty(lambda: ended.append(len(reader.slices)))
    assert not ended
    await until(lambda: bool(ended))
    assert ended == [3]
    reader.input.when_empty(lambda: ended.append(0))
    assert ended == [3, 0]


async def test_what_is_not_wanted_any_more_is_dropped(no_time: None) -> None:
    reader = Reader()
    reader.input.feed(b"x" * 3 * SLICE_BYTES)
    reader.input.clear()
    await until(lambda: not reader.paused)
    assert len(reader.slices) == 1


async def test_what_is_held_waits_until_it_is_released(no_time: None) -> None:
    reader, ended = Reader(), list[int]()
    reader.input.hold()
    reader.input.feed(b"x")
    reader.input.feed(b"y" * SLICE_BYTES)
    reader.input.when_empty(lambda: ended.append(len(reader.slices)))
    await settle()
    assert not reader.slices and reader.paused and not ended
    reader.input.release()
    await until(lambda: bool(ended))
    assert b"".join(reader.slices) == b"x" + b"y" * SLICE_BYTES
    assert not reader.paused


async def test_the_end_of_what_is_held_and_dropped_comes_at_once() -> None:
    reader, ended = Reader(), list[bool]()
    reader.input.hold()
    reader.input.feed(b"x")
    reader.input.when_empty(lambda: ended.append(True))
    reader.input.clear()
    assert ended == [True]
