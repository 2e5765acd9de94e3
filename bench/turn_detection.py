"""Server-side turn detection at a microphone's pace: utterance boundaries, barge-in, CPU."""

import asyncio
import json
import time
from collections.abc import Sequence

from websockets.asyncio.client import ClientConnection

from app.audio import PCM16_16K, AudioFormat, encode_mulaw
from app.audio.resample import resample
from app.vad.endpointer import EndpointerLimits
from app.vad.segmenting_vad import create_segmenting_vad
from bench.harness import Event, caller, gateway, percentile
from bench.results import Cell, Result, Table
from tests.voices import Scene, noise

FRAME_S = 0.02
FRAME_BYTES = round(PCM16_16K.bytes_per_second * FRAME_S)
LINES = ("أين شحنتي رقم خمسة؟", "أريد أن أغير عنوان التسليم.", "شكراً جزيلاً لك.")
OBJECTION = "لا لا، ليس هذا العنوان."
INTERRUPTIONS = 5


async def stream(socket: ClientConnection, audio: bytes) -> None:
    """Send audio in real time, as a microphone does."""
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    for number, at in enumerate(range(0, len(audio), FRAME_BYTES)):
        await asyncio.sleep(max(0.0, started_at + number * FRAME_S - loop.time()))
        await socket.send(audio[at : at + FRAME_BYTES])


async def enable_turn_detection(socket: ClientConnection) -> None:
    """Let the gateway detect the start and end of utterances."""
    await socket.send(json.dumps({"type": "configure", "turn_detection": "server_vad"}))
    while json.loads(await socket.recv())["type"] != "configured":
        pass


async def events_while_streaming(
    socket: ClientConnection, audio: bytes, until: str
) -> list[tuple[float, Event]]:
    """Stream audio, and return the events up to the first of type `until`, with times in s."""
    loop = asyncio.get_running_loop()
    sending = asyncio.create_task(stream(socket, audio))
    events: list[tuple[float, Event]] = []
    try:
        async with asyncio.timeout(60):
            while not events or events[-1][1]["type"] != until:
                events.append((loop.time(), json.loads(await socket.recv())))
    finally:
        sending.cancel()
    return events


async def boundary_errors(url: str, snr_db: float | None) -> list[Sequence[Cell]]:
    """Compare detected and true boundaries of three lines, each after a cough."""
    rows: list[Sequence[Cell]] = []
    for line in LINES:
        scene = Scene().pause(500).cough(200).pause(700).speak(line).pause(900)
        scene = scene if snr_db is None else scene.noisy(snr_db)
        (start, end), *_ = scene.utterances
        async with caller(url) as socket:
            await enable_turn_detection(socket)
            timed = await events_while_streaming(socket, scene.pcm(), "done")
        events = [event for _, event in timed]
        starts = [event["audio_start_ms"] for event in events if event["type"] == "speech_started"]
        ends = [event["audio_end_ms"] for event in events if event["type"] == "speech_stopped"]
        room = "quiet" if snr_db is None else f"noise {snr_db:g} dB below"
        rows.append((room, len(starts), round(starts[0] - start), round(ends[0] - end)))
    return rows


async def barge_in_delays(url: str) -> Sequence[Cell]:
    """Speak over a response; return the delays of `speech_started` and of silence, in ms."""
    scene = Scene().pause(300).speak(OBJECTION).pause(900)
    async with caller(url) as socket:
        await enable_turn_detection(socket)
        await socket.send(json.dumps({"type": "text", "text": "أين شحنتي؟"}))
        while json.loads(await socket.recv())["type"] != "tts_chunk":
            pass
        loop = asyncio.get_running_loop()
        speech_at = loop.time() + scene.utterances[0][0] / 1000
        events = await events_while_streaming(socket, scene.pcm(), "speech_stopped")
    detected_at = next(at for at, event in events if event["type"] == "speech_started")
    old_audio = [at for at, event in events if event["type"] == "tts_chunk"]
    last_audio = max(old_audio, default=detected_at)
    return round((detected_at - speech_at) * 1000), round((last_audio - detected_at) * 1000)


async def cpu_ms(audio: bytes, format: AudioFormat) -> tuple[float, float]:
    """Return CPU in ms: for one second of this audio, and the 99th percentile of a frame."""
    vad = await create_segmenting_vad(format, EndpointerLimits(), pre_roll_ms=300)
    frame_bytes = round(format.bytes_per_second * FRAME_S)
    frames_ms = []
    for at in range(0, len(audio), frame_bytes):
        started_at = time.thread_time()
        vad.process(audio[at : at + frame_bytes], during_response=False)
        frames_ms.append((time.thread_time() - started_at) * 1000)
    return sum(frames_ms) / len(frames_ms) / FRAME_S, percentile(frames_ms, 0.99)


async def run() -> Result:
    """Measure boundaries in quiet and in noise, five interruptions, and the CPU of a minute."""
    async with gateway(SIMULATOR_PROFILE="fast") as url:
        boundaries = await boundary_errors(url, None) + await boundary_errors(url, 20)
        delays = [await barge_in_delays(url) for _ in range(INTERRUPTIONS)]
    telephone = AudioFormat("mulaw", 8000)
    speech = Scene().speak(*LINES * 6).pcm()
    sounds = [
        ("silence", PCM16_16K, bytes(60 * PCM16_16K.bytes_per_second)),
        ("a quiet room", PCM16_16K, noise(60_000, deviation=30)),
        ("speech", PCM16_16K, speech),
        ("silence, telephone (mu-law)", telephone, b"\xff" * 60 * telephone.bytes_per_second),
        ("speech, telephone (mu-law)", telephone, encode_mulaw(resample(speech, 16_000, 8000))),
    ]
    costs = [(name, *await cpu_ms(audio, format)) for name, format, audio in sounds]
    return Result("turn_detection", [*_tables(boundaries, delays, costs)])


def _tables(
    boundaries: Sequence[Sequence[Cell]],
    delays: Sequence[Sequence[Cell]],
    costs: Sequence[Sequence[Cell]],
) -> tuple[Table, ...]:
    return (
        Table(
            "Detected boundaries of utterances",
            ("room", "utterances", "start error ms", "end error ms"),
            boundaries,
            "Error: detected minus true position in the audio. Each utterance comes after a cough "
            "of 200 ms, which must not count as one.",
        ),
        Table(
            "Barge-in: the caller speaks over a response",
            (
                "start of speech to `speech_started` ms",
                "`speech_started` to last audio of the response ms",
            ),
            delays,
            "`BARGE_IN_MIN_SPEECH_MS` is 400. Below zero: the last audio came before the event.",
        ),
        Table(
            "CPU of turn detection, milliseconds per second of audio",
            ("sound", "CPU ms", "p99 of a 20 ms frame ms"),
            costs,
        ),
    )
