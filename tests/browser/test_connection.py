"""The client library's connection: kept, lost, found again, refused."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, Route, WebSocketRoute
from starlette.responses import PlainTextResponse

from app.api.endpoint import VoiceEndpoint
from app.simulator import Simulator
from tests.gateway import running_gateway, settings_for

from .conftest import Watch
from .driving import converse, hear, open_library, served, told, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


def is_refusal(complaint: str) -> bool:
    """What a browser says by itself when it knocks where nobody is."""
    return "net::ERR_CONNECTION_REFUSED" in complaint


async def test_it_comes_back_after_a_restart_as_the_same_session(
    page: Page, simulator: Simulator, watch: Watch, microphone_file: Path
) -> None:
    watch.allowed = is_refusal
    hear(microphone_file, bytes(32000))
    settings = settings_for(simulator)
    async with running_gateway(settings) as endpoint:
        session_id = await converse(page, endpoint)
        await page.evaluate("nabra.configure({ language: 'en' })")
        await page.evaluate("nabra.say('مرحبا')")
        await until(page, kind="playing")
    await until(page, kind="problem", code="server-draining")
    known = len(await told(page))
    # Its worklet was not loaded yet, and browsers remember what failed for as long as a page lives.
    denied = await page.evaluate("nabra.startMicrophone().catch(({ code }) => code)")
    assert denied == "connection-lost"
    async with running_gateway(settings, port=urlsplit(endpoint).port):
        greeting = await until(page, known, kind="message", type="session")
        assert greeting["session_id"] == session_id
        configured = await until(page, known, kind="message", type="configured", language="en")
        assert configured["output"]["framing"] == "binary"
        assert await page.evaluate("nabra.state") == "open"
        await page.evaluate("nabra.say('ها أنا من جديد')")
        await until(page, known, kind="playing", turn=1)
        await page.evaluate("nabra.startMicrophone()")
        assert await page.evaluate("nabra.listening")
        await page.goto("about:blank")


@pytest.mark.parametrize(
    ("close_code", "problem", "recoverable"),
    [(1001, "server-draining", True), (1013, "too-busy", True), (1008, "refused", False)],
)
async def test_what_a_close_means(
    page: Page, simulator: Simulator, close_code: int, problem: str, recoverable: bool
) -> None:
    """A server that refuses is left in peace; any other is tried again after a while."""

    async def close(socket: WebSocketRoute) -> None:
        await socket.close(code=close_code)

    async with served(page, settings_for(simulator)) as endpoint:
        await page.route_web_socket("**/ws/agent/**", close)
        await open_library(page, endpoint)
        await page.evaluate("void nabra.connect()")
        found = await until(page, kind="problem")
        assert (found["code"], found["recoverable"]) == (problem, recoverable)
        state = (await told(page, kind="state"))[-1]
        assert state["state"] == ("waiting" if recoverable else "closed")
        assert state["reason"] == problem
        if recoverable:
            shortest_ms = 1500 if problem == "too-busy" else 200
            assert shortest_ms <= state["retryInMs"] <= 3000
        else:
            rejected = await page.evaluate("nabra.connect().catch((problem) => problem.code)")
            assert rejected == problem


@pytest.mark.parametrize(("status", "problem"), [(401, "refused"), (503, "too-busy")])
async def test_why_a_handshake_was_refused_is_asked_by_http(
    page: Page,
    simulator: Simulator,
    watch: Watch,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    problem: str,
) -> None:
    """No page is told the status of a failed upgrade."""
    said = (str(status), "HTTP Authentication failed")
    watch.allowed = lambda complaint: any(words in complaint for words in said)

    async def refuse(_self: object, websocket: Any, _session_id: object = None) -> None:
        await websocket.send_denial_response(PlainTextResponse("no", status))

    async def answer(route: Route) -> None:
        await route.fulfill(status=status)

    monkeypatch.setattr(VoiceEndpoint, "serve", refuse)
    async with served(page, settings_for(simulator)) as endpoint:
        await page.route("**/ws/agent/**", answer)
        await open_library(page, endpoint)
        await page.evaluate("void nabra.connect()")
        assert (await until(page, kind="problem"))["code"] == problem


async def test_waits_grow_until_the_network_is_back(page: Page, simulator: Simulator) -> None:
    """Each wait is about twice the one before; `online` ends it at once."""

    async def close(socket: WebSocketRoute) -> None:
        await socket.close(code=1011)

    async with served(page, settings_for(simulator)) as endpoint:
        await page.clock.install()
        await page.route_web_socket("**/ws/agent/**", close)
        await open_library(page, endpoint)
        await page.evaluate("void nabra.connect()")
        known = 0
        for attempt in range(4):
            if attempt:
                await page.clock.fast_forward(400 * 2**attempt)
            await until(page, known, kind="state", state="waiting")
            known = len(await told(page))
        waits = [one["retryInMs"] for one in await told(page, kind="state", state="waiting")]
        for attempt, wait_ms in enumerate(waits):
            assert 200 * 2**attempt <= wait_ms <= 400 * 2**attempt
        known = len(await told(page))
        await page.evaluate("dispatchEvent(new Event('online'))")
        assert (await until(page, known, kind="state"))["state"] == "connecting"


async def test_a_socket_that_is_dead_is_noticed_when_the_network_changes(
    page: Page, simulator: Simulator
) -> None:
    """A network that is gone closes no socket: the server is asked, and does not answer."""
    answers = True

    def relay(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda message: socket.send(message) if answers else None)

    async with served(page, settings_for(simulator)) as endpoint:
        await page.clock.install()
        await page.route_web_socket("**/ws/agent/**", relay)
        await converse(page, endpoint)
        answers = False
        await page.evaluate("dispatchEvent(new Event('offline'))")
        await page.clock.fast_forward(4000)
        await until(page, kind="problem", code="connection-lost")
        answers = True
        known = len(await told(page))
        await until(page, known, kind="state", state="open")


async def test_a_configuration_is_answered_or_refused_and_remembered_only_if_answered(
    page: Page, simulator: Simulator
) -> None:
    async with served(page, settings_for(simulator)) as endpoint:
        await converse(page, endpoint, options={"language": "en"})
        refused = await page.evaluate(
            "nabra.configure({ output: { sample_rate: 11025 } }).catch((error) => error)"
        )
        assert refused["code"] == "unsupported-configuration"
        changed = await page.evaluate("nabra.configure({ output: { sample_rate: 8000 } })")
        assert changed["output"]["sample_rate"] == 8000
        assert changed["language"] == "en"
        await page.evaluate("(nabra.close(), nabra.connect())")
        early = await page.evaluate("nabra.configure({ voice: { dialect: 'egy' } })")
        assert early["voice"]["dialect"] == "egy"
        assert early["output"]["sample_rate"] == 8000
        assert early["output"]["framing"] == "binary"
        assert len(await told(page, kind="message", type="error")) == 1


async def test_what_is_not_connected_says_so(page: Page, simulator: Simulator) -> None:
    async with served(page, settings_for(simulator)) as endpoint:
        await open_library(page, endpoint)
        assert await page.evaluate("[nabra.say('مرحبا'), nabra.interrupt(), nabra.state]") == [
            False,
            False,
            "closed",
        ]


async def test_a_server_that_never_greets_is_left(page: Page, simulator: Simulator) -> None:
    """A proxy opens the socket, and nobody is behind it."""
    sockets: list[WebSocketRoute] = []

    def relay(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        if len(sockets) > 1:
            socket.connect_to_server()

    async with served(page, settings_for(simulator)) as endpoint:
        await page.clock.install()
        await page.route_web_socket("**/ws/agent/**", relay)
        await open_library(page, endpoint)
        await page.evaluate("void nabra.connect()")
        await until(page, kind="state", state="connecting")
        await page.clock.fast_forward(20_000)
        await until(page, kind="problem", code="connection-lost")
        await page.clock.fast_forward(1000)
        await until(page, kind="state", state="open")
