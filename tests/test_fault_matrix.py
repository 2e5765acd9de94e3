"""Every fault of the provider by every way: what the caller hears of it.

A cell says how a turn of three sentences ends: WHOLE, every byte as the provider would have said
it, or the code of the error that each sentence ends in, with not a byte of it heard. `once` is a
fault that strikes one request; the others strike all requests of their channel.
"""

import asyncio
from typing import Any

import pytest

from app.pipeline import events
from app.pipeline.components import PipelineComponents
from app.pipeline.session import Session
from app.simulator import Simulator, SimulatorConfig
from tests.pipeline.fakes import STYLE, FakeAgent, FakeTranscriber, Recorder
from tests.providers import composed

SENTENCES = [
    "أهلاً وسهلاً بك في خدمة العملاء لشركة ناقل إكسبرس في الرياض.",
    "شحنتك في الطريق إليك الآن وستصل قبل الظهر إن شاء الله تعالى.",
    "هل تحتاج إلى أي مساعدة أخرى قبل أن ننهي هذه المكالمة معك؟",
]

WAYS: dict[str, dict[str, str]] = {
    "socket, then REST": {"tts_transport": "websocket", "tts_fallback": "rest"},
    "socket alone": {"tts_transport": "websocket", "tts_fallback": "none"},
    "REST, then socket": {"tts_transport": "rest", "tts_fallback": "websocket"},
    "REST alone": {"tts_transport": "rest", "tts_fallback": "none"},
    "auto": {"tts_transport": "auto"},
}

WHOLE = "whole"
CUT, LATE = "incomplete-audio", "provider-timeout"
LOST, DOWN = "provider-connection-lost", "provider-unavailable"
BUSY, AWAY = "provider-rate-limited", "provider-unreachable"
KEY, FUNDS = "provider-authentication", "provider-quota"

MATRIX: list[tuple[str, str, tuple[str, str, str, str, str]]] = [
    # fault            strikes      socket+REST  socket  REST+socket  REST   auto
    ("truncated",      "once",      (WHOLE,      WHOLE,  WHOLE,       WHOLE, WHOLE)),
    ("truncated",      "websocket", (WHOLE,      CUT,    WHOLE,       WHOLE, WHOLE)),
    ("truncated",      "rest",      (WHOLE,      WHOLE,  WHOLE,       CUT,   WHOLE)),
    ("truncated",      "both",      (CUT,        CUT,    CUT,         CUT,   CUT)),
    ("drop",           "once",      (WHOLE,      WHOLE,  WHOLE,       WHOLE, WHOLE)),
    ("drop",           "websocket", (WHOLE,      "part", WHOLE,       WHOLE, WHOLE)),
    ("drop",           "rest",      (WHOLE,      WHOLE,  WHOLE,       "part", WHOLE)),
    ("stall_first",    "once",      (WHOLE,      WHOLE,  WHOLE,       WHOLE, WHOLE)),
    ("stall_first",    "websocket", (WHOLE,      LATE,   WHOLE,       WHOLE, WHOLE)),
    ("stall_first",    "rest",      (WHOLE,      WHOLE,  WHOLE,       LATE,  WHOLE)),
    ("stall",          "once",      (WHOLE,      WHOLE,  WHOLE,       WHOLE, WHOLE)),
    ("late_frames",    "once",      (WHOLE,      WHOLE,  WHOLE,       WHOLE, WHOLE)),
    ("late_frames",    "both",      (WHOLE,      WHOLE,  WHOLE,       WHOLE, WHOLE)),
    ("riff",           "both",      (WHOLE,      WHOLE,  WHOLE,       WHOLE, WHOLE)),
    ("odd_chunks",     "both",      (WHOLE,      WHOLE,  WHOLE,       WHOLE, WHOLE)),
    ("provider_error", "once",      (WHOLE,      WHOLE,  WHOLE,       WHOLE, WHOLE)),
    ("provider_error", "websocket", (WHOLE,      DOWN,   WHOLE,       WHOLE, WHOLE)),
    ("provider_error", "rest",      (WHOLE,      WHOLE,  WHOLE,       DOWN,  WHOLE)),
    ("rate_limited",   "once",      (WHOLE,      WHOLE,  WHOLE,       WHOLE, WHOLE)),
    ("unavailable",    "once",      (WHOLE,      WHOLE,  WHOLE,       WHOLE, WHOLE)),
    ("unavailable",    "rest",      (WHOLE,      WHOLE,  WHOLE,       DOWN,  WHOLE)),
    ("endless_error",  "once",      (WHOLE,      WHOLE,  WHOLE,       WHOLE, WHOLE)),
    ("redirect",       "once",      (WHOLE,      WHOLE,  WHOLE,       WHOLE, WHOLE)),
    ("redirect",       "rest",      (WHOLE,      WHOLE,  WHOLE,       AWAY,  WHOLE)),
    ("unauthorized",   "both",      (KEY,        KEY,    KEY,         KEY,   KEY)),
    ("no_funds",       "both",      (FUNDS,      FUNDS,  FUNDS,       FUNDS, FUNDS)),
    ("quota",          "both",      (FUNDS,      FUNDS,  FUNDS,       FUNDS, FUNDS)),
]  # fmt: skip

CELLS = [
    pytest.param(fault, strikes, route, outcome, id=f"{fault}-{strikes}-{route}")
    for fault, strikes, outcomes in MATRIX
    for route, outcome in zip(WAYS, outcomes, strict=True)
]


def spec(strikes: str) -> dict[str, Any]:
    if strikes == "once":
        return {"probability": 1, "times": 1}
    return {"probability": 1, **({} if strikes == "both" else {"channel": strikes})}


async def speak(simulator: Simulator, route: str, *, linger_s: float) -> Recorder:
    recorder = Recorder()
    async with composed(
        simulator,
        **WAYS[route],
        tts_attempts=6,
        tts_first_audio_timeout_s=0.1,
        tts_stall_timeout_s=0.1,
        hamsa_linger_s=linger_s,
    ) as providers:
        await providers.transport.warm_up()
        while "opening=1" in repr(providers.pool):
            await asyncio.sleep(0)
        agent = FakeAgent([" ".join(SENTENCES)])
        stages = PipelineComponents(
            FakeTranscriber(), agent, providers.transport, max_utterance_s=1
        )
        async with Session("s", stages, STYLE, recorder.emit) as session:
            await session.start_turn("مرحبا")
            await recorder.until(events.TurnDone)
        assert "leased=0" in repr(providers.pool)
        assert "streams=0" in repr(providers.client) or "[]" in repr(providers.client)
    return recorder


def delivered(recorder: Recorder) -> dict[str, bytes]:
    """The audio of each sentence, by the order of events alone."""
    audio: dict[str, bytes] = {}
    text = ""
    for event in recorder.events:
        if isinstance(event, events.SentenceStarted):
            text = event.text
            assert text not in audio, "a sentence is heard once"
            audio[text] = b""
        elif isinstance(event, events.AudioChunk):
            audio[text] += event.data
    return audio


@pytest.mark.parametrize(("fault", "strikes", "route", "outcome"), CELLS)
async def test_what_is_heard(fault: str, strikes: str, route: str, outcome: str) -> None:
    config = SimulatorConfig(
        profile="instant",
        voice="hum",
        faults={fault: spec(strikes)},
        retry_after_s=0,
        stall_ms=60_000,
    )
    async with Simulator(config) as simulator:
        # a busy machine is late with what is late
        linger_s = 0.5 if fault == "late_frames" else 0.1
        recorder = await speak(simulator, route, linger_s=linger_s)
        wanted = {text: simulator.expected_audio(text) for text in SENTENCES}
    codes = [event.error.code for event in recorder.of(events.Failed)]
    audio = delivered(recorder)
    if outcome == WHOLE:
        assert codes == []
        assert audio == wanted
    elif outcome == "part":  # what came is heard, the rest is told to be missing
        assert codes == [LOST] * len(SENTENCES)
        for text, data in audio.items():
            assert wanted[text].startswith(data)
    else:
        assert codes == [outcome] * len(SENTENCES)
        assert audio == {}
    assert simulator.stats.keys_leaked == 0
    answered = recorder.of(events.AgentResponded)[0].text
    assert answered == " ".join(SENTENCES), "the text is shown whatever becomes of the sound"
