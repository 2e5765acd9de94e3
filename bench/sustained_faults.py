"""Everything fails a little: every turn must end, and nothing may be left behind."""

import asyncio
from collections import Counter

from app.simulator import Simulator, SimulatorConfig
from app.simulator.faults import FAULT_NAMES, FaultName, FaultSpec
from bench.harness import caller, gateway, scrape, settings_for, take_turn
from bench.results import Cell, Result, Table

TURNS = 300
CALLERS = 6
SHARE = 0.03
RECOVERIES = 8
FAULTS: dict[FaultName, FaultSpec] = {name: FaultSpec(probability=SHARE) for name in FAULT_NAMES}


async def run() -> Result:
    """300 turns with every fault at 3 %."""
    rows = await asyncio.gather(*(_rot(transport) for transport in ("websocket", "rest", "auto")))
    table = Table(
        f"{TURNS} turns with every fault of provider and agent at {SHARE:.0%}",
        (
            "transport",
            "turns",
            "told an error",
            "untold faults",
            "sockets",
            "tasks",
            "errors",
        ),
        rows,
        "Untold faults: turns without an error event whose audio was not whole. Sockets and tasks "
        "of the gateway before and after, when all has settled.",
    )
    return Result("sustained_faults", [table])


async def _rot(transport: str) -> tuple[Cell, ...]:
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
    codes: Counter[str] = Counter()
    done = told = untold_fragments = 0
    async with (
        Simulator(config) as simulator,
        gateway(**settings_for(simulator, **settings)) as url,
    ):
        simulator.clear_faults()
        before = await _after_a_clean_turn(url)
        simulator.configure({"faults": FAULTS})

        async def converse(number: int) -> None:
            nonlocal done, told, untold_fragments
            async with caller(url) as socket:
                while done < TURNS:
                    done += 1
                    text = f"سؤال رقم {done} من {number}"
                    turn = await take_turn(socket, {"type": "text", "text": text})
                    errors = [event["code"] for event in turn.all("error")]
                    codes.update(errors)
                    told += bool(errors)
                    untold_fragments += not errors and "fragment" in turn.verdicts(simulator)

        await asyncio.gather(*(converse(number) for number in range(CALLERS)))
        simulator.clear_faults()
        after = await _after_a_clean_turn(url)
        for _ in range(RECOVERIES):  # until the budget's window lets the pool have its socket back
            if after == before:
                break
            await asyncio.sleep(5)
            after = await _after_a_clean_turn(url)
    return (
        transport,
        done,
        told,
        untold_fragments,
        f"{before[0]:.0f} -> {after[0]:.0f}",
        f"{before[1]:.0f} -> {after[1]:.0f}",
        ", ".join(f"{code} {count}" for code, count in codes.most_common(4)),
    )


async def _after_a_clean_turn(url: str) -> tuple[float, float]:
    async with caller(url) as socket:
        await take_turn(socket, {"type": "text", "text": "مرحبا"})
    return await _settled(url)


async def _settled(url: str) -> tuple[float, float]:
    """Return sockets and tasks once nothing drains, lingers or idles above the floor."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 25
    before: dict[str, float] = {}
    while True:
        numbers = await scrape(url)
        sockets = {k: v for k, v in numbers.items() if k.startswith("nabra_provider_sockets")}
        busy = sum(v for k, v in sockets.items() if "idle" not in k)
        idle = sum(sockets.values()) - busy
        if (not busy and idle <= 1 and sockets == before) or loop.time() > deadline:
            return sum(sockets.values()), numbers["nabra_tasks"]
        before = sockets  # seen twice: the task that closes the last one too many has ended
        await asyncio.sleep(0.1)
