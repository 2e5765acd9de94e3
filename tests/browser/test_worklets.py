"""The AudioWorklets by themselves, run quantum by quantum without a clock."""

import base64
from collections.abc import AsyncIterator, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from app.simulator import Simulator
from tests.gateway import of_type, running_gateway, settings_for

from .conftest import ConsoleMonitor, monitored_pages
from .library_page import url_of
from .recording import Samples, floats

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Worklets:
    """Runs the worklets' processors in a page."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def play(self, rate_hz: int, steps: Sequence[Any]) -> tuple[Samples, list[Any]]:
        """Run the playback processor; a step is a message to it, or how many ms to run.

        Returns what it played, and what it posted.
        """
        done = await self._page.evaluate("([rate, steps]) => play(rate, steps)", [rate_hz, steps])
        return _samples(done["samples"]), done["posted"]

    async def capture(self, rate_hz: int, samples: Samples) -> list[bytes]:
        """Feed the capture processor with samples; return its frames."""
        text = base64.b64encode(samples.astype("<f4").tobytes()).decode()
        frames = await self._page.evaluate("([rate, text]) => capture(rate, text)", [rate_hz, text])
        return [base64.b64decode(frame) for frame in frames]


def _samples(text: str) -> Samples:
    return np.frombuffer(base64.b64decode(text), "<f4")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def worklets(browser: Browser) -> AsyncIterator[Worklets]:
    async with (
        Simulator() as simulator,
        running_gateway(settings_for(simulator)) as endpoint,
        monitored_pages(browser, ConsoleMonitor()) as new_page,
    ):
        page = await new_page()
        await page.goto(url_of(endpoint, "library.html"))
        await page.evaluate("import('/worklets.js')")
        yield Worklets(page)


def tone(rate_hz: int, pitch_hz: float, length_s: float = 0.5, level: float = 0.5) -> Samples:
    at = np.arange(round(length_s * rate_hz)) / rate_hz
    return (level * np.sin(2 * np.pi * pitch_hz * at)).astype(np.float32)


def chunks(samples: Samples, rate_hz: int, *sizes: int, **of: Any) -> list[dict[str, Any]]:
    """Return messages with these samples in chunks of these sizes, repeated as needed."""
    of = {"connection": 1, "turn": 1, "index": 0, "rate": rate_hz, **of}
    messages: list[dict[str, Any]] = []
    at = 0
    for size in cycle(sizes):
        if at >= len(samples):
            return messages
        piece = samples[at : at + size]
        messages.append({"type": "audio", "samples": [float(x) for x in piece], **of})
        at += size
    return messages


def steepest(samples: Samples) -> float:
    """Return the greatest step between neighbours: a click is a great one."""
    return float(np.max(np.abs(np.diff(samples, prepend=0))))


def pitch_level(samples: Samples, rate_hz: int, pitch_hz: float) -> float:
    """Return the level of one pitch in the middle of the samples."""
    middle = samples[len(samples) // 4 : 3 * len(samples) // 4]
    at = np.arange(len(middle)) / rate_hz
    window = np.hanning(len(middle))
    turned = middle * window * np.exp(-2j * np.pi * pitch_hz * at)
    return float(2 * abs(np.sum(turned)) / np.sum(window))


@pytest.mark.parametrize(
    ("rate_hz", "context_hz"),
    [(8000, 48000), (16000, 44100), (16000, 48000), (16000, 96000), (24000, 16000)],
)
async def test_the_size_of_chunks_makes_no_difference(
    worklets: Worklets, rate_hz: int, context_hz: int
) -> None:
    """The output is the same, bit for bit, and it is the tone that came in."""
    samples = tone(rate_hz, 440, 220.25 / 440)  # it ends at a peak
    whole, _ = await worklets.play(
        context_hz, [*chunks(samples, rate_hz, len(samples)), {"type": "end"}, 600]
    )
    pieces, _ = await worklets.play(
        context_hz, [*chunks(samples, rate_hz, 1, 700, 37), {"type": "end"}, 600]
    )
    assert np.array_equal(whole, pieces)
    assert pitch_level(whole[: context_hz // 2], context_hz, 440) == pytest.approx(0.5, rel=0.01)
    if rate_hz < context_hz:
        mirrored = pitch_level(whole[: context_hz // 2], context_hz, rate_hz - 440)
        assert mirrored < 0.5 / 300
    assert steepest(whole) < 1.3 * steepest(tone(context_hz, 440))


async def test_equal_rates_are_played_as_they_are(worklets: Worklets) -> None:
    samples = tone(16000, 300)
    played, _ = await worklets.play(16000, [*chunks(samples, 16000, 640), {"type": "end"}, 600])
    ramp = 64  # 4 ms
    begin = int(np.argmax(played != 0)) - 1  # a sine begins at 0
    assert np.array_equal(played[begin + ramp : begin + 8000], samples[ramp:])
    assert not played[begin + 8100 :].any()


@pytest.mark.parametrize("ending", [{"type": "flush"}, 0])
async def test_sound_that_breaks_off_fades_and_comes_back_softly(
    worklets: Worklets, ending: Any
) -> None:
    """Whether it ends by a flush or because no more has come, nothing clicks."""
    samples = tone(16000, 500, 200.5 / 1000, level=0.9)  # it ends at a peak
    begun = chunks(samples, 16000, 1600)
    again = chunks(samples[::-1], 16000, 1600)  # this begins at one
    played, posted = await worklets.play(48000, [*begun, 200, ending, 100, *again, 100])
    sounding = np.flatnonzero(np.abs(played) > 1e-3)
    [pause] = [gap for gap in np.diff(sounding) if gap > 1000]
    assert 90 < pause / 48 < 110
    assert steepest(played) < 1.3 * steepest(tone(48000, 500, level=0.9))
    assert len(of_type(posted, "idle")) == (1 if ending else 0)


async def test_a_flush_takes_effect_at_once_and_posts_what_was_played(worklets: Worklets) -> None:
    samples = tone(16000, 500, length_s=2)
    played, posted = await worklets.play(
        48000, [*chunks(samples, 16000, 3200), 500, {"type": "flush"}, 200]
    )
    last = np.flatnonzero(np.abs(played) > 1e-4)[-1]
    assert 498 < last / 48 < 500 + 10
    [idle] = of_type(posted, "idle")
    assert idle["playedMs"] == pytest.approx(500, abs=5)
    assert posted[-1] == idle, "nothing is posted during silence"


async def test_a_start_waits_for_60_ms_of_sound_but_no_longer_than_that(
    worklets: Worklets,
) -> None:
    samples = tone(16000, 500, length_s=0.02)
    _, posted = await worklets.play(48000, [*chunks(samples, 16000, 320), 50])
    assert of_type(posted, "playing") == []
    _, posted = await worklets.play(48000, [*chunks(samples, 16000, 320), 70])
    assert len(of_type(posted, "playing")) == 1
    _, posted = await worklets.play(48000, [*chunks(samples, 16000, 320), {"type": "end"}, 10])
    assert len(of_type(posted, "playing")) == 1


async def test_every_sentence_is_posted_when_it_begins_to_sound(worklets: Worklets) -> None:
    samples = tone(16000, 500, length_s=0.2)
    steps = [
        *chunks(samples, 16000, 1000, index=0),
        *chunks(samples, 16000, 1000, index=1),
        *chunks(samples, 16000, 1000, turn=2),
        300, "mark", 400,
    ]  # fmt: skip
    _, posted = await worklets.play(48000, [*steps, {"type": "end"}])
    started = [
        (one["turn"], one["index"], round(one["playedMs"])) for one in of_type(posted, "playing")
    ]
    assert started == [(1, 0, 0), (1, 1, 200), (2, 0, 0)]
    before = posted[: posted.index({"type": "mark"})]
    assert [one["index"] for one in of_type(before, "playing")] == [0, 1]


@pytest.mark.parametrize("rate_hz", [16000, 44100, 48000])
async def test_the_microphone_gives_frames_of_its_input(worklets: Worklets, rate_hz: int) -> None:
    """Each is 32 ms of PCM16 at 16 kHz, the last one shorter; above 8 kHz nothing is aliased."""
    frames = await worklets.capture(rate_hz, tone(rate_hz, 1000, level=0.8))
    assert {len(frame) for frame in frames[:-1]} == {1024}
    assert len(b"".join(frames)) / 32 == pytest.approx(500, abs=10)
    captured = floats(b"".join(frames))
    assert pitch_level(captured, 16000, 1000) == pytest.approx(0.8, rel=0.01)
    if rate_hz > 24000:
        frames = await worklets.capture(rate_hz, tone(rate_hz, 11000, level=0.8))
        captured = floats(b"".join(frames))
        assert np.max(np.abs(captured[500:-500])) < 0.8 / 300


async def test_samples_that_are_too_loud_are_clipped(worklets: Worklets) -> None:
    frames = await worklets.capture(16000, tone(16000, 1000, level=1.5))
    captured = np.frombuffer(b"".join(frames), "<i2")
    assert (int(captured.min()), int(captured.max())) == (-32767, 32767)
