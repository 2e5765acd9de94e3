"""Traces of whole turns, as a collector gets them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from structlog.testing import capture_logs

from app.telemetry.start_tracer import problem_with, tracing
from tests.gateway import Caller, calling, instant_simulator, running_gateway, settings_for
from tests.metrics import exemplars
from tests.net.scripted_http1 import one_by_one, scripted_http1, whole
from tests.telemetry.collector import Collector, attributes, running_collector
from tests.waiting import until

SPOKEN, TYPED = "quokkaword", "zanzibarword"
RESPONSE = "This marmaladeword is the first sentence of two. And the second one follows it."
TRUNCATED = {"truncated": {"probability": 1, "times": 1, "channel": "websocket"}}
Tree = tuple[str, list[Any]]
CLIENT_SPAN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces are off; the exporter gives up soon, and a stop waits for it, however busy we are."""
    for name in ("ENDPOINT", "TRACES_ENDPOINT", "PROTOCOL", "HEADERS"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)
    monkeypatch.setattr("app.telemetry.otel.FLUSH_TIMEOUT_S", 20.0)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    async with running_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        yield collector


@asynccontextmanager
async def talking(
    timing: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[tuple[str, Caller]]:
    """Call a gateway; its first attempt of a sentence is truncated."""
    config = {"faults": TRUNCATED, "script": (SPOKEN,), "answers": {TYPED: RESPONSE}}
    async with (
        instant_simulator(**config, timing=timing or {}) as simulator,
        running_gateway(settings_for(simulator, **settings)) as url,
        calling(url, X_Request_Id="of-proxy-7", traceparent=CLIENT_SPAN) as caller,
    ):
        yield url, caller


def tree(collector: Collector, span: Span) -> Tree:
    """Return the name of a span, with those of its children, in the order of their beginning."""
    children = sorted(collector.children(span), key=lambda each: each.start_time_unix_nano)
    return span.name, [tree(collector, child) for child in children]


async def test_a_spoken_turn_with_a_retry_is_one_tree(collector: Collector) -> None:
    async with (
        scripted_http1(whole(RESPONSE.encode())) as agent,
        talking(agent_webhook_url=f"{agent.url}/hook") as (url, caller),
    ):
        await caller.send_audio()
        await caller.until("done")
        marked = await exemplars(url)
    (turn,) = collector.named("turn")
    attempt: Tree = ("attempt", [])
    assert tree(collector, turn) == (
        "turn",
        [
            ("transcription", []),
            ("agent", []),
            ("sentence", [attempt, attempt]),
            ("sentence", [attempt]),
        ],
    )
    assert turn.parent_span_id == b"", "a turn is a trace of its own"
    assert [link.trace_id.hex() for link in turn.links] == [CLIENT_SPAN.split("-")[1]]
    check_values(collector, turn)
    check_times(collector, turn)
    (asked,) = agent.exchanges
    (agent_span,) = collector.named("agent")
    _, trace_id, span_id, _ = asked.fields("traceparent")[0].split("-")
    assert (trace_id, span_id) == (turn.trace_id.hex(), agent_span.span_id.hex())
    assert asked.fields("x-request-id") == ["of-proxy-7-1"]
    assert {name.removesuffix("_bucket") for name, _ in marked} == {
        "nabra_turn_stage_seconds",
        "nabra_first_audio_seconds",
        "nabra_gateway_overhead_seconds",
        "nabra_tts_first_byte_seconds",
    }
    assert {labels["trace_id"] for _, labels in marked} == {trace_id}
    assert set(collector.paths) == {"/v1/traces"}
    assert collector.resource["service.name"] == "nabra"


def check_values(collector: Collector, turn: Span) -> None:
    values = attributes(turn)
    assert values["nabra.outcome"] == "done"
    assert (values["nabra.turn"], values["nabra.request"]) == (1, "of-proxy-7-1")
    assert values["session.id"]
    assert turn.status.code == Status.STATUS_CODE_UNSET
    failed, *good = collector.named("attempt")
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert failed.status.message.startswith("incomplete-audio: 20 ms of audio")
    assert attributes(failed)["error.type"] == "incomplete-audio"
    assert {each.status.code for each in good} == {Status.STATUS_CODE_UNSET}
    assert {attributes(each)["nabra.outcome"] for each in good} == {"done"}
    first, second = map(attributes, collector.named("sentence"))
    assert (first["nabra.result"], second["nabra.result"]) == ("repaired", "whole")
    assert first["nabra.chars"] == len(RESPONSE.partition(" And")[0])


def check_times(collector: Collector, turn: Span) -> None:
    """Check that each span lies within its parent; the loop's clock counts milliseconds."""
    parents = {span.span_id: span for span in collector.spans}
    for span in collector.spans:
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        parent = parents.get(span.parent_span_id, turn)
        assert parent.start_time_unix_nano - 2e6 <= span.start_time_unix_nano
        assert span.end_time_unix_nano <= parent.end_time_unix_nano + 2e6


async def test_a_turn_outside_the_sample_is_passed_on_as_such(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    async with (
        scripted_http1(whole(RESPONSE.encode())) as agent,
        talking(agent_webhook_url=f"{agent.url}/hook") as (url, caller),
    ):
        await caller.send({"type": "text", "text": TYPED})
        await caller.until("done")
        assert await exemplars(url) == []
    (traceparent,) = agent.exchanges[0].fields("traceparent")
    assert int(traceparent.rpartition("-")[2], 16) & 1 == 0, "the client's wish does not count"
    assert collector.spans == []


async def test_no_span_holds_words_or_credentials(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that quotes the key it refuses is quoted without it."""
    key = "pk-secret-of-the-test"
    refusal = whole(f"never heard of {key}".encode(), "500 Oops", "X-Request-Id: of-agent-9")
    replies = one_by_one(whole(RESPONSE.encode()), refusal, refusal)
    settings: dict[str, Any] = {"agent_token": f"Bearer {key}"}
    async with (
        scripted_http1(replies) as agent,
        talking(agent_webhook_url=f"{agent.url}/secret-path", **settings) as (_, caller),
    ):
        for _ in range(2):
            await caller.send({"type": "text", "text": TYPED})
            await caller.until("done")
        await caller.send_audio()
        await caller.until("done")
    failed = [span for span in collector.named("agent") if span.status.message]
    assert [span.status.message for span in failed] == [
        "agent-refused: HTTP 500: never heard of ***"
    ] * 2
    assert {attributes(span)["nabra.upstream_request_id"] for span in failed} == {"of-agent-9"}
    assert len(collector.named("turn")) == 3
    sent = b"".join(collector.bodies)
    for secret in (SPOKEN, TYPED, "marmaladeword", key, "secret-path"):
        assert secret.encode() not in sent


async def test_an_interrupted_turn_ends_its_spans(collector: Collector) -> None:
    async with talking({"realtime_factor": 1}) as (_, caller):
        await caller.send({"type": "text", "text": TYPED})
        await caller.until("tts_chunk")
        await caller.send({"type": "interrupt"})
        await caller.until("interrupted")
    (turn,) = collector.named("turn")
    assert attributes(turn)["nabra.outcome"] == "interrupted"
    assert turn.status.code == Status.STATUS_CODE_UNSET
    first, *_ = collector.named("sentence")
    assert attributes(first)["nabra.result"] == "interrupted"
    assert attributes(collector.named("attempt")[-1])["nabra.outcome"] == "abandoned"
    check_times(collector, turn)


@pytest.mark.parametrize("status", ["", "404 Not Found"])
async def test_a_collector_that_fails_is_one_warning_and_costs_no_turn(
    status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_collector(status=status) as collector:
        address = collector.url if status else "http://user:pw-of-collector@127.0.0.1:9/secret"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        with capture_logs() as lines:
            async with talking() as (_, caller):
                for _ in range(3):
                    await caller.send({"type": "text", "text": TYPED})
                    assert (await caller.until("done"))[-1]["turn"]
                    if status:
                        await until(lambda: len(collector.bodies) > 0, state=collector)
    start, warning = (line for line in lines if "traces" in line["event"])
    host = collector.url.removeprefix("http://") if status else "127.0.0.1:9"
    assert (start["event"], start["host"]) == ("traces are on", host)
    assert (warning["event"], warning["host"]) == ("traces cannot be sent", host)
    assert warning["log_level"] == "warning"
    assert ("HTTP 404" if status else "refused") in warning["reason"]
    assert not [each for each in ("secret", "pw-of-collector") if each in str((start, warning))]


async def test_a_collector_that_never_answers_does_not_hold_a_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "30")
    monkeypatch.setattr("app.telemetry.otel.FLUSH_TIMEOUT_S", 0.2)
    held = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.close()

    async with await asyncio.start_server(hold, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        with capture_logs() as lines:
            async with asyncio.timeout(10), talking() as (_, caller):
                await caller.send({"type": "text", "text": TYPED})
                await caller.until("done")
        held.set()
    (warning,) = (line for line in lines if line["event"] == "traces cannot be sent")
    assert warning["reason"] == "not sent within 0.2 s"


async def test_without_the_extra_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.delitem(sys.modules, "app.telemetry.otel", raising=False)
    async with scripted_http1(whole(RESPONSE.encode())) as agent:
        with capture_logs() as lines:
            async with talking(agent_webhook_url=f"{agent.url}/hook") as (url, caller):
                await caller.send({"type": "text", "text": TYPED})
                await caller.until("done")
                assert await exemplars(url) == []
    (warning,) = (line for line in lines if "traces" in line["event"])
    assert warning["event"] == (
        "no traces: OpenTelemetry is not installed: pip install 'nabra[otel]'"
    )
    (asked,) = agent.exchanges
    assert asked.fields("traceparent") == []
    assert asked.fields("x-request-id") == ["of-proxy-7-1"]


async def test_what_is_not_asked_for_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "app.telemetry.otel", raising=False)
    async with tracing({}, "0", ()) as tracer:
        assert tracer is None
    assert "app.telemetry.otel" not in sys.modules


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        (ENDPOINT, None),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, None),
        ({"OTEL_TRACES_EXPORTER": "console"}, "must be otlp or none, got 'console'"),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf, got 'grpc'"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "must begin with http://"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://[::1"}, "TRACES_ENDPOINT: must begin"),
    ],
)
def test_what_keeps_traces_off_is_said_by_its_variable(
    environment: dict[str, str], problem: str | None
) -> None:
    told = problem_with(environment)
    assert (told is None) == (problem is None)
    assert (problem or "") in (told or "")


async def test_a_wrong_number_for_the_sdk_leaves_traces_off(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    with capture_logs() as lines:
        async with tracing(os.environ, "0", ()) as tracer:
            assert tracer is None
    (warning,) = lines
    assert warning["event"].startswith("no traces: ValueError: max_queue_size must be")


@pytest.mark.parametrize(
    "off", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}, {}]
)
async def test_what_switches_traces_off_leaves_no_line(off: dict[str, str]) -> None:
    environment = {**ENDPOINT, **off} if off else {}
    with capture_logs() as lines:
        async with tracing(environment, "0", ()) as tracer:
            assert tracer is None
    assert lines == []


async def test_every_line_of_a_turn_has_its_request_and_trace(collector: Collector) -> None:
    merge = structlog.contextvars.merge_contextvars
    with capture_logs(processors=[merge]) as lines:
        async with talking(log_level="info") as (_, caller):
            await caller.send_audio()
            await caller.until("done")
    (turn,) = collector.named("turn")
    under = [line for line in lines if line["event"] in ("turn", "attempt", "transcription")]
    assert len(under) >= 4
    assert {line["request"] for line in under} == {"of-proxy-7-1"}
    assert {line["trace_id"] for line in under} == {turn.trace_id.hex()}
    (came,) = (line for line in lines if line["event"] == "client connected")
    assert came["request"] == "of-proxy-7"
