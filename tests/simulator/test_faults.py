"""Which faults fire on which requests."""

from pathlib import Path

import httpx
import pytest

from app.simulator import Simulator
from app.simulator.faults import FAULT_NAMES, FaultInjector, FaultName, FaultSpec
from tests.simulator.provider_client import (
    END,
    SPEECH,
    STT_PATH,
    TTS_PATH,
    ProviderClient,
    tts_payload,
)


def test_draws_do_not_depend_on_the_order_of_requests() -> None:
    specs: dict[FaultName, FaultSpec] = {
        "truncated": FaultSpec(probability=0.5),
        "riff": FaultSpec(probability=0.5),
    }
    texts = [f"جملة رقم {i}." for i in range(40)] * 2
    one, other = FaultInjector(7, specs), FaultInjector(7, specs)
    forward = sorted((text, one.draw("rest", "tts", text)) for text in texts)
    backward = sorted((text, other.draw("rest", "tts", text)) for text in reversed(texts))
    # Whichever came first, the first and the second draw of a text are the same two.
    assert forward == backward
    third = FaultInjector(8, specs)
    assert forward != sorted((text, third.draw("rest", "tts", text)) for text in texts)


def test_draws_meet_the_probability_and_differ_between_channels_and_repetitions() -> None:
    faults = FaultInjector(0, {"truncated": FaultSpec(probability=0.3)})
    draws = [faults.draw("websocket", "tts", "نعم.") for _ in range(2_000)]
    rest = [faults.draw("rest", "tts", "نعم.") for _ in range(2_000)]
    assert sum(map(bool, draws)) == pytest.approx(600, abs=80)
    assert draws != rest


def test_a_request_gets_one_rejection_or_one_broken_stream() -> None:
    faults = FaultInjector(0, {name: FaultSpec() for name in FAULT_NAMES})
    assert faults.draw("rest", "tts", "x") == ("unauthorized",)
    for rejection in FAULT_NAMES[:8]:
        faults.disarm(rejection)
    assert faults.draw("websocket", "tts", "x") == (
        "truncated",
        "late_frames",
        "riff",
        "odd_chunks",
    )
    assert faults.draw("agent", "agent", "x") == ("agent_404", "agent_slow")


def test_zero_probability_never_fires() -> None:
    faults = FaultInjector(0, {"truncated": FaultSpec(probability=0)})
    assert not any(faults.draw("rest", "tts", str(i)) for i in range(200))


async def test_a_seed_gives_two_runs_the_same_faults(
    sim: Simulator, provider: ProviderClient
) -> None:
    async def run() -> list[tuple[FaultName, ...]]:
        sim.configure({"seed": 3, "faults": {"truncated": 0.5}})
        before = len(sim.requests)
        async with provider.open() as ws:
            await ws.recv()
            for text in ("نعم.", "لا.", "ربما.", "نعم.", "حسناً.", "طيب."):
                await provider.synthesize(ws, text)
        return [record.faults for record in sim.requests[before:]]

    first, second = await run(), await run()
    assert first == second
    assert set(first) == {(), ("truncated",)}


async def test_filters_choose_channel_and_operation(
    sim: Simulator, provider: ProviderClient, http: httpx.AsyncClient
) -> None:
    fault = {"probability": 1, "channel": "rest", "operation": "tts"}
    sim.configure({"faults": {"provider_error": fault}})
    async with provider.open() as ws:
        await ws.recv()
        assert (await provider.synthesize(ws)).frames[-1] == END
    assert (await http.post(STT_PATH, json=SPEECH)).status_code == 200
    assert (await http.post(TTS_PATH, json=tts_payload())).status_code == 400


async def test_a_fault_fires_at_most_so_many_times(
    sim: Simulator, provider: ProviderClient
) -> None:
    sim.configure({"faults": {"truncated": {"times": 2}}})
    async with provider.open() as ws:
        await ws.recv()
        sizes = [len((await provider.synthesize(ws)).audio) for _ in range(4)]
    whole = len(sim.expected_audio(sim.requests[-1].text))
    assert sizes == [640, 640, whole, whole]


def test_every_fault_has_a_test() -> None:
    here = Path(__file__).parent
    tests = "".join(path.read_text(encoding="utf-8") for path in here.glob("test_*.py"))
    assert [name for name in FAULT_NAMES if f'"{name}"' not in tests] == []
