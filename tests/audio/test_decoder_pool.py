"""Decoder processes: what they return, what they may use, and how they end."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import uvloop

from app.audio.decoder_process import DecoderLimits
from app.decoder.ffmpeg import decode_recording
from app.decoder.frames import REQUEST, RESPONSE, Kind
from app.errors import (
    EmptyAudioError,
    InternalError,
    NabraError,
    UndecodableAudioError,
    UtteranceTooLongError,
)
from tests.audio.attacks import (
    flac_of_tiny_blocks,
    mp3_with_inflating_tag,
    mp4_with_claimed_samples,
    ogg_of_broken_packets,
)
from tests.audio.decoder_pools import answering, own_processes, pool_of, until
from tests.audio.recordings import RECORDINGS, record, recorded
from tests.audio.wav_corpus import PCM, chunk, fmt, riff
from tests.processes import children, cpu_s, is_running, resident_bytes

MiB = 1024 * 1024

Flow = Callable[[], Coroutine[Any, Any, None]]

ROOT = Path(__file__).parents[2]


@cache
def slow() -> bytes:
    return flac_of_tiny_blocks()


def the_child() -> int:
    (pid,) = own_processes()
    return pid


# What it returns


async def test_recordings_decode_as_ffmpeg_decodes_them_here() -> None:
    async with pool_of() as pool:
        for name in RECORDINGS:
            data = recorded(name)
            assert await pool.decode(data, "s") == bytes(decode_recording(data, max_s=120))
        assert pool.outcomes == {"decoded": len(RECORDINGS)}
        assert pool.counts() == {"idle": 1, "decoding": 0, "waiting": 0}


async def test_wav_of_a_codec_is_decoded() -> None:
    data = record("wav", "adpcm_ima_wav", 16_000)
    async with pool_of() as pool:
        assert len(await pool.decode(data, "s")) == pytest.approx(32_000, abs=2200)


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (lambda: b"", EmptyAudioError, "no bytes"),
        (lambda: b"OggS" + bytes(200), UndecodableAudioError, "cannot read it"),
        (lambda: record("matroska", "ac3"), UndecodableAudioError, "not allowed"),
        (lambda: recorded("webm", 3), UtteranceTooLongError, "longer than 2 s"),
        (lambda: riff(fmt(rate_hz=1), chunk(b"data", PCM)), UndecodableAudioError, "1 Hz"),
    ],
)
async def test_errors_are_told_and_the_process_serves_on(
    data: Callable[[], bytes], error: type[NabraError], text: str
) -> None:
    async with pool_of(limits=DecoderLimits(max_s=2)) as pool:
        await pool.decode(recorded("ogg"), "s")
        pid = the_child()
        with pytest.raises(error, match=text):
            await pool.decode(data(), "s")
        assert len(await pool.decode(recorded("ogg"), "s")) > 30_000
        assert the_child() == pid
        assert pool.outcomes == {"decoded": 2, error.code: 1}


# What it may use


async def test_a_decoder_has_no_secret_no_file_and_no_way_out() -> None:
    with (ROOT / "README.md").open() as ours:
        os.set_inheritable(ours.fileno(), True)
        async with pool_of() as pool:
            await pool.decode(recorded("ogg"), "s")
            proc = Path("/proc") / str(the_child())
            environment = (proc / "environ").read_text().split("\0")
            names = {line.partition("=")[0] for line in environment if line}
            allowed = {"LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PYTHONHOME", "TZ"}
            assert "PATH" in os.environ
            assert names <= allowed | {"PYTHONPATH"}
            files = {str(link.readlink()).partition(":")[0] for link in (proc / "fd").iterdir()}
            assert files <= {"pipe", "socket", "/dev/null", f"{proc}/statm"}
            limits = (proc / "limits").read_text()
            for name, most in (
                ("Max file size", 0),
                ("Max core file size", 0),
                ("Max processes", 0),
                ("Max open files", 8),
                ("Max address space", 400 * MiB),
                ("Max cpu time", 60),
            ):
                (line,) = (line for line in limits.splitlines() if line.startswith(name))
                assert int(line.removeprefix(name).split()[0]) <= most, line
            status = (proc / "status").read_text()
            assert "NoNewPrivs:\t1" in status
            assert "Seccomp:\t2" in status, "a filter of system calls"


def test_a_killed_gateway_leaves_no_decoder_behind() -> None:
    script = (
        "import asyncio, sys\n"
        "from app.audio.decoder_pool import DecoderPool\n"
        "from app.audio.decoder_process import DecoderLimits\n"
        "async def main():\n"
        "    pool = DecoderPool(DecoderLimits(timeout_s=50))\n"
        "    await pool.decode(open(sys.argv[1], 'rb').read(), 's')\n"
        "    print('ready', flush=True)\n"
        "    await pool.decode(sys.stdin.buffer.read(), 's')\n"
        "asyncio.run(main())\n"
    )
    short = ROOT / "tests" / "data" / "arabic.wav"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(short)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as gateway:  # fmt: skip
        assert gateway.stdin is not None
        assert gateway.stdout is not None
        assert gateway.stdout.readline() == b"ready\n"
        (decoder,) = children(gateway.pid)
        gateway.stdin.write(slow())
        gateway.stdin.close()
        before_s = cpu_s(decoder)
        while cpu_s(decoder) < before_s + 0.1:
            time.sleep(0.005)
        gateway.kill()
    while is_running(decoder):
        time.sleep(0.005)


@pytest.mark.parametrize(
    "attack",
    [
        mp4_with_claimed_samples,
        mp3_with_inflating_tag,
        ogg_of_broken_packets,
        lambda: riff(
            fmt(0x11, align=1024),
            chunk(b"id3 ", mp3_with_inflating_tag(200)),
            chunk(b"data", PCM),
        ),
    ],
    ids=["claimed samples", "inflating tag", "broken packets", "inflating tag in WAV"],
)
async def test_an_attack_costs_little_memory_and_time(attack: Callable[[], bytes]) -> None:
    data = attack()
    async with pool_of() as pool:
        await pool.decode(recorded("ogg"), "s")
        pid, most = the_child(), 0
        before = resident_bytes(pid)
        task = asyncio.create_task(pool.decode(data, "s"))
        while not task.done():
            most = max(most, *map(resident_bytes, own_processes()))
            await asyncio.sleep(0.002)
        assert isinstance(task.exception(), (UndecodableAudioError, EmptyAudioError))
        assert most - before < 60 * MiB
        assert len(await pool.decode(recorded("ogg"), "s")) > 30_000


async def test_a_recording_that_takes_too_long_is_given_up() -> None:
    async with pool_of(limits=DecoderLimits(timeout_s=0.5)) as pool:
        await pool.decode(recorded("ogg"), "s")
        pid = the_child()
        with pytest.raises(UndecodableAudioError, match="too long"):
            await pool.decode(slow(), "s")
        await until(lambda: not is_running(pid))
        assert len(await pool.decode(recorded("ogg"), "s")) > 30_000
        assert pool.outcomes == {"decoded": 2, "timeout": 1}


def test_a_decoder_whose_gateway_sleeps_is_killed_for_its_cpu_time() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "app.decoder", str(50 * MiB), "1"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as decoder:  # fmt: skip
        assert decoder.stdin is not None
        decoder.stdin.write(REQUEST.pack(120, len(slow())) + slow())
        decoder.stdin.flush()
        assert decoder.wait() == -signal.SIGXCPU


# How it ends


async def test_whoever_leaves_takes_the_process_along() -> None:
    async with pool_of() as pool:
        await pool.decode(recorded("ogg"), "s")
        pid = the_child()
        before_s = cpu_s(pid)
        task = asyncio.create_task(pool.decode(slow(), "s"))
        await until(lambda: cpu_s(pid) > before_s + 0.1)
        task.cancel()
        await asyncio.wait([task])
        await until(lambda: not is_running(pid))
        assert pool.counts() == {"idle": 0, "decoding": 0, "waiting": 0}
        assert len(await pool.decode(recorded("ogg"), "s")) > 30_000
        assert pool.outcomes == {"decoded": 2, "cancelled": 1}


async def test_a_process_that_dies_fails_one_recording_and_no_other() -> None:
    async with pool_of() as pool:
        await pool.decode(recorded("ogg"), "s")
        pid = the_child()
        task = asyncio.create_task(pool.decode(slow(), "attacker"))
        others = [asyncio.create_task(pool.decode(recorded("ogg"), f"{n}")) for n in range(3)]
        await until(lambda: cpu_s(pid) > 0.5)
        os.kill(pid, signal.SIGSEGV)
        with pytest.raises(UndecodableAudioError, match="gave up"):
            await task
        assert all(len(pcm) > 30_000 for pcm in await asyncio.gather(*others))
        assert pool.outcomes == {"decoded": 4, "died": 1}


async def test_an_idle_process_that_died_is_replaced() -> None:
    async with pool_of() as pool:
        await pool.decode(recorded("ogg"), "s")
        pid = the_child()
        os.kill(pid, signal.SIGKILL)
        await until(lambda: pool.counts()["idle"] == 0)
        assert len(await pool.decode(recorded("ogg"), "s")) > 30_000


async def test_a_worn_process_makes_room_for_a_fresh_one() -> None:
    async with pool_of(limits=DecoderLimits(max_s=300)) as pool:
        await pool.decode(recorded("ogg"), "s")
        pid = the_child()
        assert len(await pool.decode(record("flac", "flac", 16_000, 290), "s")) > 9_000_000
        assert len(await pool.decode(recorded("ogg"), "s")) > 30_000
        assert pool.outcomes == {"decoded": 3}
        assert the_child() >= pid


LIES = (
    b"",
    RESPONSE.pack(9, False, 0),
    RESPONSE.pack(Kind.PCM, False, 0xFFFFFFFF),
    RESPONSE.pack(Kind.EMPTY, False, 201) + bytes(201),
    RESPONSE.pack(Kind.PCM, False, 9) + bytes(8),
)


@pytest.mark.parametrize("lie", LIES)
async def test_a_decoder_that_breaks_off_or_lies_is_killed(lie: bytes) -> None:
    async with pool_of(command=answering(f"sys.stdout.buffer.write({lie!r})")) as pool:
        with pytest.raises(UndecodableAudioError, match="gave up"):
            await pool.decode(b"OggS", "s")
        assert pool.outcomes == {"died": 1}


@pytest.mark.parametrize("command", [("/nowhere/python",), (sys.executable, "-c", "")])
async def test_a_decoder_that_does_not_start_is_our_own_fault(command: tuple[str, ...]) -> None:
    async with pool_of(command=command) as pool:
        for _ in range(2):
            with pytest.raises(InternalError, match="no decoder starts"):
                await pool.decode(b"OggS", "s")
        assert pool.counts() == {"idle": 0, "decoding": 0, "waiting": 0}


@pytest.mark.parametrize("steps", range(12))
async def test_cancelled_at_any_step_it_leaves_nothing(steps: int) -> None:
    async with pool_of() as pool:
        task = asyncio.create_task(pool.decode(recorded("ogg"), "s"))
        for _ in range(steps):
            await asyncio.sleep(0.02 if steps > 6 else 0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert pool.counts()["decoding"] == 0
        assert len(await pool.decode(recorded("ogg"), "s")) > 30_000


async def test_processes_start_when_needed_and_end_when_idle() -> None:
    async with pool_of(processes=3, surplus_idle_s=0.05, idle_s=0.5) as pool:
        assert own_processes() == []
        for _ in range(2):
            await pool.decode(recorded("ogg"), "s")
            assert len(own_processes()) == 1, "one is enough for one after the other"
        three = [asyncio.create_task(pool.decode(recorded("ogg"), f"{n}")) for n in range(3)]
        await until(lambda: len(own_processes()) == 3)
        await asyncio.gather(*three)
        await until(lambda: pool.counts()["idle"] == 1)  # the last one stays for longer
        await until(lambda: own_processes() == [])
        assert len(await pool.decode(recorded("ogg"), "s")) > 30_000


@pytest.mark.parametrize(
    "flow",
    [
        test_recordings_decode_as_ffmpeg_decodes_them_here,
        test_a_recording_that_takes_too_long_is_given_up,
        test_whoever_leaves_takes_the_process_along,
        test_a_process_that_dies_fails_one_recording_and_no_other,
        test_an_idle_process_that_died_is_replaced,
        test_processes_start_when_needed_and_end_when_idle,
        test_a_decoder_has_no_secret_no_file_and_no_way_out,
    ],
)
def test_the_same_on_the_loop_of_the_gateway(flow: Flow) -> None:
    uvloop.run(flow())
