"""What `/metrics` tells of conversations: what is documented, from the start, and what moves it."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from app.simulator import Simulator
from tests.documents import table
from tests.gateway import (
    ARABIC_WAV,
    Caller,
    calling,
    instant_simulator,
    running_gateway,
    settings_for,
)
from tests.metrics import scrape, until_scraped
from tests.net.scripted_http1 import one_by_one, scripted_http1, whole

ONCE = {"probability": 1, "times": 1}
ALWAYS = {"probability": 1}
SPEECH = ARABIC_WAV[44:]
NO_PROVIDER = {
    "hamsa_ws_url": "ws://127.0.0.1:9/ws",
    "hamsa_rest_url": "http://127.0.0.1:9",
    "tts_deadline_s": 1,
}
LONG = "سلام عليكم يا صاحبي. " * 10


@asynccontextmanager
async def call(simulator: Simulator, **settings: Any) -> AsyncIterator[tuple[str, Caller]]:
    """Run a gateway and call it; give the URL, too."""
    async with (
        running_gateway(settings_for(simulator, **settings)) as url,
        calling(url) as caller,
    ):
        yield url, caller


async def moved(url: str, name: str) -> dict[tuple[str, ...], float]:
    """Return the series of a metric that are not 0, by the values of their labels by name."""
    samples = (s for s in (await scrape(url)).samples if s.name == name)
    return {tuple(dict(sorted(s.labels.items())).values()): s.value for s in samples if s.value}


async def families(url: str) -> list[Metric]:
    async with httpx.AsyncClient(trust_env=False) as client:
        address = url.replace("ws://", "http://").partition("/ws/")[0]
        return list(text_string_to_metric_families((await client.get(f"{address}/metrics")).text))


async def test_the_document_lists_what_is_served_with_its_type_and_labels(
    simulator: Simulator,
) -> None:
    async with running_gateway(settings_for(simulator)) as url:
        served = {}
        for family in await families(url):
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            assert family.samples, f"{name} has no series before it is used"
            served[name] = (family.type, labels)
    documented = {
        name.strip("`"): (kind, set(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels, _, _ in table("operations.md", "Metrics")
    }
    assert served == documented


async def test_a_conversation_begins_no_series(simulator: Simulator) -> None:
    """What is known is there from the start, so that rates see the first event."""
    async with call(simulator) as (url, caller):
        before = {(s.name, *s.labels.values()) for s in (await scrape(url)).samples}
        await caller.send_audio()
        await caller.until("done")
        await caller.send({"type": "nonsense"})
        await caller.until("error")
        assert {(s.name, *s.labels.values()) for s in (await scrape(url)).samples} == before


async def test_a_good_turn_moves_what_it_is_made_of(simulator: Simulator) -> None:
    async with call(simulator) as (url, caller):
        await caller.send_audio()
        await caller.until("done")
        assert await moved(url, "nabra_turns_total") == {("done",): 1}
        assert await moved(url, "nabra_errors_total") == {}
        assert set(await moved(url, "nabra_sentences_total")) == {("whole",)}
        assert await moved(url, "nabra_sessions_opened_total") == {("native",): 1}
        stages = await moved(url, "nabra_turn_stage_seconds_count")
        assert stages == {(stage,): 1 for stage in ("stt", "agent", "sentence", "speech")}
        for once in ("nabra_first_audio_seconds_count", "nabra_gateway_overhead_seconds_count"):
            assert await moved(url, once) == {(): 1}
        seconds = await moved(url, "nabra_audio_seconds_total")
        assert seconds["in",] == pytest.approx(len(SPEECH) / 32_000, abs=0.1)
        size = await moved(url, "nabra_audio_bytes_total")
        assert size["out",] == pytest.approx(seconds["out",] * 2 * 16_000, rel=0.01)
        total = sum((await moved(url, "nabra_turn_stage_seconds_sum")).values())
        (first_audio,) = (await moved(url, "nabra_first_audio_seconds_sum")).values()
        assert total == pytest.approx(first_audio)


async def test_hands_free_audio_is_counted_with_its_endpointing(simulator: Simulator) -> None:
    async with call(simulator) as (url, caller):
        await caller.configure(
            turn_detection="server_vad", input={"encoding": "pcm_s16le", "sample_rate": 16_000}
        )
        await caller.stream(SPEECH + bytes(48_000), 3200)
        await caller.until("done")
        assert (await moved(url, "nabra_turn_stage_seconds_count"))["endpointing",] == 1
        assert (await moved(url, "nabra_audio_bytes_total"))["in",] == len(SPEECH) + 48_000


@pytest.mark.parametrize(
    ("faults", "result"),
    [
        ({"truncated": {**ONCE, "channel": "websocket"}}, "repaired"),
        ({"drop": {**ONCE, "channel": "websocket"}}, "continued"),
        ({"quota": {**ALWAYS, "operation": "tts"}}, "lost"),
    ],
)
async def test_sentences_are_counted_by_what_was_heard_of_them(
    faults: dict[str, Any], result: str
) -> None:
    async with instant_simulator(faults=faults) as simulator, call(simulator) as (url, caller):
        await caller.send({"type": "text", "text": LONG})
        await caller.until("done")
        assert (await moved(url, "nabra_sentences_total"))[result,] >= 1


@pytest.mark.parametrize(
    ("faults", "settings", "outcome", "error"),
    [
        ({"agent_404": ALWAYS}, {}, "agent-refused", ("agent-refused", "agent")),
        ({"agent_empty": ALWAYS}, {}, "agent-empty", ("agent-empty", "agent")),
        (
            {},
            {"agent_webhook_url": "http://127.0.0.1:9/"},
            "agent-unreachable",
            ("agent-unreachable", "agent"),
        ),
        ({}, {"hamsa_api_key": "wrong"}, "silent", ("provider-authentication", "tts")),
        ({}, NO_PROVIDER, "silent", ("provider-unreachable", "tts")),
        ({"quota": {**ALWAYS, "operation": "tts"}}, {}, "silent", ("provider-quota", "tts")),
    ],
)
async def test_a_failure_moves_the_counters_of_its_turn_and_stage(
    faults: dict[str, Any],
    settings: dict[str, Any],
    outcome: str,
    error: tuple[str, str],
) -> None:
    async with (
        instant_simulator(faults=faults, key="test-key") as simulator,
        call(simulator, **settings) as (url, caller),
    ):
        await caller.send({"type": "text", "text": "مرحبا"})
        await caller.until("done")
        assert await moved(url, "nabra_turns_total") == {(outcome,): 1}
        assert set(await moved(url, "nabra_errors_total")) == {error}


async def test_an_agent_that_refuses_or_answers_a_web_page_moves_its_counters(
    simulator: Simulator,
) -> None:
    replies = one_by_one(whole(b"no", "403 Forbidden"), whole(b"<!doctype html><p>Log in"))
    async with (
        scripted_http1(replies) as agent,
        call(simulator, agent_webhook_url=f"{agent.url}/hook") as (url, caller),
    ):
        for _ in range(2):
            await caller.send({"type": "text", "text": "مرحبا"})
            await caller.until("done")
        assert await moved(url, "nabra_turns_total") == {
            ("agent-refused",): 1,
            ("agent-failed",): 1,
        }
        assert await moved(url, "nabra_errors_total") == {
            ("agent-refused", "agent"): 1,
            ("agent-failed", "agent"): 1,
        }
        assert await moved(url, "nabra_sentences_total") == {}


async def test_stt_that_fails_is_an_error_of_its_stage() -> None:
    faults = {"provider_error": {**ALWAYS, "operation": "stt"}}
    async with (
        instant_simulator(faults=faults) as simulator,
        call(simulator, stt_fallback="none", stt_transport="websocket") as (url, caller),
    ):
        await caller.send_audio()
        await caller.until("done")
        ((code, stage), count) = (await moved(url, "nabra_errors_total")).popitem()
        assert (stage, count) == ("stt", 1)
        assert await moved(url, "nabra_turns_total") == {(code,): 1}


async def test_refused_messages_interruptions_and_clients_that_leave_are_counted(
    simulator: Simulator,
) -> None:
    simulator.configure({"timing": {"realtime_factor": 1}})
    async with running_gateway(settings_for(simulator)) as url:
        async with calling(url) as caller:
            await caller.send({"type": "nonsense"})
            await caller.until("error")
            assert await moved(url, "nabra_errors_total") == {("unknown-message-type", "input"): 1}
            await caller.send({"type": "text", "text": LONG})
            await caller.until("tts_chunk")
            await caller.send({"type": "interrupt"})
            await caller.until("interrupted")
            assert await moved(url, "nabra_interruptions_total") == {("client",): 1}
            await caller.send({"type": "text", "text": LONG})
            await caller.until("tts_chunk")
        await until_scraped(url, has_turns("client-left"))
        assert (await moved(url, "nabra_turns_total"))["interrupted",] == 1
        await until_scraped(url, lambda metrics: metrics.value("nabra_sessions") == 0)


async def test_openings_that_are_left_are_counted_down(simulator: Simulator) -> None:
    async with call(simulator, hamsa_connect_limit=4, hamsa_connect_window_s=60) as (url, caller):
        await caller.send({"type": "text", "text": "مرحبا"})
        await caller.until("done")
        (left,) = (await moved(url, "nabra_provider_openings_left")).values()
        (opened,) = (await moved(url, "nabra_provider_openings_total")).values()
        assert left + opened == 4
        assert opened >= 1


async def test_a_session_that_is_ended_for_its_age_is_an_error_of_its_own(
    simulator: Simulator,
) -> None:
    async with call(simulator, session_max_s=0.3) as (url, caller):
        await caller.until("error")
        assert await moved(url, "nabra_errors_total") == {("session-expired", "session"): 1}


def has_turns(outcome: str) -> Callable[[Any], bool]:
    return lambda scraped: any(
        sample.value
        for sample in scraped.samples
        if sample.name == "nabra_turns_total" and sample.labels["outcome"] == outcome
    )
