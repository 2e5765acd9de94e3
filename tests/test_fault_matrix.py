"""Every fault of the provider over every choice of transports: what the caller gets.

A cell says how a turn of three sentences ends: WHOLE, every byte as without the fault; "part", the
beginning of each sentence and an error; or the code of the error in place of each sentence, without
a byte of audio. A fault fires `once`, or for every request of its channel, or of `both`.
"""

import pytest

from app.pipeline import events
from app.pipeline.components import PipelineComponents
from app.pipeline.session import Session
from app.simulator import Simulator, SimulatorConfig
from app.simulator.faults import FaultName, FaultSpec
from tests.pipeline.fakes import STYLE, FakeAgent, FakeTranscriber, Recorder
from tests.providers import composed
from tests.waiting import until

SENTENCES = [
    "أهلاً وسهلاً بك في خدمة العملاء لشركة ناقل إكسبرس في الرياض.",
    "شحنتك في الطريق إليك الآن وستصل قبل الظهر إن شاء الله تعالى.",
    "هل تحتاج إلى أي مساعدة أخرى قبل أن ننهي هذه المكالمة معك؟",
]

ROUTES: dict[str, dict[str, str]] = {
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

MATRIX: list[tuple[FaultName, str, tuple[str, str, str, str, str]]] = [
    # fault            fires        socket+REST  socket  REST+socket  REST   auto
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
    pytest.param(fault, fires, route, outcome, id=f"{fault}-{fires}-{route}")
    for fault, fires, outcomes in MATRIX
    for route, outcome in zip(ROUTES, outcomes, strict=True)
]


def fault_spec(fires: str) -> FaultSpec:
    if fires == "once":
        return FaultSpec(times=1)
    return FaultSpec.model_validate({} if fires == "both" else {"channel": fires})


async def run_turn(
    simulator: Simulator, route: str, *, timeout_s: float, linger_s: float
) -> Recorder:
    recorder = Recorder()
    async with composed(
        simulator,
        **ROUTES[route],
        tts_attempts=6,
        tts_first_audio_timeout_s=timeout_s,
        tts_stall_timeout_s=timeout_s,
        hamsa_linger_s=linger_s,
    ) as providers:
        await providers.transport.warm_up()
        pool = providers.pool
        await until(lambda: not pool.counts()["opening"], state=pool)
        agent = FakeAgent([" ".join(SENTENCES)])
        components = PipelineComponents(
            FakeTranscriber(), agent, providers.transport, max_utterance_s=1
        )
        async with Session("s", components, STYLE, recorder.emit) as session:
            await session.start_turn("مرحبا")
            await recorder.until(events.TurnDone)
        assert pool.counts()["leased"] == 0
        assert "streams=0" in repr(providers.client) or "[]" in repr(providers.client)
    return recorder


def audio_by_sentence(recorder: Recorder) -> dict[str, bytes]:
    """Return the audio of each sentence, by the order of events alone."""
    audio: dict[str, bytes] = {}
    text = ""
    for event in recorder.events:
        if isinstance(event, events.SentenceStarted):
            text = event.text
            assert text not in audio, "a sentence is played once"
            audio[text] = b""
        elif isinstance(event, events.AudioChunk):
            audio[text] += event.data
    return audio


@pytest.mark.parametrize(("fault", "fires", "route", "outcome"), CELLS)
async def test_what_the_caller_gets(fault: FaultName, fires: str, route: str, outcome: str) -> None:
    config = SimulatorConfig(
        profile="instant",
        voice="hum",
        faults={fault: fault_spec(fires)},
        retry_after_s=0,
        stall_ms=60_000,
    )
    async with Simulator(config) as simulator:
        recorder = await run_turn(
            simulator,
            route,
            # as short as the fault allows; otherwise a busy machine would add faults of its own
            timeout_s=0.1 if fault in ("stall", "stall_first") else 3,
            linger_s=0.5 if fault == "late_frames" else 0.1,
        )
        expected = {text: simulator.expected_audio(text) for text in SENTENCES}
    codes = [event.error.code for event in recorder.of(events.Failed)]
    audio = audio_by_sentence(recorder)
    if outcome == WHOLE:
        assert codes == []
        assert audio == expected
    elif outcome == "part":
        assert codes == [LOST] * len(SENTENCES)
        for text, data in audio.items():
            assert expected[text].startswith(data)
    else:
        assert codes == [outcome] * len(SENTENCES)
        assert audio == {}
    assert simulator.stats.keys_leaked == 0
    response = recorder.of(events.AgentResponded)[0].text
    assert response == " ".join(SENTENCES), "the text is shown even without its audio"
