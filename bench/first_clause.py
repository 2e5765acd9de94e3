"""What it brings to begin with a clause: first audio, and the silence that it must not cost."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from app.simulator import Simulator, SimulatorConfig
from app.simulator.profiles import TimingField
from app.simulator.transcripts import built_in_lines, canned_response
from bench.harness import TimedTurn, caller, gateway, settings_for, spoken, take_turn
from bench.results import Cell, Result, Table

ANSWERS = [
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
"""As agents write them: some begin with a clause, some with one that is short, some with none."""

WHOLE = 0
SIZES = (WHOLE, 15, 20, 25)
TRANSPORTS = ("websocket", "rest")
PACE: dict[TimingField, float] = {"agent_answer_ms": 0.0, "agent_token_ms": 110.0}
"""The measured 6.4 s for four sentences, as a pace: short answers are not written slower."""


@dataclass(frozen=True)
class Heard:
    """One answer, as a player hears it that plays in real time from the first audio on."""

    first_s: float
    """Since the end of the utterance."""
    from_agent_s: float
    """Since the transcript, when the agent is asked: what a typed turn takes."""
    first_chars: int
    silence_ms: float
    """Before the second chunk."""
    later_silence_ms: float

    @classmethod
    def of(cls, turn: TimedTurn) -> "Heard":
        """Play what came, at the times at which it came."""
        silences: list[float] = []
        runs_dry_at = first_s = turn.first("tts_chunk")[0]
        texts: list[str] = []
        begins = False
        for at, event in turn.events:
            if event["type"] == "sentence":
                texts.append(event["text"])
                begins = True
            elif event["type"] == "tts_chunk":
                if begins:
                    silences.append(max(0.0, at - runs_dry_at) * 1000)
                begins = False
                seconds = len(base64.b64decode(event["audio_base64"])) / 32_000
                runs_dry_at = max(at, runs_dry_at) + seconds
        asked_at = turn.first("transcription")[0]
        second, later = (silences[1:2] or [0.0])[0], max(silences[2:], default=0.0)
        return cls(first_s, first_s - asked_at, len(texts[0]), second, later)


async def run() -> Result:
    """Ten spoken turns by each transport and size of first chunk, all at the same time."""
    ways = [(transport, size) for transport in TRANSPORTS for size in SIZES]
    taken = await asyncio.gather(*(_converse(transport, size) for transport, size in ways))
    heard = dict(zip(ways, taken, strict=True))
    tables = [
        Table(
            f"First audio by {transport}, s since the end of the utterance",
            ("answer", "whole sentence", *(f"clause of {size}+" for size in SIZES[1:])),
            [
                (ANSWERS[at][:28], *(_cell(heard[transport, size], at) for size in SIZES))
                for at in range(len(ANSWERS))
            ],
            "Profile `measured`: 2 s of it are STT.",
        )
        for transport in TRANSPORTS
    ]
    summary = Table(
        "How much earlier than with whole sentences (median), and the longest silence of a player",
        (
            "by",
            "least chars",
            "with STT, all",
            "from the agent, all",
            "answers cut",
            "with STT, cut",
            "from the agent, cut",
            "silence before 2nd, ms",
            "later, ms",
        ),
        [
            _summary(transport, size, heard[transport, WHOLE], heard[transport, size])
            for transport in TRANSPORTS
            for size in SIZES
        ],
        "Cut: the answers that begin with a clause of that length.",
    )
    return Result("first_clause", [summary, *tables])


def _cell(heard: list[Heard], at: int) -> str:
    return f"{heard[at].first_s:.2f} ({heard[at].first_chars} chars)"


def _summary(transport: str, size: int, whole: list[Heard], heard: list[Heard]) -> Sequence[Cell]:
    pairs = list(zip(whole, heard, strict=True))
    cut = [pair for pair in pairs if pair[1].first_chars < pair[0].first_chars]
    return (
        transport,
        size or "whole",
        *_earlier(pairs),
        f"{len(cut)} of {len(pairs)}",
        *_earlier(cut),
        round(max(each.silence_ms for each in heard)),
        round(max(each.later_silence_ms for each in heard)),
    )


def _earlier(pairs: list[tuple[Heard, Heard]]) -> tuple[str, str]:
    if not pairs:
        return "-", "-"
    spoken_share = median(1 - new.first_s / old.first_s for old, new in pairs)
    agent_share = median(1 - new.from_agent_s / old.from_agent_s for old, new in pairs)
    return f"{100 * spoken_share:.0f} %", f"{100 * agent_share:.0f} %"


async def _converse(transport: str, size: int) -> list[Heard]:
    """Say a line for each answer, in one session; the first turn warms everything up."""
    lines = tuple(f"سؤال {number}" for number in range(len(ANSWERS)))
    config = SimulatorConfig(
        profile="measured",
        voice="hum",
        timing=PACE,
        script=("مرحبا", *lines),
        answers=dict(zip(lines, ANSWERS, strict=True)),
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
        await take_turn(socket, spoken())
        return [Heard.of(await take_turn(socket, spoken())) for _ in lines]
