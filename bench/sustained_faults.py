"""Every fault at 3 % for 300 turns: each turn ends, no fault is hidden, nothing leaks."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from app.simulator import Simulator, SimulatorConfig
from app.simulator.faults import FAULT_NAMES, FaultName, FaultSpec
from bench.harness import TimedTurn, caller, gateway, scrape, settings_for, take_turn
from bench.results import Cell, Result, Table

TURNS = 300
CALLERS = 6
SHARE = 0.03
SETTLE_ATTEMPTS = 8
SETTLE_INTERVAL_S = 5
SETTLE_TIMEOUT_S = 25
FAULTS: dict[FaultName, FaultSpec] = {name: FaultSpec(probability=SHARE) for name in FAULT_NAMES}


@dataclass
class FaultStats:
    """How the turns under faults ended."""

    turns: int = 0
    reported: int = 0
    """Turns with an `error` event."""
    unreported: int = 0
    """Turns without an `error` event in which a sentence is a fragment."""
    codes: Counter[str] = field(default_factory=Counter)

    def count(self, turn: TimedTurn, simulator: Simulator) -> None:
        """Count a turn that has ended."""
        errors = [event["code"] for event in turn.all("error")]
        self.codes.update(errors)
        self.reported += bool(errors)
        self.unreported += not errors and "fragment" in turn.verdicts(simulator)


async def run() -> Result:
    """Run 300 turns over each transport with every fault at 3 %."""
    transports = ("websocket", "rest", "auto")
    rows = await asyncio.gather(*(_run_turns(transport) for transport in transports))
    table = Table(
        f"{TURNS} turns with every fault of provider and agent at {SHARE:.0%}",
        (
            "transport",
            "turns",
            "turns with an error event",
            "unreported faults",
            "sockets",
            "tasks",
            "most frequent errors",
        ),
        rows,
        "Unreported faults: turns without an `error` event in which a sentence has audio that is "
        "not whole. Sockets to the provider and tasks of the gateway: before -> after, when it is "
        "idle.",
    )
    return Result("sustained_faults", [table])


async def _run_turns(transport: str) -> tuple[Cell, ...]:
    """Run the turns between two counts of the idle gateway, so that leaks show."""
    config = SimulatorConfig(
        profile="fast",
        voice="hum",
        seed=3,
        faults=FAULTS,
        stall_ms=60_000,
        agent_slow_ms=1_000,
        timing={"realtime_factor": 80, "agent_token_ms": 1},
    )
    settings = {
        "TTS_TRANSPORT": transport,
        "AGENT_FIRST_TOKEN_TIMEOUT_S": "3",
        "AGENT_BETWEEN_TOKENS_TIMEOUT_S": "2",
        "HAMSA_IDLE_TIMEOUT_S": "1",
    }
    stats = FaultStats()
    async with (
        Simulator(config) as simulator,
        gateway(**settings_for(simulator, **settings)) as url,
    ):
        simulator.clear_faults()
        before = await _sockets_and_tasks(url)
        simulator.configure({"faults": FAULTS})

        async def converse(number: int) -> None:
            async with caller(url) as socket:
                while stats.turns < TURNS:
                    stats.turns += 1
                    text = f"سؤال رقم {stats.turns} من {number}"
                    turn = await take_turn(socket, {"type": "text", "text": text})
                    stats.count(turn, simulator)

        await asyncio.gather(*(converse(number) for number in range(CALLERS)))
        simulator.clear_faults()
        after = await _sockets_and_tasks(url)
        for _ in range(SETTLE_ATTEMPTS):  # until the connection budget allows the idle socket again
            if after == before:
                break
            await asyncio.sleep(SETTLE_INTERVAL_S)
            after = await _sockets_and_tasks(url)
    return (
        transport,
        stats.turns,
        stats.reported,
        stats.unreported,
        f"{before[0]:.0f} -> {after[0]:.0f}",
        f"{before[1]:.0f} -> {after[1]:.0f}",
        ", ".join(f"{code} {count}" for code, count in stats.codes.most_common(4)),
    )


async def _sockets_and_tasks(url: str) -> tuple[float, float]:
    """Take a turn without faults, and count once the gateway is idle again."""
    async with caller(url) as socket:
        await take_turn(socket, {"type": "text", "text": "مرحبا"})
    return await _when_idle(url)


async def _when_idle(url: str) -> tuple[float, float]:
    """Return sockets and tasks once no socket drains or lingers and at most one is idle."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLE_TIMEOUT_S
    before: dict[str, float] = {}
    while True:
        numbers = await scrape(url)
        sockets = {k: v for k, v in numbers.items() if k.startswith("nabra_provider_sockets")}
        busy = sum(v for k, v in sockets.items() if "idle" not in k)
        idle = sum(sockets.values()) - busy
        if (not busy and idle <= 1 and sockets == before) or loop.time() > deadline:
            return sum(sockets.values()), numbers["nabra_tasks"]
        before = sockets  # the same twice: the task that closed the last spare socket has ended too
        await asyncio.sleep(0.1)
