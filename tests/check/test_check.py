"""`nabra check` against a provider and an agent with faults: what it says, and its verdict."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from app.check import agent as agent_check
from app.check import provider as provider_check
from app.check.command import check_services, run
from app.simulator import Simulator
from app.strategies import PlugIns
from tests.agents import lines as n8n
from tests.gateway import instant_simulator, settings_for
from tests.net.scripted_http1 import Script, scripted_http1, whole
from tests.test_serve import environment

TOKEN = "token-of-the-test"


async def checked(simulator: Simulator, **settings: Any) -> tuple[bool, list[str]]:
    """Return the verdict, and the lines that are printed."""
    lines: list[str] = []
    works = await check_services(
        settings_for(simulator, **settings), PlugIns(), "مرحبا", lines.append
    )
    return works, lines


def marks(lines: list[str]) -> str:
    """Return the marks of all findings in a row."""
    return "".join(line.split()[0] for line in lines if line.startswith("  "))


def line_of(lines: list[str], subject: str) -> str:
    (line,) = [line for line in lines if line[4:].startswith(f"{subject}: ")]
    return line


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that nothing listens on, and nothing else can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def test_what_works_has_a_tick_each() -> None:
    async with instant_simulator() as simulator:
        works, lines = await checked(simulator)
        requests = [(each.channel, each.kind) for each in simulator.requests]
    assert works
    assert [line.partition(":")[0] for line in lines] == [
        *("Provider", "  ✓ key", "  ✓ balance", "  ✓ socket", "  ✓ REST", "  ✓ HTTP/2"),
        *("Agent", "  ✓ one turn"),
    ]
    assert "n8n's streaming lines" in line_of(lines, "one turn")
    assert sorted(requests) == [("agent", "agent"), ("rest", "tts"), ("websocket", "tts")]


PROVIDER_FAULTS: list[tuple[dict[str, Any], str, str, str]] = [
    # configuration of the simulator; marks of key, balance, socket, REST, HTTP/2; line; its reason
    ({"faults": {"unauthorized": 1}}, "✗----", "key", "Invalid API key: write the key of your"),
    ({"key": "another"}, "✗----", "key", "HAMSA_API_KEY"),
    ({"faults": {"no_funds": 1}}, "✓✗---", "balance", "nsufficient funds: top up the account"),
    ({"faults": {"quota": 1}}, "✓✗---", "balance", "usage limit reached: top up"),
    (
        {"faults": {"unavailable": {"channel": "websocket", "operation": "connect"}}},
        "✓✓✗✓✓",
        "socket",
        "HTTP 503: check again",
    ),
    (
        {"throttle": {"limit": 0, "window_s": 60, "mode": "refused"}},
        "✓✓✗✓✓",
        "socket",
        "HTTP 429: check again",
    ),
    ({"faults": {"redirect": {"channel": "rest"}}}, "✓✓✓✗-", "REST", "check HAMSA_REST_URL"),
    ({"faults": {"truncated": {"channel": "websocket"}}}, "✓✓!✓✓", "socket", "640 bytes"),
    (
        {"faults": {"provider_error": 1}, "provider_message": "Voice not owned by user"},
        "✓-✗✗-",
        "socket",
        "Voice not owned by user: check TTS_SPEAKER and TTS_DIALECT",
    ),
    ({"faults": {"drop": {"channel": "rest"}}}, "✓✓✓✗✓", "REST", "check again"),
]


@pytest.mark.parametrize(("config", "expected", "subject", "reason"), PROVIDER_FAULTS)
async def test_a_fault_of_the_provider_is_told_with_what_to_do(
    config: dict[str, Any], expected: str, subject: str, reason: str
) -> None:
    async with instant_simulator(**config) as simulator:
        works, lines = await checked(simulator)
    assert marks(lines) == expected + "✓", lines
    assert reason in line_of(lines, subject)
    assert works == ("✗" not in expected)


async def test_a_provider_that_is_not_there_is_told_by_both_addresses(unused_port: int) -> None:
    nowhere = {
        "hamsa_ws_url": f"ws://127.0.0.1:{unused_port}/",
        "hamsa_rest_url": f"http://127.0.0.1:{unused_port}",
    }
    async with instant_simulator() as simulator:
        works, lines = await checked(simulator, **nowhere)
    assert not works
    assert marks(lines) == "--✗✗-✓"
    assert "check HAMSA_WS_URL" in line_of(lines, "socket")
    assert "check HAMSA_REST_URL" in line_of(lines, "REST")


async def test_rest_over_http1_works_and_is_mentioned() -> None:
    async with instant_simulator() as simulator:
        works, lines = await checked(simulator, hamsa_rest_http2="auto")
    assert works
    assert marks(lines) == "✓✓✓✓!✓"
    assert "HAMSA_REST_HTTP2" in line_of(lines, "HTTP/2")


async def test_a_provider_that_never_answers_ends_the_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(provider_check, "AUDIO_TIMEOUT_S", 0.1)
    async with instant_simulator(faults={"stall_first": 1}) as simulator:
        works, lines = await checked(simulator, hamsa_connect_timeout_s=0.4)
    assert not works
    assert "no word within 0.5 s" in line_of(lines, "socket")
    assert "no word within 0.5 s" in line_of(lines, "REST")


@pytest.mark.parametrize(
    ("mode", "form"), [("json", "one JSON object: nothing is spoken before"), ("text", "plain")]
)
async def test_the_form_of_the_response_is_told(mode: str, form: str) -> None:
    async with instant_simulator(agent_mode=mode) as simulator:
        works, lines = await checked(simulator)
    assert works
    assert form in line_of(lines, "one turn")


async def test_a_model_is_asked_one_turn() -> None:
    async with instant_simulator() as simulator:
        url = simulator.urls.agent_completions_url
        model = {"agent_kind": "openai", "agent_model": "m", "agent_webhook_url": url}
        works, lines = await checked(simulator, **model)
    assert works
    assert "server-sent events" in line_of(lines, "one turn")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("agent_404", "is not registered. The workflow must be active for a production URL to run"),
        (
            "agent_empty",
            "the response holds no text: in n8n set the Webhook node's Respond to Streaming",
        ),
        ("agent_error", "The model answered 500: look into the agent's own log"),
        ("agent_cut", "own log"),
    ],
)
async def test_a_fault_of_the_agent_is_told_with_what_to_do(fault: str, reason: str) -> None:
    async with instant_simulator(faults={fault: 1}) as simulator:
        works, lines = await checked(simulator)
    assert not works
    assert marks(lines) == "✓✓✓✓✓✗"
    assert reason in line_of(lines, "one turn")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (whole(b"Authorization data is wrong!", "403 Forbidden"), "wrong!: check AGENT_TOKEN"),
        (whole(b"<!DOCTYPE html><p>Log in</p>"), "a web page: check AGENT_WEBHOOK_URL"),
        (whole(b"", "301 Moved Permanently", "Location: /x"), "write the URL where it leads"),
        (whole(b"{}", "502 Bad Gateway"), "HTTP 502"),
    ],
)
async def test_an_agent_that_refuses_is_told_with_what_to_do(script: Script, reason: str) -> None:
    async with instant_simulator() as simulator, scripted_http1(script) as server:
        works, lines = await checked(simulator, agent_webhook_url=server.url + "/webhook/1")
    assert not works
    assert reason in line_of(lines, "one turn")


async def test_an_agent_that_is_not_there_is_told(unused_port: int) -> None:
    async with instant_simulator() as simulator:
        url = f"http://127.0.0.1:{unused_port}/webhook/1"
        works, lines = await checked(simulator, agent_webhook_url=url)
    assert not works
    assert "check AGENT_WEBHOOK_URL, and that the agent runs" in line_of(lines, "one turn")


async def test_an_agent_that_never_ends_ends_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_check, "TURN_TIMEOUT_S", 0.2)
    async with instant_simulator(faults={"agent_stall": 1}) as simulator:
        works, lines = await checked(simulator)
    assert not works
    assert "no whole response in 0.2 s" in line_of(lines, "one turn")


def test_wrong_settings_are_told_each_and_nothing_is_connected(tmp_path: Path) -> None:
    lines: list[str] = []
    wrong = environment(PORT="x", TTS_DIALECT="moon")
    with contextlib.chdir(tmp_path), mock.patch.dict(os.environ, wrong, clear=True):
        assert not run("مرحبا", lines.append)
    assert [line.partition(":")[0] for line in lines] == ["Settings", "  ✗ PORT", "  ✗ TTS_DIALECT"]


async def test_without_a_key_the_simulator_is_checked_and_a_quoted_token_is_masked(
    tmp_path: Path,
) -> None:
    """As a process, since the command configures the log of its process."""
    script = whole(f"wrong: {TOKEN} \x1b[2J".encode(), "403 Forbidden")
    async with scripted_http1(script) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from app.cli import main; main()", "check"),
            cwd=tmp_path,
            env=environment(
                AGENT_WEBHOOK_URL=server.url, AGENT_TOKEN=TOKEN, PYTHONIOENCODING="utf-8"
            ),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    lines = output.decode().splitlines()
    assert process.returncode == 1
    assert lines[0] == "Settings"
    assert "Provider: the simulator, as HAMSA_API_KEY is not set" in lines
    assert marks(lines) == "✓!!✓✓✓✗", "warned of the URL without path, and of the token"
    assert "wrong: *** " in lines[-1]
    assert TOKEN not in output.decode() and "\x1b" not in output.decode()


NODES: list[tuple[dict[str, Any], bytes, list[str]]] = [
    # settings; what the agent streams; the beginnings of the lines under its heading
    ({}, n8n.run("نعم."), ["✓ one turn: HTTP 200, 4 characters, "]),
    (
        {},
        n8n.run("لحظة.", node="Filler") + n8n.run("نعم."),
        ["✓ one turn: HTTP 200", "! nodes: Agent is spoken only when all is written: AGENT_NODE="],
    ),
    (
        {},
        n8n.run("لحظة.", node="Filler") + n8n.run("لا", node="Draft") + n8n.run("نعم."),
        ["✓ one turn", "! nodes: Agent is", "! nodes: not spoken, in characters: Draft (2)"],
    ),
    (
        {"agent_node": ("Agnet",)},
        n8n.run("نعم."),
        ["✓ one turn", "! nodes: none of AGENT_NODE (Agnet) sent text, but Agent: correct"],
    ),
    (
        {"agent_node": ("Filler",)},
        n8n.run("لحظة.", node="Filler") + n8n.run("نعم."),
        ["✓ one turn"],
    ),
    (
        {},
        n8n.line("begin") + n8n.line("end"),
        ["✗ one turn: the response holds no text: in n8n set"],
    ),
]


@pytest.mark.parametrize(("settings", "body", "expected"), NODES)
async def test_who_is_spoken_is_told_with_what_is_off(
    settings: dict[str, Any], body: bytes, expected: list[str]
) -> None:
    async with instant_simulator() as simulator, scripted_http1(whole(body)) as webhook:
        _, lines = await checked(simulator, agent_webhook_url=webhook.url, **settings)
    found = [line.strip() for line in lines[lines.index("Agent: webhook") + 1 :]]
    assert len(found) == len(expected)
    for text, beginning in zip(found, expected, strict=True):
        assert text.startswith(beginning), text


async def test_a_check_does_not_wait_for_an_agent_that_is_starting() -> None:
    page = whole(b"n8n is starting up. Please wait", "200 OK", "Content-Type: text/html")
    async with instant_simulator() as simulator, scripted_http1(page) as webhook:
        works, lines = await checked(simulator, agent_webhook_url=webhook.url)
    assert not works
    assert "n8n is starting up" in line_of(lines, "one turn")
    assert len(webhook.exchanges) == 1
