"""Speech over REST by HTTP/2 beside HTTP/1.1: first audio, connections and CPU."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from app.simulator.child import SimulatorProcess
from bench.harness import TimedTurn, caller, percentile, stats_of, take_turn
from bench.load import BYTES_PER_S, Relay, relay
from bench.results import Cell, Plot, Result, Series, Table

VERSIONS = {"HTTP/2": "prior_knowledge", "HTTP/1.1": "auto"}
"""What `HAMSA_REST_HTTP2` says to have each spoken on plain text."""

TURNS = {1: 9, 10: 4, 50: 3}
"""Turns of each session, by the number of sessions: CPU is counted in ticks of 10 ms."""

TOGETHER = 10
"""Up to so many sessions, all are measured at the same time: nearly all of it is waiting."""

QUESTION = {"type": "text", "text": "أين شحنتي؟"}

NOTE = (
    "All sessions ask at the same moment a gateway that has spoken one answer before; each asks "
    "again when its answer is whole. HTTP/2 serves them all on the connection that is open; "
    "HTTP/1.1 opens one for each sentence that is spoken at the same time, two a session. Profile "
    "`measured` speaks: a new HTTP connection costs 1.6 s, as was measured at the real provider (a "
    "cold sentence 2.8 s, a warm one 1.2 s), one that is idle for 5 s is closed, and speech is "
    "made three times as fast as it plays. The agent has profile `fast`. First turn: the burst; "
    "later turns use what it left open. CPU is that of the gateway's process, agent and events "
    "included; that of HTTP/2 has its state machine, which is Python."
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one version of HTTP made of so many sessions."""

    first_s: Sequence[float]
    """First audio of the first turns, in seconds after the question."""
    later_s: Sequence[float]
    connections: int
    cpu_ms: float
    audio_s: float


async def run() -> Result:
    """Measure both versions with few and with many sessions."""
    cases = [(version, sessions) for sessions in TURNS for version in VERSIONS]
    found: dict[tuple[str, int], Measured] = {}
    async with asyncio.TaskGroup() as tasks:
        together = {
            case: tasks.create_task(_measure(*case)) for case in cases if case[1] <= TOGETHER
        }
    for case in cases:
        found[case] = together[case].result() if case in together else await _measure(*case)
    rows = [_row(version, sessions, found[version, sessions]) for version, sessions in cases]
    return Result("http", [_table(rows)], [_plot(found)])


def _row(version: str, sessions: int, its: Measured) -> tuple[Cell, ...]:
    return (
        version,
        sessions,
        percentile(its.first_s, 0.5),
        percentile(its.first_s, 0.95),
        percentile(its.later_s, 0.5),
        percentile(its.later_s, 0.95),
        its.connections,
        its.cpu_ms / its.audio_s,
    )


def _table(rows: Sequence[Sequence[Cell]]) -> Table:
    columns = (
        "version",
        "sessions",
        "first turn, first audio p50 s",
        "p95 s",
        "later turns p50 s",
        "p95 s",
        "HTTP connections",
        "CPU ms a second of audio",
    )
    return Table("Sentences spoken over REST", columns, rows, NOTE)


def _plot(found: dict[tuple[str, int], Measured]) -> Plot:
    names = [str(sessions) for sessions in TURNS]
    series = [
        Series(
            version,
            names,
            [percentile(found[version, sessions].first_s, 0.5) for sessions in TURNS],
        )
        for version in VERSIONS
    ]
    title = "First audio when all ask at the same moment"
    return Plot("first", title, "sessions", "seconds", series, kind="bars")


async def _measure(version: str, sessions: int) -> Measured:
    async with (
        SimulatorProcess(["--profile=fast", "--voice=hum"]) as agent,
        SimulatorProcess(["--profile=measured", "--voice=hum"]) as speech,
        _gateway(agent, speech, version) as weighed,
    ):
        await _ask(weighed, turns=1)
        cpu_s = weighed.cpu_s()
        async with asyncio.TaskGroup() as tasks:
            asking = [
                tasks.create_task(_ask(weighed, turns=TURNS[sessions])) for _ in range(sessions)
            ]
        spent_s = weighed.cpu_s() - cpu_s
        connections = (await stats_of(speech))["http_connections"]
    asked = [task.result() for task in asking]
    return Measured(
        [turns[0].first("tts_chunk")[0] for turns in asked],
        [turn.first("tts_chunk")[0] for turns in asked for turn in turns[1:]],
        connections["2"] if version == "HTTP/2" else connections["1.1"] - 1,  # one asked for this
        1000 * spent_s,
        sum(size for turns in asked for turn in turns for _, size in turn.arrivals()) / BYTES_PER_S,
    )


def _gateway(
    agent: SimulatorProcess, speech: SimulatorProcess, version: str
) -> AbstractAsyncContextManager[Relay]:
    addresses = {
        "HAMSA_WS_URL": speech.urls["hamsa_ws_url"],
        "HAMSA_REST_URL": speech.urls["hamsa_rest_url"],
        "AGENT_WEBHOOK_URL": agent.urls["agent_webhook_url"],
    }
    return relay("gateway", addresses, transport="rest", HAMSA_REST_HTTP2=VERSIONS[version])


async def _ask(weighed: Relay, *, turns: int) -> list[TimedTurn]:
    async with caller(weighed.url) as socket:
        return [await take_turn(socket, QUESTION) for _ in range(turns)]
