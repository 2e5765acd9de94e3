"""The client library's microphone and recordings: what reaches the provider, and problems."""

import base64
import io
import wave
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from app.simulator import Simulator
from app.simulator import provider_session as simulated
from app.simulator.stt import contains_speech
from tests.gateway import ARABIC_WAV, settings_for

from .library_page import connect_client, emitted, gateway_for, wait_for_event
from .microphone import fail_microphone, feed_microphone, track_microphones, unplug
from .recording import Recording, floats

pytestmark = pytest.mark.asyncio(loop_scope="session")

SPEECH = ARABIC_WAV[44 : 44 + 2 * 16000]
"""One second."""
SILENCE = bytes(2 * 4000)
PROCESSING = ("echoCancellation", "noiseSuppression", "autoGainControl")
UNPROCESSED = """() => {
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  const requested = {};
  navigator.mediaDevices.getUserMedia = ({ audio }) => {
    const unprocessed = Object.fromEntries(Object.keys(Object.assign(requested, audio)).map(
      (name) => [name, false]));
    return open({ audio: unprocessed });
  };
  return requested;
}"""
"""Switch off what the browser does to a voice; return what of it was requested."""


@pytest.fixture
def transcribed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the recordings that reach the provider's speech-to-text, as PCM16."""
    recordings: list[bytes] = []

    def record(payload: Any) -> bool:
        with wave.open(io.BytesIO(base64.b64decode(payload["audioBase64"]))) as recording:
            recordings.append(recording.readframes(recording.getnframes()))
        return contains_speech(payload)

    monkeypatch.setattr(simulated, "contains_speech", record)
    return recordings


TAKES = 3
"""A busy machine loses samples of the simulated microphone, but not three times in a row."""


async def test_microphone_audio_reaches_the_provider(
    page: Page, simulator: Simulator, microphone_file: Path, transcribed: list[bytes]
) -> None:
    """What was streamed is transcribed, and not what was cancelled before."""
    feed_microphone(microphone_file, SILENCE + SPEECH + 20 * SILENCE)
    similarities: list[float] = []
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await connect_client(page, endpoint)
        wanted = await page.evaluate_handle(UNPROCESSED)
        for turn in range(1, TAKES + 1):
            await page.evaluate("nabra.startMicrophone()")
            assert await page.evaluate("nabra.listening")
            await page.wait_for_timeout(400)
            await page.evaluate("nabra.stopMicrophone({ send: false })")
            await page.evaluate("nabra.startMicrophone()")
            await page.wait_for_timeout(1500)
            await page.evaluate("nabra.stopMicrophone()")
            await wait_for_event(page, kind="message", type="transcription", turn=turn)
            await wait_for_event(page, kind="playing", turn=turn)
            assert len(transcribed) == turn
            assert 1.0 < len(transcribed[-1]) / 32000 < 4.5  # held for 1.5 s, by a busy clock
            captured = Recording(16000, 0, floats(transcribed[-1]))
            similarities.append(captured.similarity(SPEECH, 16000))
            if similarities[-1] > 0.95:
                break
        assert max(one["input"] for one in await emitted(page, kind="level")) > 0.05
        assert await wanted.json_value() == dict.fromkeys(PROCESSING, True)
    assert similarities[-1] > 0.95, similarities


async def test_a_microphone_that_is_stopped_at_once_sends_nothing(
    page: Page, simulator: Simulator, microphone_file: Path
) -> None:
    feed_microphone(microphone_file, SILENCE)
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await connect_client(page, endpoint)
        await page.evaluate(
            "Promise.all([nabra.startMicrophone(), nabra.stopMicrophone({ send: true })])"
        )
        assert not await page.evaluate("nabra.listening")
        await page.evaluate("nabra.say('مرحبا')")
        await wait_for_event(page, kind="message", type="status", code="thinking")
        assert await emitted(page, kind="message", type="error") == []


async def test_a_recording_is_transcribed(
    page: Page, simulator: Simulator, transcribed: list[bytes]
) -> None:
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await connect_client(page, endpoint)
        await page.evaluate(
            "text => nabra.sendRecording(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)))",
            base64.b64encode(ARABIC_WAV).decode(),
        )
        await wait_for_event(page, kind="playing")
    assert transcribed == [ARABIC_WAV[44:]]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("NotAllowedError", "microphone-denied"),
        ("NotFoundError", "no-microphone"),
        ("NotReadableError", "microphone-busy"),
    ],
)
async def test_each_error_of_a_microphone_has_a_code(
    page: Page, simulator: Simulator, error: str, code: str
) -> None:
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await connect_client(page, endpoint)
        await fail_microphone(page, error)
        problem = await page.evaluate("nabra.startMicrophone().catch((problem) => problem.code)")
        assert problem == code
        assert not await page.evaluate("nabra.listening")


async def test_a_device_that_goes_is_replaced(
    page: Page, simulator: Simulator, microphone_file: Path
) -> None:
    """Another device takes over; where there is none, that is reported."""
    feed_microphone(microphone_file, 80 * SILENCE)
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await connect_client(page, endpoint)
        await track_microphones(page)
        await page.evaluate("nabra.startMicrophone()")
        await unplug(page, 0)
        await page.wait_for_timeout(500)
        states = await page.evaluate("openedTracks.map((track) => track.readyState)")
        assert states == ["ended", "live"]
        assert await page.evaluate("nabra.listening")
        await fail_microphone(page, "NotFoundError")
        known = len(await emitted(page))
        await unplug(page, 1)
        await wait_for_event(page, kind="problem", code="no-microphone")
        assert not await page.evaluate("nabra.listening")
        # What was streamed is discarded, or the next utterance would begin with it.
        await wait_for_event(page, known, kind="message", type="configured")
