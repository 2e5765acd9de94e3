"""Recordings of attackers against a real gateway, and the callers beside them."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from tests.audio.attacks import (
    flac_of_tiny_blocks,
    mp3_with_inflating_tag,
    mp4_with_claimed_samples,
    ogg_of_broken_packets,
)
from tests.audio.recordings import recorded
from tests.gateway import Caller, audio_of, calling, of_type
from tests.processes import cpu_s, decoders, is_running, resident_bytes
from tests.test_serve import address, serving

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("recordings")]

MiB = 1024 * 1024

MOST_BYTES = 2 * 90 * MiB
"""Two decoders as they start, and what they may grow."""

Attack = Callable[[str], Coroutine[Any, Any, None]]


@cache
def message(make: Callable[[], bytes]) -> str:
    return json.dumps({"audio_base64": base64.b64encode(make()).decode()})


def answered(make: Callable[[], bytes]) -> Attack:
    """Send a recording, and wait for what is said to it."""

    async def attack(url: str) -> None:
        async with calling(url) as caller:
            await caller.socket.send(message(make))
            events = await caller.until("done")
            assert of_type(events, "error")[0]["code"] in ("undecodable-audio", "empty-audio")

    return attack


def hanging_up(make: Callable[[], bytes], after: str) -> Attack:
    """Send a recording, and hang up as soon as the gateway is at it."""

    async def attack(url: str) -> None:
        async with connect(url, compression=None, proxy=None) as socket:
            await Caller(socket).until("status")
            await socket.send(message(make))
            while json.loads(await socket.recv()).get("code") != after:
                pass
            socket.transport.abort()

    return attack


ATTACKS = {
    "claimed samples": [answered(mp4_with_claimed_samples)] * 6,
    "inflating tags": [answered(mp3_with_inflating_tag)] * 3,
    "broken packets, and gone": [hanging_up(ogg_of_broken_packets, "transcribing")] * 12,
    "tiny blocks, and gone": [hanging_up(flac_of_tiny_blocks, "transcribing")] * 6,
}


class Watch:
    """Samples the memory of a gateway's decoders."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.most_bytes = 0

    async def run(self) -> None:
        while True:
            now_bytes = sum(map(resident_bytes, decoders(self._pid)))
            self.most_bytes = max(self.most_bytes, now_bytes)
            await asyncio.sleep(0.02)


async def talk(url: str, recording: bytes) -> None:
    """Have a turn, whole."""
    async with calling(url) as caller:
        await caller.send_audio(recording)
        events = await caller.until("done")
    assert of_type(events, "transcription"), events
    assert not of_type(events, "error"), events
    assert audio_of(events)


@dataclass(frozen=True)
class Gateway:
    """A gateway that bears all attacks."""

    process: asyncio.subprocess.Process
    url: str

    @property
    def endpoint(self) -> str:
        return self.url.replace("http", "ws") + "/ws/agent/"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    every_recording_arrives = str(1 << 30)
    cwd = tmp_path_factory.mktemp("gateway")
    async with serving(cwd, MAX_BUFFERED_BYTES=every_recording_arrives) as (process, banner):
        yield Gateway(process, address(banner))


@pytest.mark.parametrize("name", ATTACKS)
async def test_others_talk_on_and_memory_stays(name: str, gateway: Gateway) -> None:
    polite = (recorded("wav"), recorded("webm"))
    for recording in polite:
        await talk(gateway.endpoint, recording)
    for make in (ogg_of_broken_packets, flac_of_tiny_blocks, mp3_with_inflating_tag):
        message(make)  # made before anything is measured
    decoded_before = (await metrics(gateway.url))['nabra_decodes_total{outcome="decoded"}']
    watch = Watch(gateway.process.pid)
    watching = asyncio.create_task(watch.run())
    async with asyncio.TaskGroup() as tasks:
        for attack in ATTACKS[name]:
            tasks.create_task(attack(gateway.endpoint))
        for recording in polite * 3:
            tasks.create_task(talk(gateway.endpoint, recording))
    for recording in polite:
        await talk(gateway.endpoint, recording)
    watching.cancel()
    assert len(decoders(gateway.process.pid)) <= 2
    assert 0 < watch.most_bytes < MOST_BYTES
    counts = await metrics(gateway.url)
    assert counts['nabra_decoders{state="decoding"}'] == 0
    assert counts['nabra_decoders{state="waiting"}'] == 0
    assert counts['nabra_decodes_total{outcome="decoded"}'] == decoded_before + 4


async def metrics(url: str) -> dict[str, float]:
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"{url}/metrics")).text
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


async def test_an_interruption_ends_the_decoding_at_once(gateway: Gateway) -> None:
    cancelled = 'nabra_decodes_total{outcome="cancelled"}'
    cancelled_before = (await metrics(gateway.url)).get(cancelled, 0)
    used_before_s = {pid: cpu_s(pid) for pid in decoders(gateway.process.pid)}

    def busy() -> int | None:
        """Return the decoder that has been at work for a while."""
        pids = decoders(gateway.process.pid)
        return next((pid for pid in pids if cpu_s(pid) - used_before_s.get(pid, 0) > 0.5), None)

    async with calling(gateway.endpoint) as caller:
        await caller.socket.send(message(flac_of_tiny_blocks))
        while (pid := busy()) is None:
            await asyncio.sleep(0.01)
        await caller.send_audio(recorded("webm"))  # speaks over it
        events = await caller.until("done")
        assert of_type(events, "interrupted")
        assert of_type(events, "transcription")
        assert not is_running(pid)
        assert (await metrics(gateway.url))[cancelled] == cancelled_before + 1


async def test_a_caller_is_told_when_the_decoders_are_busy(tmp_path: Path) -> None:
    async with serving(tmp_path, DECODER_PROCESSES="1", DECODER_QUEUE="0", LANGUAGE="en") as (
        process,
        banner,
    ):
        url = address(banner).replace("http", "ws") + "/ws/agent/"
        async with calling(url) as first, calling(url) as second:
            await first.socket.send(message(flac_of_tiny_blocks))
            while not decoders(process.pid):
                await asyncio.sleep(0.01)
            await second.send_audio(recorded("webm"))
            (error,) = of_type(await second.until("done"), "error")
            assert error["code"] == "decoder-busy"
            assert "busy" in error["message"]
            await second.send_audio(recorded("wav"))  # needs none
            assert of_type(await second.until("done"), "transcription")
            await first.send({"type": "interrupt"})
            await first.until("interrupted")
            await second.send_audio(recorded("webm"))
            assert of_type(await second.until("done"), "transcription")
