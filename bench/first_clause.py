"""Speech that starts with the first clause: first audio comes earlier, and no silence follows."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from app.simulator import Simulator, SimulatorConfig
from app.simulator.profiles import TimingField
from app.simulator.transcripts import built_in_lines, canned_response
from bench.harness import TimedTurn, caller, gateway, recorded_utterance, settings_for, take_turn
from bench.results import Cell, Result, Table

RESPONSES = [
    *(canned_response(line) for line in built_in_lines()),
    "أهلاً وسهلاً بك في خدمة العملاء. شحنتك وصلت إلى مدينة الرياض صباح اليوم. سيتصل بك المندوب "
    "قبل التسليم بساعة واحدة. هل تحتاج أي مساعدة أخرى؟",
    "أهلاً بك أستاذ خالد، شحنتك رقم 4521 وصلت إلى مدينة جدة هذا الصباح. سيتواصل معك المندوب "
    "قبل التسليم بساعة تقريباً. هل رقم جوالك المسجل لدينا صحيح؟",
    "يبدأ دوام فرع العليا من الساعة الثامنة صباحاً وينتهي في العاشرة مساءً. الفرع مغلق يوم "
    "الجمعة. يمكنك زيارته في أي وقت آخر دون موعد.",
    "للأسف لا نستطيع تسليم الشحنة خارج نطاق المدينة حالياً، لكن يمكنك استلامها من أقرب فرع لك "
    "خلال يومين. هل أحجزها باسمك في فرع الدمام؟",
]
"""As agents write them: some start with a clause, some with a short one, some with none."""

WHOLE_SENTENCE = 0
SIZES = (WHOLE_SENTENCE, 15, 20, 25)
"""Values of `FIRST_CHUNK_MIN_CHARS`."""

TRANSPORTS = ("websocket", "rest")
PACE: dict[TimingField, float] = {"agent_answer_ms": 0.0, "agent_token_ms": 110.0}
"""The measured 6.4 s for four sentences as a pace, so that short responses do not come slower."""


@dataclass(frozen=True)
class ResponseTiming:
    """One response in a player that starts at the first audio and plays in real time."""

    first_s: float
    """From the end of the utterance to the first audio."""
    from_agent_s: float
    """From the transcript, when the agent is asked, to the first audio: as in a typed turn."""
    first_chars: int
    """Length of the first text that was synthesized."""
    silence_ms: float
    """Between the first and the second sentence or clause."""
    later_silence_ms: float
    """Longest silence between later ones."""

    @classmethod
    def of(cls, turn: TimedTurn) -> "ResponseTiming":
        """Play the chunks of a turn at the times at which they arrived."""
        silences: list[float] = []
        buffer_empty_at = first_s = turn.first("tts_chunk")[0]
        texts: list[str] = []
        starts = False
        for at, event in turn.events:
            if event["type"] == "sentence":
                texts.append(event["text"])
                starts = True
            elif event["type"] == "tts_chunk":
                if starts:
                    silences.append(max(0.0, at - buffer_empty_at) * 1000)
                starts = False
                seconds = len(base64.b64decode(event["audio_base64"])) / 32_000
                buffer_empty_at = max(at, buffer_empty_at) + seconds
        asked_at = turn.first("transcription")[0]
        second, later = (silences[1:2] or [0.0])[0], max(silences[2:], default=0.0)
        return cls(first_s, first_s - asked_at, len(texts[0]), second, later)


Timings = dict[tuple[str, int], list[ResponseTiming]]
"""By transport and `FIRST_CHUNK_MIN_CHARS`."""


async def run() -> Result:
    """Take ten spoken turns over each transport with each clause length, all at the same time."""
    variants = [(transport, size) for transport in TRANSPORTS for size in SIZES]
    measured = await asyncio.gather(*(_converse(transport, size) for transport, size in variants))
    timings = dict(zip(variants, measured, strict=True))
    details = [_details(transport, timings) for transport in TRANSPORTS]
    return Result("first_clause", [_summary(timings), *details])


def _summary(timings: Timings) -> Table:
    """Compare each clause length with whole sentences over the same transport."""
    return Table(
        "How much earlier first audio comes than with a whole first sentence (median)",
        (
            "transport",
            "min chars",
            "spoken turns, all",
            "typed turns, all",
            "responses cut",
            "spoken turns, cut",
            "typed turns, cut",
            "silence before 2nd ms",
            "later silence ms",
        ),
        [
            _row(transport, size, timings[transport, WHOLE_SENTENCE], timings[transport, size])
            for transport in TRANSPORTS
            for size in SIZES
        ],
        "Min chars: `FIRST_CHUNK_MIN_CHARS`, the shortest clause that speech starts with. Cut: the "
        "responses that start with a clause of at least this length. Spoken turns are counted from "
        "the end of the utterance, STT included, typed turns from the request to the agent. The "
        "last two columns are the longest silences of a player: between the first and the second "
        "synthesized text, and between later ones.",
    )


def _details(transport: str, timings: Timings) -> Table:
    return Table(
        f"First audio over {transport}, seconds after the end of the utterance",
        ("response", "whole sentence", *(f"clause of {size}+ chars" for size in SIZES[1:])),
        [
            (RESPONSES[at][:28], *(_cell(timings[transport, size][at]) for size in SIZES))
            for at in range(len(RESPONSES))
        ],
        "Profile `measured`, whose STT takes 2 s of it. In brackets: the length of the first text "
        "that was synthesized.",
    )


def _cell(timing: ResponseTiming) -> str:
    return f"{timing.first_s:.2f} ({timing.first_chars} chars)"


def _row(
    transport: str, size: int, whole: list[ResponseTiming], timings: list[ResponseTiming]
) -> Sequence[Cell]:
    pairs = list(zip(whole, timings, strict=True))
    cut = [pair for pair in pairs if pair[1].first_chars < pair[0].first_chars]
    return (
        transport,
        size or "whole",
        *_earlier(pairs),
        f"{len(cut)} of {len(pairs)}",
        *_earlier(cut),
        round(max(each.silence_ms for each in timings)),
        round(max(each.later_silence_ms for each in timings)),
    )


def _earlier(pairs: list[tuple[ResponseTiming, ResponseTiming]]) -> tuple[str, str]:
    """Return by which share first audio comes earlier, in spoken and in typed turns."""
    if not pairs:
        return "-", "-"
    spoken_share = median(1 - new.first_s / old.first_s for old, new in pairs)
    typed_share = median(1 - new.from_agent_s / old.from_agent_s for old, new in pairs)
    return f"{100 * spoken_share:.0f} %", f"{100 * typed_share:.0f} %"


async def _converse(transport: str, size: int) -> list[ResponseTiming]:
    """Take one turn for each response in one session, after one warm-up turn."""
    lines = tuple(f"سؤال {number}" for number in range(len(RESPONSES)))
    config = SimulatorConfig(
        profile="measured",
        voice="hum",
        timing=PACE,
        script=("مرحبا", *lines),
        answers=dict(zip(lines, RESPONSES, strict=True)),
    )
    settings = {
        "TTS_TRANSPORT": transport,
        "STT_TRANSPORT": transport,
        "FIRST_CHUNK_MIN_CHARS": str(size),
    }
    async with (
        Simulator(config) as simulator,
        gateway(**settings_for(simulator, **settings)) as url,
        caller(url) as socket,
    ):
        await take_turn(socket, recorded_utterance())
        return [ResponseTiming.of(await take_turn(socket, recorded_utterance())) for _ in lines]
