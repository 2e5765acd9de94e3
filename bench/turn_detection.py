"""Listening at a microphone's pace: borders, interruptions, the cost of silence and speech."""

import asyncio
import json
import time
from collections.abc import Sequence

from websockets.asyncio.client import ClientConnection

from app.audio import PCM16_16K, AudioFormat, encode_mulaw, resample
from app.vad.endpointer import EndpointerLimits
from app.vad.segmenting_vad import create_segmenting_vad
from bench.harness import Event, caller, gateway, percentile
from bench.results import Cell, Result, Table
from tests.voices import Scene, noise

FRAME_S = 0.02
FRAME_BYTES = round(PCM16_16K.bytes_per_second * FRAME_S)
LINES = ("أين شحنتي رقم خمسة؟", "أريد أن أغير عنوان التسليم.", "شكراً جزيلاً لك.")
OBJECTION = "لا لا، ليس هذا العنوان."


async def stream(socket: ClientConnection, audio: bytes) -> None:
    """Send audio as fast as it sounds."""
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    for number, at in enumerate(range(0, len(audio), FRAME_BYTES)):
        await asyncio.sleep(max(0.0, started_at + number * FRAME_S - loop.time()))
        await socket.send(audio[at : at + FRAME_BYTES])


async def listen(socket: ClientConnection) -> None:
    """Leave it to the gateway to hear when it is spoken to."""
    await socket.send(json.dumps({"type": "configure", "turn_detection": "server_vad"}))
    while json.loads(await socket.recv())["type"] != "configured":
        pass


async def events_while(
    socket: ClientConnection, audio: bytes, until: str
) -> list[tuple[float, Event]]:
    """Stream audio; give the events up to one of this kind, with their times in seconds."""
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


async def borders(url: str, snr_db: float | None) -> list[Sequence[Cell]]:
    """Speak three lines and cough between; compare where the gateway heard them."""
    rows: list[Sequence[Cell]] = []
    for line in LINES:
        scene = Scene().pause(500).cough(200).pause(700).speak(line).pause(900)
        scene = scene if snr_db is None else scene.noisy(snr_db)
        (start, end), *_ = scene.utterances
        async with caller(url) as socket:
            await listen(socket)
            events = [event for _, event in await events_while(socket, scene.pcm(), "done")]
        begun = [event["audio_start_ms"] for event in events if event["type"] == "speech_started"]
        ended = [event["audio_end_ms"] for event in events if event["type"] == "speech_stopped"]
        room = "quiet" if snr_db is None else f"noise {snr_db:g} dB below"
        rows.append((room, len(begun), round(begun[0] - start), round(ended[0] - end)))
    return rows


async def interruption(url: str) -> Sequence[Cell]:
    """Speak over an answer; take the time between speech and silence."""
    scene = Scene().pause(300).speak(OBJECTION).pause(900)
    async with caller(url) as socket:
        await listen(socket)
        await socket.send(json.dumps({"type": "text", "text": "أين شحنتي؟"}))
        while json.loads(await socket.recv())["type"] != "tts_chunk":
            pass
        loop = asyncio.get_running_loop()
        began_at = loop.time() + scene.utterances[0][0] / 1000
        events = await events_while(socket, scene.pcm(), "speech_stopped")
    heard_at = next(at for at, event in events if event["type"] == "speech_started")
    old_audio = [at for at, event in events if event["type"] == "tts_chunk"]
    last_audio = max(old_audio, default=heard_at)
    return round((heard_at - began_at) * 1000), round((last_audio - heard_at) * 1000)


async def cost(audio: bytes, format: AudioFormat) -> tuple[float, float]:
    """Return the CPU, in ms, that one second of this takes, and the 99th percentile of a frame."""
    listener = await create_segmenting_vad(format, EndpointerLimits(), pre_roll_ms=300)
    frame_bytes = round(format.bytes_per_second * FRAME_S)
    took = []
    for at in range(0, len(audio), frame_bytes):
        started_at = time.thread_time()
        listener.process(audio[at : at + frame_bytes], during_response=False)
        took.append((time.thread_time() - started_at) * 1000)
    return sum(took) / len(took) / FRAME_S, percentile(took, 0.99)


async def run() -> Result:
    """Three lines in quiet and in noise, five interruptions, and the cost of a minute."""
    async with gateway(SIMULATOR_PROFILE="fast") as url:
        rows = await borders(url, None) + await borders(url, 20)
        stops = [await interruption(url) for _ in range(5)]
    telephone = AudioFormat("mulaw", 8000)
    speech = Scene().speak(*LINES * 6).pcm()
    sounds = [
        ("silence", PCM16_16K, bytes(60 * PCM16_16K.bytes_per_second)),
        ("a quiet room", PCM16_16K, noise(60_000, deviation=30)),
        ("speech", PCM16_16K, speech),
        ("silence on a telephone, mu-law", telephone, b"\xff" * 60 * telephone.bytes_per_second),
        ("speech on a telephone, mu-law", telephone, encode_mulaw(resample(speech, 16_000, 8000))),
    ]
    costs = [(name, *await cost(audio, format)) for name, format, audio in sounds]
    return Result(
        "turn_detection",
        [
            Table(
                "Borders of utterances at real-time pace",
                ("room", "utterances", "begin, ms off", "end, ms off"),
                rows,
                "A cough of 200 ms before each line is no utterance.",
            ),
            Table(
                "Speaking over an answer",
                (
                    "speech to speech_started ms",
                    "last byte of the answer after speech_started ms",
                ),
                stops,
                "BARGE_IN_MIN_SPEECH_MS is 400.",
            ),
            Table(
                "CPU of listening, ms per second of audio",
                ("sound", "CPU ms", "p99 of a 20 ms frame ms"),
                costs,
            ),
        ],
    )
