"""What the log says of each attempt, and of a transport that is down."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from app import errors
from app.pool.terms import Urgency
from app.telemetry.availability import Availability, transport_availability
from app.transports.policy import BreakerLimits, Policy
from app.transports.resilient import ResilientTransport
from tests.transports.fakes import COMPLETE, SPEECH, FakeTransport, speak, speech_request

LOST = errors.ConnectionLostError("closed (1011)")
LOST.host = "api.example.com"


def attempts(lines: list[MutableMapping[str, Any]]) -> list[tuple[str, str, str]]:
    return [
        (line["log_level"], line["transport"], line["outcome"])
        for line in lines
        if line["event"] == "attempt"
    ]


async def test_a_failed_attempt_says_why_and_where() -> None:
    transports = FakeTransport([[LOST]], "first"), FakeTransport([COMPLETE], "second")
    with capture_logs() as lines:
        assert await speak(ResilientTransport(transports)) == SPEECH
    assert attempts(lines) == [("info", "first", "failed"), ("info", "second", "done")]
    assert (lines[0]["fault"], lines[0]["reason"], lines[0]["host"]) == (
        LOST.code,
        "closed (1011)",
        "api.example.com",
    )
    assert lines[1]["fault"] is None


async def test_a_slow_attempt_beside_which_another_was_selected_is_abandoned() -> None:
    transports = (
        FakeTransport([[asyncio.Event()]], "slow"),
        FakeTransport([COMPLETE], "fast"),
    )
    with capture_logs() as lines:
        await speak(ResilientTransport(transports, Policy(hedge_after_s=0.005)))
    assert attempts(lines) == [("info", "slow", "abandoned"), ("info", "fast", "done")]


@pytest.mark.parametrize("error", [None, asyncio.CancelledError()])
async def test_a_sentence_of_which_nobody_hears_the_end_is_abandoned(
    error: BaseException | None,
) -> None:
    speech = ResilientTransport([FakeTransport([COMPLETE])]).synthesize(speech_request(), Urgency())
    with capture_logs() as lines:
        try:
            async with speech as stream:
                await anext(aiter(stream))
                if error is not None:
                    raise error
        except asyncio.CancelledError as raised:
            assert raised is error
    assert attempts(lines) == [("info", "fake", "abandoned")]


def transport_of(
    scripts: list[list[Any]], availability: dict[str, Availability] | None = None
) -> ResilientTransport:
    limits = BreakerLimits(failures_to_open=3, cool_down_s=0.0)
    return ResilientTransport(
        [FakeTransport(scripts)],
        Policy(attempts=1, breaker=limits, backoff_base_s=0),
        availability=availability,
    )


async def speak_or_fail(transport: ResilientTransport) -> None:
    try:
        await speak(transport)
    except errors.ProviderError as error:
        assert error.code == LOST.code


async def test_a_transport_that_is_down_is_told_once_and_its_attempts_at_debug() -> None:
    transport = transport_of([[LOST]] * 5 + [COMPLETE, COMPLETE])
    with capture_logs() as lines:
        for _ in range(7):
            await speak_or_fail(transport)
    assert [(line["log_level"], line["event"]) for line in lines] == [
        *[("info", "attempt")] * 3,
        ("warning", "transport is down"),
        *[("debug", "attempt"), ("debug", "transport is down")] * 2,
        ("info", "transport works again"),
        *[("info", "attempt")] * 2,
    ]
    assert (lines[3]["transport"], lines[3]["reason"]) == ("fake", "closed (1011)")


async def test_compositions_of_the_same_transports_tell_it_once() -> None:
    shared = {"fake": transport_availability("fake")}
    both = [transport_of([[LOST]] * 4, shared) for _ in range(2)]
    with capture_logs() as lines:
        for transport in both * 4:
            await speak_or_fail(transport)
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == [
        "transport is down"
    ]


async def test_a_refused_key_is_told_at_once() -> None:
    refused = errors.AuthenticationError("HTTP 401")
    with capture_logs() as lines:
        with pytest.raises(errors.AuthenticationError):
            await speak(transport_of([[refused]]))
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("info", "attempt"),
        ("warning", "transport is down"),
    ]


async def test_what_knows_itself_that_it_is_down_is_not_told_of_again() -> None:
    class Disconnected(FakeTransport):
        def is_usable(self, now: float) -> bool:
            return False

    with capture_logs() as lines:
        with pytest.raises(errors.AuthenticationError):
            await speak(
                ResilientTransport([Disconnected([[errors.AuthenticationError("HTTP 401")]])])
            )
    assert [(line["log_level"], line["event"]) for line in lines] == [("debug", "attempt")]


async def test_a_transport_that_cannot_say_whether_it_is_usable_speaks_all_the_same() -> None:
    class Defective(FakeTransport):
        def is_usable(self, now: float) -> bool:
            raise KeyError("no idea")

    with capture_logs() as lines:
        assert await speak(ResilientTransport([Defective([COMPLETE])])) == SPEECH
    assert attempts(lines) == [("info", "fake", "done")]
