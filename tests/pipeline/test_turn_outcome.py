"""How turns end: the decision as a table, and the one line that each turn leaves."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from app import errors
from app.pipeline import events
from app.pipeline.timeline import SentenceMetrics, TurnMetrics
from app.pipeline.turn_outcome import OUTCOMES, turn_outcome
from tests.pipeline.fakes import FakeAgent, Recorder
from tests.pipeline.sessions import FIRST, SECOND, audio_of_sentences, run_turn, running_session
from tests.transports.fakes import FakeTransport
from tests.waiting import until

HINT = "HTTP 404 from n8n.example.com: not registered. Activate the workflow"
LOST = errors.ConnectionLostError("closed (1011)")


def spoken(*audio_ms: float, lost: errors.ProviderError | None = None) -> TurnMetrics:
    sentences = [SentenceMetrics(at, FIRST, audio_ms=ms) for at, ms in enumerate(audio_ms)]
    if lost is not None:
        sentences[-1].error = lost
    return TurnMetrics(sentences=sentences)


@pytest.mark.parametrize(
    ("metrics", "error", "ended_by", "name", "is_failure"),
    [
        (spoken(200, 200), None, None, "done", False),
        (spoken(), None, None, "silent", True),
        (spoken(0, lost=LOST), None, None, "silent", True),
        (spoken(200, 0, lost=LOST), None, None, "partial", True),
        (spoken(200, lost=LOST), None, None, "partial", True),
        (spoken(200), errors.AgentCutError("cut"), None, "agent-cut", True),
        (spoken(0, lost=LOST), errors.AgentCutError("cut"), None, "agent-cut", True),
        (spoken(), errors.InternalError("KeyError"), None, "internal", True),
        (spoken(), errors.NoSpeechError("empty"), None, "no-speech", False),
        (spoken(), errors.UndecodableAudioError("none"), None, "undecodable-audio", False),
        (spoken(200), None, "interrupted", "interrupted", False),
        (spoken(0, lost=LOST), LOST, "client-left", "client-left", False),
        (spoken(), None, "shutdown", "shutdown", False),
    ],
)
def test_a_turn_has_one_outcome(
    metrics: TurnMetrics,
    error: errors.NabraError | None,
    ended_by: str | None,
    name: str,
    is_failure: bool,
) -> None:
    outcome = turn_outcome(metrics, error, ended_by=ended_by)
    assert (outcome.name, outcome.is_failure) == (name, is_failure)
    assert (name in OUTCOMES) == (outcome.cause is None or name in ("silent", "partial"))


def turns_of(lines: list[MutableMapping[str, Any]]) -> list[MutableMapping[str, Any]]:
    return [line for line in lines if line["event"] == "turn"]


async def test_a_lost_sentence_is_a_warning_with_its_reason() -> None:
    transport = FakeTransport([*audio_of_sentences(1).scripts, [LOST]])
    with capture_logs() as lines:
        await run_turn(FakeAgent([f"{FIRST} ", SECOND]), transport)
    (line,) = turns_of(lines)
    assert (line["log_level"], line["outcome"]) == ("warning", "partial")
    assert (line["code"], line["reason"]) == (LOST.code, str(LOST))


async def test_a_response_of_which_nothing_is_heard_is_silent() -> None:
    with capture_logs() as lines:
        await run_turn(FakeAgent([FIRST]), FakeTransport([[LOST]]))
        await run_turn(FakeAgent(["😊"]), FakeTransport([]))
    lost, unspeakable = turns_of(lines)
    assert {lost["outcome"], unspeakable["outcome"]} == {"silent"}
    assert {lost["log_level"], unspeakable["log_level"]} == {"warning"}
    assert (lost["reason"], unspeakable["reason"]) == (
        str(LOST),
        "the response holds nothing to speak",
    )


async def test_why_the_agent_failed_is_in_the_line() -> None:
    with capture_logs() as lines:
        await run_turn(FakeAgent([errors.AgentRefusedError(HINT, 404)]), FakeTransport([]))
    (line,) = turns_of(lines)
    assert (line["log_level"], line["outcome"]) == ("warning", "agent-refused")
    assert line["reason"] == HINT


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (events.ClientGoneError(), "client-left"),
        (events.DrainedError(), "shutdown"),
        (errors.SessionExpiredError("longest time reached"), "session-expired"),
    ],
)
async def test_a_turn_that_ends_with_its_session_says_why(end: Exception, outcome: str) -> None:
    agent, recorder = FakeAgent([asyncio.Event()]), Recorder()
    with capture_logs() as lines:
        with pytest.raises(type(end)):
            async with running_session(agent, FakeTransport([]), recorder=recorder) as session:
                await session.start_turn("مرحبا")
                await agent.until_requested()
                raise end
    (line,) = turns_of(lines)
    assert (line["log_level"], line["outcome"]) == ("info", outcome)


async def test_a_turn_whose_client_is_gone_before_its_end_was_not_done() -> None:
    allowed = asyncio.Event()
    agent, recorder = FakeAgent([allowed, FIRST]), Recorder()
    with capture_logs() as lines:
        async with running_session(agent, audio_of_sentences(1), recorder=recorder) as session:
            await session.start_turn("مرحبا")
            await agent.until_requested()
            recorder.gone = True
            allowed.set()
            await until(lambda: bool(turns_of(lines)), state=lines)
    (line,) = turns_of(lines)
    assert line["outcome"] == "client-left"
