"""The buffer between synthesis and playout: in order, bounded, and awake at its end."""

import asyncio

import pytest

from app.errors import ConnectionLostError
from app.pipeline.audio_buffer import AudioBuffer


async def read_all(buffer: AudioBuffer) -> list[bytes]:
    return [chunk async for chunk in buffer]


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_chunks_come_out_in_the_order_in_which_they_went_in() -> None:
    buffer = AudioBuffer()
    for number in range(5):
        await buffer.put(bytes([number]))
    buffer.end()
    assert b"".join(await read_all(buffer)) == bytes(range(5))


async def test_chunks_that_wait_together_are_joined_up_to_the_size_of_a_message() -> None:
    buffer = AudioBuffer(max_chunk_bytes=4)
    for chunk in (b"12", b"34", b"5", b"678", b"longer", b"9"):
        await buffer.put(chunk)
    buffer.end()
    assert await read_all(buffer) == [b"1234", b"5678", b"longer", b"9"]


async def test_chunks_that_are_put_while_it_is_read_are_read_too() -> None:
    buffer = AudioBuffer()
    reading = asyncio.create_task(read_all(buffer))
    for number in range(3):
        await buffer.put(bytes([number]))
        await settle()
    assert not reading.done()
    buffer.end()
    assert await reading == [b"\x00", b"\x01", b"\x02"]


async def test_a_full_buffer_blocks_the_writer_until_a_chunk_is_read() -> None:
    buffer = AudioBuffer(max_bytes=4)
    await buffer.put(b"1234")
    waiting = asyncio.create_task(buffer.put(b"56"))
    await settle()
    assert not waiting.done()
    chunks = aiter(buffer)
    assert await anext(chunks) == b"1234"
    await waiting
    buffer.end()
    assert [chunk async for chunk in chunks] == [b"56"]


async def test_no_more_than_one_chunk_exceeds_the_bound() -> None:
    buffer = AudioBuffer(max_bytes=4)
    read: list[bytes] = []
    most = put = 0

    async def write() -> None:
        nonlocal most, put
        for _ in range(50):
            await buffer.put(b"abc")
            put += 3
            most = max(most, put - sum(map(len, read)))
        buffer.end()

    writing = asyncio.create_task(write())
    async for chunk in buffer:
        read.append(chunk)
        await settle()
    await writing
    assert b"".join(read) == b"abc" * 50
    assert most == 6


async def test_an_error_is_raised_after_the_audio_before_it() -> None:
    buffer = AudioBuffer()
    await buffer.put(b"audio")
    buffer.end(ConnectionLostError("gone"))
    chunks = aiter(buffer)
    assert await anext(chunks) == b"audio"
    with pytest.raises(ConnectionLostError):
        await anext(chunks)


async def test_the_end_wakes_a_reader_that_waits() -> None:
    buffer = AudioBuffer()
    reading = asyncio.create_task(read_all(buffer))
    await settle()
    buffer.end()
    assert await reading == []


async def test_a_writer_cancelled_while_it_waits_adds_nothing() -> None:
    buffer = AudioBuffer(max_bytes=1)
    await buffer.put(b"1")
    waiting = asyncio.create_task(buffer.put(b"2"))
    await settle()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    buffer.end()
    assert await read_all(buffer) == [b"1"]


async def test_a_reader_cancelled_while_it_waits_loses_nothing() -> None:
    buffer = AudioBuffer()
    reading = asyncio.create_task(read_all(buffer))
    await settle()
    reading.cancel()
    await asyncio.wait([reading])
    await buffer.put(b"1")
    buffer.end()
    assert await read_all(buffer) == [b"1"]


async def test_a_reader_that_gathers_wakes_at_the_wanted_size() -> None:
    buffer = AudioBuffer()
    gathering = asyncio.create_task(buffer.gather(4, timeout_s=60))
    for _ in range(3):
        await buffer.put(b"x")
        await settle()
    assert not gathering.done()
    await buffer.put(b"x")
    await gathering
    await buffer.gather(4, timeout_s=60)  # there is enough
    buffer.end()
    assert await read_all(buffer) == [b"xxxx"]


@pytest.mark.parametrize("error", [None, ConnectionLostError("gone")])
async def test_a_reader_that_gathers_wakes_at_the_end(error: ConnectionLostError | None) -> None:
    buffer = AudioBuffer()
    gathering = asyncio.create_task(buffer.gather(4, timeout_s=60))
    await buffer.put(b"x")
    buffer.end(error)
    await gathering
    await buffer.gather(4, timeout_s=60)  # nothing more will come


async def test_a_reader_gathers_no_longer_than_it_may() -> None:
    buffer = AudioBuffer()
    await buffer.put(b"x")
    await buffer.gather(4, timeout_s=0.001)
    await buffer.put(b"y")
    buffer.end()
    assert await read_all(buffer) == [b"xy"]


async def test_a_buffer_that_is_smaller_than_what_is_wanted_does_not_block() -> None:
    buffer = AudioBuffer(max_bytes=2)
    gathering = asyncio.create_task(buffer.gather(10, timeout_s=60))
    await settle()
    await buffer.put(b"xy")
    await gathering
    waiting = asyncio.create_task(buffer.put(b"z"))
    await settle()
    await buffer.gather(10, timeout_s=60)  # it is full, and its writer waits
    assert await anext(aiter(buffer)) == b"xy"
    await waiting
