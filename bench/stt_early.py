"""STT that begins at a pause (`STT_EARLY`): the time it saves, and the requests that it costs."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.simulator.child import SimulatorProcess
from bench import spoken_line
from bench.harness import StaggeredStart, ask, caller, gateway, percentile, settings_for, stats_of
from bench.results import Cell, Result, Table
from bench.speakers import HandsFreeSpeaker
from bench.spoken_line import FRAME_BYTES, FRAME_S

TURNS = 10
PAUSES_S = {"without a pause": 0.0, "pauses for 0.35 s": 0.36, "pauses for 0.8 s": 0.8}
"""How callers speak. The first pause is long enough for `STT_EARLY`, which begins after 0.2 s, and
too short to end the utterance; the second ends it (`VAD_SILENCE_MS`), and the caller goes on."""

FIRST_PART_ENDS_S, SECOND_PART_BEGINS_S = 1.4, 1.56
"""Where the caller pauses: between two words. The recording's own pause is left out."""

NOTE = (
    f"Hands-free callers, {TURNS} turns a row after one warm-up turn, profile `measured`, whose "
    "STT takes 2 s, and the agent of profile `fast`. The line plays for three seconds; the caller "
    "pauses in its middle. First audio is counted from the moment when the pause after the line "
    "was long enough. Requests: what the STT provider was asked, and may charge for; dropped ones "
    "count."
)


@dataclass(slots=True)
class Row:
    """Callers who speak in one way, with and without `STT_EARLY`."""

    callers: str
    is_early: bool
    first_s: list[float] = field(default_factory=list)
    requests: int = 0

    async def measure(self, start: StaggeredStart) -> None:
        """Take the turns in one session."""
        async with (
            SimulatorProcess(["--profile=measured", "--voice=hum"]) as speech,
            SimulatorProcess(["--profile=fast", "--voice=hum"]) as agent,
        ):
            settings = settings_for(
                speech,
                AGENT_WEBHOOK_URL=agent.urls["agent_webhook_url"],
                STT_EARLY=str(self.is_early).lower(),
            )
            async with gateway(**settings) as url, caller(url) as socket:
                speaker = HandsFreeSpeaker(socket, line(PAUSES_S[self.callers]))
                await speaker.open()
                await start.wait()
                try:
                    await ask(socket, speaker)
                    before = await _stt_requests(speech)
                    for _ in range(TURNS):
                        turn = await ask(socket, speaker)
                        self.first_s.append(turn.first("tts_chunk")[0])
                    self.requests = await _stt_requests(speech) - before
                finally:
                    await speaker.close()


def line(pause_s: float) -> bytes:
    """Return the line with a pause in its middle, in whole frames."""
    pcm = spoken_line.pcm()
    first = pcm[: _frames_bytes(FIRST_PART_ENDS_S)]
    return first + bytes(_frames_bytes(pause_s)) + pcm[_frames_bytes(SECOND_PART_BEGINS_S) :]


def _frames_bytes(seconds: float) -> int:
    return round(seconds / FRAME_S) * FRAME_BYTES


async def run() -> Result:
    """Measure all rows side by side: nearly all of it is waiting."""
    rows = [Row(name, is_early) for name in PAUSES_S for is_early in (False, True)]
    start = StaggeredStart(len(rows))
    async with asyncio.TaskGroup() as tasks:
        for row in rows:
            tasks.create_task(row.measure(start))
    return Result("stt_early", [_table(rows)])


def _table(rows: Sequence[Row]) -> Table:
    late = {row.callers: percentile(row.first_s, 0.5) for row in rows if not row.is_early}
    columns = (
        "caller",
        "STT_EARLY",
        "first audio p50 s",
        "p95 s",
        "saved p50 ms",
        "STT requests per turn",
    )
    return Table("Hands-free callers who pause", columns, [_cells(row, late) for row in rows], NOTE)


def _cells(row: Row, late: dict[str, float]) -> tuple[Cell, ...]:
    first_s = percentile(row.first_s, 0.5)
    return (
        row.callers,
        "on" if row.is_early else "off",
        first_s,
        percentile(row.first_s, 0.95),
        round(1000 * (late[row.callers] - first_s)) if row.is_early else None,
        row.requests / TURNS,
    )


async def _stt_requests(simulator: SimulatorProcess) -> int:
    requests: dict[str, int] = (await stats_of(simulator))["requests"]
    return requests.get("websocket.stt", 0) + requests.get("rest.stt", 0)
