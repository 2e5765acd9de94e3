"""Recordings that wait for a decoder: how many, in which order, and for whom."""

import asyncio

import pytest
import uvloop

from app.audio.decoder_pool import LARGE_BYTES
from app.audio.decoder_process import DecoderLimits
from app.errors import DecoderBusyError
from tests.audio.decoder_pools import ECHO, NEVER, answering, pool_of, until
from tests.audio.recordings import recorded


async def test_one_recording_a_session_is_decoded_at_a_time() -> None:
    async with pool_of(processes=2, command=NEVER) as pool:
        first = [asyncio.create_task(pool.decode(b"OggS", "one")) for _ in range(3)]
        await until(lambda: pool.counts()["waiting"] == 2)
        other = asyncio.create_task(pool.decode(b"OggS", "two"))
        await until(lambda: pool.counts()["decoding"] == 2)
        assert pool.counts() == {"idle": 0, "decoding": 2, "waiting": 2}
        first[0].cancel()
        await asyncio.wait([first[0]])
        assert pool.counts() == {"idle": 0, "decoding": 2, "waiting": 1}
        for task in (*first, other):
            task.cancel()
        await asyncio.wait([*first, other])
        assert pool.counts() == {"idle": 0, "decoding": 0, "waiting": 0}


async def test_a_full_queue_is_told_at_once() -> None:
    async with pool_of(processes=1, queue=2, command=NEVER) as pool:
        tasks = [asyncio.create_task(pool.decode(b"OggS", f"{n}")) for n in range(3)]
        await until(lambda: pool.counts() == {"idle": 0, "decoding": 1, "waiting": 2})
        with pytest.raises(DecoderBusyError):
            await pool.decode(b"OggS", "late")
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        tasks.append(asyncio.create_task(pool.decode(b"OggS", "in time")))
        await until(lambda: pool.counts()["waiting"] == 2)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert pool.outcomes == {"decoder-busy": 1, "cancelled": 4}


async def test_the_queue_is_bounded_in_bytes() -> None:
    data = b"OggS" + bytes(996)
    async with pool_of(limits=DecoderLimits(max_input_bytes=1000), command=NEVER) as pool:
        tasks = [asyncio.create_task(pool.decode(data, f"{n}")) for n in range(5)]
        await until(lambda: pool.counts() == {"idle": 0, "decoding": 1, "waiting": 4})
        with pytest.raises(DecoderBusyError):
            await pool.decode(b"O", "late")
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_small_recordings_come_first_and_have_a_process_of_their_own() -> None:
    small, large = b"OggS", b"OggS" + bytes(LARGE_BYTES)
    async with pool_of(processes=2, command=answering(ECHO)) as pool:
        done: list[str] = []

        async def decode(name: str, data: bytes) -> None:
            await pool.decode(data, name)
            done.append(name)

        async with asyncio.TaskGroup() as tasks:
            for name, data in {"L1": large, "L2": large + b"x", "S1": small, "S2": small}.items():
                tasks.create_task(decode(name, data))
            await until(lambda: pool.counts()["waiting"] == 2)
            assert pool.counts() == {"idle": 0, "decoding": 2, "waiting": 2}
        assert done.index("S2") < done.index("L2")
        assert set(done) == {"L1", "L2", "S1", "S2"}


async def test_with_a_queue_of_none_a_free_process_is_still_used() -> None:
    async with pool_of(processes=1, queue=0) as pool:
        assert len(await pool.decode(recorded("ogg"), "s")) > 30_000


async def test_who_is_cancelled_as_its_turn_comes_gives_it_on() -> None:
    async with pool_of() as pool:
        tasks = [asyncio.create_task(pool.decode(recorded("ogg"), f"{n}")) for n in range(3)]
        await until(lambda: pool.counts()["waiting"] == 2)
        tasks[0].cancel()
        await asyncio.sleep(0)  # it gives its process to the second, who has not run yet
        tasks[1].cancel()
        assert len(await tasks[2]) > 30_000
        assert pool.outcomes == {"cancelled": 2, "decoded": 1}


def test_the_same_on_the_loop_of_the_gateway() -> None:
    uvloop.run(test_who_is_cancelled_as_its_turn_comes_gives_it_on())
