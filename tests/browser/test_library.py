"""The client library in a conversation: speaking, interrupting, losing the server, problems."""

import base64
import io
import json
import wave
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, WebSocketRoute

from app.simulator import Simulator
from app.simulator import provider_session as simulated
from tests.gateway import ARABIC_WAV, settings_for

from .driving import converse, hear, open_library, served, told, unlock, until
from .listening import Heard, floats, listen

pytestmark = pytest.mark.asyncio(loop_scope="session")

SPEECH = ARABIC_WAV[44 : 44 + 2 * 16000]
"""A second of it."""
SILENCE = bytes(2 * 4000)
PROCESSING = ("echoCancellation", "noiseSuppression", "autoGainControl")
UNPROCESSED = """() => {
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  const asked = {};
  navigator.mediaDevices.getUserMedia = ({ audio }) => {
    const asItIs = Object.fromEntries(Object.keys(Object.assign(asked, audio)).map(
      (name) => [name, false]));
    return open({ audio: asItIs });
  };
  return asked;
}"""
"""Take what the browser does to a voice away, and tell what of it was asked for."""


async def test_an_interruption_is_silent_in_50_ms_and_reports_what_was_played(
    page: Page, simulator: Simulator
) -> None:
    """Whatever the server says: here it says nothing more."""
    is_deaf = False

    def relay(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda message: None if is_deaf else socket.send(message))

    async with served(page, settings_for(simulator)) as endpoint:
        await page.route_web_socket("**/ws/agent/**", relay)
        await converse(page, endpoint)
        await page.evaluate("nabra.say('مرحبا')")
        await until(page, kind="playing")
        await page.wait_for_timeout(400)
        is_deaf = True
        now_s = await page.evaluate("(nabra.interrupt(), heard.now())")
        idle = await until(page, kind="idle")
        await page.wait_for_timeout(300)
        heard = await listen(page)
        assert 300 < idle["playedMs"] < 3000
        assert heard.loud_s() == pytest.approx(idle["playedMs"] / 1000, abs=0.05)
        assert heard.after(now_s + 0.05).loud_s() == 0


async def test_what_is_said_over_an_answer_silences_it(page: Page, simulator: Simulator) -> None:
    """The sound of the old turn does not reach into the new one, even if nobody ends the old."""
    servers: list[WebSocketRoute] = []

    def relay(socket: WebSocketRoute) -> None:
        servers.append(server := socket.connect_to_server())
        server.on_message(lambda message: None if is_end(message) else socket.send(message))

    def is_end(message: str | bytes) -> bool:
        return isinstance(message, str) and json.loads(message)["type"] == "interrupted"

    async with served(page, settings_for(simulator)) as endpoint:
        await page.route_web_socket("**/ws/agent/**", relay)
        await converse(page, endpoint)
        await page.evaluate("nabra.say('مرحبا')")
        await until(page, kind="playing", turn=1)
        now_s = await page.evaluate("heard.now()")
        servers[0].send(json.dumps({"type": "text", "text": "وعليكم السلام"}))
        await until(page, kind="playing", turn=2)
        await page.wait_for_timeout(500)
        heard = await listen(page)
        [first] = await told(page, kind="message", type="sentence", turn=2, index=0)
        spoken = simulator.expected_audio(first["text"])[: int(0.3 * 32000)]
        assert heard.after(now_s).likeness(spoken, 16000) > 0.99
        [idle] = await told(page, kind="idle")
        old = [one["text"] for one in await told(page, kind="message", type="sentence", turn=1)]
        made_ms = sum(len(simulator.expected_audio(text)) / 32 for text in old)
        assert idle["turn"] == 1
        assert idle["playedMs"] < made_ms / 2


async def test_an_answer_that_comes_before_the_worklet_is_heard_from_its_beginning(
    page: Page, simulator: Simulator, brief: dict[str, Any]
) -> None:
    async with served(page, settings_for(simulator, **brief)) as endpoint:
        await open_library(page, endpoint)
        await page.evaluate(
            """() => {
              const add = AudioWorklet.prototype.addModule;
              const gate = new Promise((open) => (globalThis.letIn = open));
              AudioWorklet.prototype.addModule = async function (url) {
                if (String(url).endsWith("playback.js")) await gate;
                return add.call(this, url);
              };
            }"""
        )
        await page.click("button")
        await page.evaluate("nabra.connect()")
        await page.evaluate("nabra.say('مرحبا')")
        await until(page, kind="message", type="done")
        await page.evaluate("letIn()")
        idle = await until(page, kind="idle")
        sentences = [one["text"] for one in await told(page, kind="message", type="sentence")]
        made = b"".join(map(simulator.expected_audio, sentences))
        assert idle["playedMs"] == pytest.approx(len(made) / 32, abs=1)
        assert await told(page, kind="problem") == []


@pytest.fixture
def transcribed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The recordings that reach the provider's speech-to-text, as PCM16."""
    recordings: list[bytes] = []
    judge = simulated.contains_speech

    def record(payload: Any) -> bool:
        with wave.open(io.BytesIO(base64.b64decode(payload["audioBase64"]))) as recording:
            recordings.append(recording.readframes(recording.getnframes()))
        return judge(payload)

    monkeypatch.setattr(simulated, "contains_speech", record)
    return recordings


TAKES = 3
"""A machine that is short of time loses samples of the made-up microphone; not thrice in a row."""


async def test_the_microphone_is_heard_by_the_provider(
    page: Page, simulator: Simulator, microphone_file: Path, transcribed: list[bytes]
) -> None:
    """Hold, speak, release: what was said comes through, and not what was called off before."""
    hear(microphone_file, SILENCE + SPEECH + 20 * SILENCE)
    likeness: list[float] = []
    async with served(page, settings_for(simulator)) as endpoint:
        await converse(page, endpoint)
        wanted = await page.evaluate_handle(UNPROCESSED)
        for turn in range(1, TAKES + 1):
            await page.evaluate("nabra.startMicrophone()")
            assert await page.evaluate("nabra.listening")
            await page.wait_for_timeout(400)
            await page.evaluate("nabra.stopMicrophone({ send: false })")
            await page.evaluate("nabra.startMicrophone()")
            await page.wait_for_timeout(1500)
            await page.evaluate("nabra.stopMicrophone()")
            await until(page, kind="message", type="transcription", turn=turn)
            await until(page, kind="playing", turn=turn)
            assert len(transcribed) == turn
            assert 1.0 < len(transcribed[-1]) / 32000 < 4.5  # held for 1.5 s, by a busy clock
            heard = Heard(16000, 0, floats(transcribed[-1]))
            likeness.append(heard.likeness(SPEECH, 16000))
            if likeness[-1] > 0.95:
                break
        assert max(one["input"] for one in await told(page, kind="level")) > 0.05
        assert await wanted.json_value() == dict.fromkeys(PROCESSING, True)
    assert likeness[-1] > 0.95, likeness


async def test_a_tap_that_is_too_short_to_listen_sends_nothing(
    page: Page, simulator: Simulator, microphone_file: Path
) -> None:
    hear(microphone_file, SILENCE)
    async with served(page, settings_for(simulator)) as endpoint:
        await converse(page, endpoint)
        await page.evaluate(
            "Promise.all([nabra.startMicrophone(), nabra.stopMicrophone({ send: true })])"
        )
        assert not await page.evaluate("nabra.listening")
        await page.evaluate("nabra.say('مرحبا')")
        await until(page, kind="message", type="status", code="thinking")
        assert await told(page, kind="message", type="error") == []


async def test_a_recording_is_answered(
    page: Page, simulator: Simulator, transcribed: list[bytes]
) -> None:
    async with served(page, settings_for(simulator)) as endpoint:
        await converse(page, endpoint)
        await page.evaluate(
            "text => nabra.sendRecording(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)))",
            base64.b64encode(ARABIC_WAV).decode(),
        )
        await until(page, kind="playing")
    assert transcribed == [ARABIC_WAV[44:]]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("NotAllowedError", "microphone-denied"),
        ("NotFoundError", "no-microphone"),
        ("NotReadableError", "microphone-busy"),
    ],
)
async def test_why_there_is_no_microphone(
    page: Page, simulator: Simulator, error: str, code: str
) -> None:
    async with served(page, settings_for(simulator)) as endpoint:
        await converse(page, endpoint)
        await page.evaluate(
            "name => navigator.mediaDevices.getUserMedia ="
            " () => Promise.reject(new DOMException('', name))",
            error,
        )
        problem = await page.evaluate("nabra.startMicrophone().catch((problem) => problem.code)")
        assert problem == code
        assert not await page.evaluate("nabra.listening")


async def test_a_device_that_goes_is_replaced(
    page: Page, simulator: Simulator, microphone_file: Path
) -> None:
    """The headset is unplugged: what there is now takes over, or it is told that nothing is."""
    hear(microphone_file, 80 * SILENCE)
    async with served(page, settings_for(simulator)) as endpoint:
        await converse(page, endpoint)
        await page.evaluate(
            """() => {
              const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
              globalThis.opened = [];
              navigator.mediaDevices.getUserMedia = async (wanted) => {
                const stream = await open(wanted);
                opened.push(stream.getAudioTracks()[0]);
                return stream;
              };
            }"""
        )
        await page.evaluate("nabra.startMicrophone()")
        await page.evaluate("opened[0].dispatchEvent(new Event('ended'))")
        await page.wait_for_timeout(500)
        assert await page.evaluate("opened.map((track) => track.readyState)") == ["ended", "live"]
        assert await page.evaluate("nabra.listening")
        await page.evaluate(
            "() => { navigator.mediaDevices.getUserMedia ="
            " () => Promise.reject(new DOMException('', 'NotFoundError')) }"
        )
        known = len(await told(page))
        await page.evaluate("opened[1].dispatchEvent(new Event('ended'))")
        await until(page, kind="problem", code="no-microphone")
        assert not await page.evaluate("nabra.listening")
        # What was streamed is forgotten, or it would be the first half of the next utterance.
        await until(page, known, kind="message", type="configured")


async def test_a_system_that_keeps_the_sound_back_is_a_problem_with_a_name(
    page: Page, simulator: Simulator
) -> None:
    """During a phone call iOS rejects `resume` outright."""
    async with served(page, settings_for(simulator)) as endpoint:
        await open_library(page, endpoint)
        await unlock(page)
        await page.evaluate(
            """async () => {
              await nabra.output.context.suspend();
              AudioContext.prototype.resume = () =>
                Promise.reject(new DOMException("", "InvalidStateError"));
            }"""
        )
        assert await page.evaluate("nabra.unlock().catch(({ code }) => code)") == "audio-locked"


async def test_without_a_gesture_it_says_that_it_may_not_sound(
    page: Page, simulator: Simulator
) -> None:
    """The conversation goes on in writing, and by sound from the gesture on."""
    async with served(page, settings_for(simulator)) as endpoint:
        await open_library(page, endpoint)
        await page.evaluate("nabra.connect()")
        await page.evaluate("nabra.say('مرحبا')")
        problem = await until(page, kind="problem")
        assert (problem["code"], problem["recoverable"]) == ("audio-locked", True)
        await until(page, kind="message", type="done")
        assert len(await told(page, kind="problem")) == 1
        await unlock(page)
        await page.evaluate("nabra.say('مرحبا')")
        await until(page, kind="playing", turn=2)
