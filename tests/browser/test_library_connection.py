"""The client library's connection: reconnecting, close codes, refusals, configuration."""

import asyncio
from pathlib import Path
from signal import SIGTERM
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, Route, WebSocketRoute
from starlette.responses import PlainTextResponse

from app.api.connection import VoiceEndpoint
from app.simulator import Simulator
from tests.gateway import running_gateway, running_server, settings_for

from .conftest import ConsoleMonitor, is_connection_refused
from .library_page import connect_client, create_client, emitted, gateway_for, wait_for_event
from .microphone import feed_microphone

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_after_a_restart_it_reconnects_as_the_same_session(
    page: Page, simulator: Simulator, console: ConsoleMonitor, microphone_file: Path
) -> None:
    console.is_expected = is_connection_refused
    feed_microphone(microphone_file, bytes(32000))
    settings = settings_for(simulator)
    async with running_gateway(settings) as endpoint:
        session_id = await connect_client(page, endpoint)
        await page.evaluate("nabra.configure({ language: 'en' })")
        await page.evaluate("nabra.say('مرحبا')")
        await wait_for_event(page, kind="playing")
    await wait_for_event(page, kind="problem", code="server-draining")
    known = len(await emitted(page))
    # The worklet is not loaded yet, and browsers do not retry an address that has failed.
    denied = await page.evaluate("nabra.startMicrophone().catch(({ code }) => code)")
    assert denied == "connection-lost"
    async with running_gateway(settings, port=urlsplit(endpoint).port or 0):
        greeting = await wait_for_event(page, known, kind="message", type="session")
        assert greeting["session_id"] == session_id
        configured = await wait_for_event(
            page, known, kind="message", type="configured", language="en"
        )
        assert configured["output"]["framing"] == "binary"
        assert await page.evaluate("nabra.state") == "open"
        await page.evaluate("nabra.say('ها أنا من جديد')")
        await wait_for_event(page, known, kind="playing", turn=1)
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
    """A gateway that refuses is not tried again; any other is, after a while."""

    async def close(socket: WebSocketRoute) -> None:
        await socket.close(code=close_code)

    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await page.route_web_socket("**/ws/agent/**", close)
        await create_client(page, endpoint)
        await page.evaluate("void nabra.connect()")
        found = await wait_for_event(page, kind="problem")
        assert (found["code"], found["recoverable"]) == (problem, recoverable)
        state = (await emitted(page, kind="state"))[-1]
        assert state["state"] == ("waiting" if recoverable else "closed")
        assert state["reason"] == problem
        if recoverable:
            shortest_ms = 1500 if problem == "too-busy" else 200
            assert shortest_ms <= state["retryInMs"] <= 3000
        else:
            rejected = await page.evaluate("nabra.connect().catch((problem) => problem.code)")
            assert rejected == problem


@pytest.mark.parametrize(("status", "problem"), [(401, "refused"), (503, "too-busy")])
async def test_http_tells_why_a_handshake_was_refused(
    page: Page,
    simulator: Simulator,
    console: ConsoleMonitor,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    problem: str,
) -> None:
    """Browsers hide the status of a failed upgrade from the page."""
    expected = (str(status), "HTTP Authentication failed")
    console.is_expected = lambda entry: any(text in entry for text in expected)

    async def refuse(_self: object, websocket: Any, _session_id: object = None) -> None:
        await websocket.send_denial_response(PlainTextResponse("no", status))

    async def respond(route: Route) -> None:
        await route.fulfill(status=status)

    monkeypatch.setattr(VoiceEndpoint, "serve", refuse)
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await page.route("**/ws/agent/**", respond)
        await create_client(page, endpoint)
        await page.evaluate("void nabra.connect()")
        assert (await wait_for_event(page, kind="problem"))["code"] == problem


async def test_it_comes_back_when_a_gateway_that_restarts_wants_it(
    page: Page, simulator: Simulator
) -> None:
    async def restart(socket: WebSocketRoute) -> None:
        socket.send('{"type":"session","session_id":"x","protocol":1,"seq":1}')
        socket.send(
            '{"type":"status","code":"server-restarting","message":"…",'
            '"retry_after_ms":2500,"seq":2}'
        )
        await socket.close(code=1012, reason="server-restarting")

    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await page.route_web_socket("**/ws/agent/**", restart)
        await create_client(page, endpoint)
        await page.evaluate("void nabra.connect()")
        problem = await wait_for_event(page, kind="problem")
        assert (problem["code"], problem["retryAfterMs"]) == ("server-draining", 2500)
        waiting = await wait_for_event(page, kind="state", state="waiting")
        assert 2500 <= waiting["retryInMs"] <= 2700
        await page.evaluate("dispatchEvent(new Event('online'))")
        assert await page.evaluate("nabra.state") == "waiting", "not before it is wanted"


async def test_a_drain_in_mid_answer_loses_no_sound_and_the_session_goes_on(
    page: Page, simulator: Simulator, console: ConsoleMonitor, short_response: dict[str, Any]
) -> None:
    console.is_expected = is_connection_refused
    settings = settings_for(simulator, **short_response)
    simulator.configure({"timing": {"realtime_factor": 0.5}})
    try:
        async with running_server(settings) as (server, endpoint):
            session_id = await connect_client(page, endpoint)
            await page.evaluate("nabra.say('مرحبا')")
            await wait_for_event(page, kind="playing")
            assert not await emitted(page, kind="message", type="done")
            server.handle_exit(SIGTERM, None)
            await wait_for_event(page, kind="problem", code="server-draining")
    finally:
        simulator.configure({"timing": {"realtime_factor": 0}})
    known = len(await emitted(page))
    sentences = [m["text"] for m in await emitted(page, kind="message", type="sentence")]
    assert await emitted(page, kind="message", type="done")
    async with running_gateway(settings, port=urlsplit(endpoint).port or 0):
        greeting = await wait_for_event(page, known, kind="message", type="session")
        assert greeting["session_id"] == session_id
        idle = await wait_for_event(page, kind="idle")
        spoken = b"".join(map(simulator.expected_audio, sentences))
        assert idle["playedMs"] == pytest.approx(len(spoken) / 32, abs=1)
        await page.evaluate("nabra.say('ها أنا من جديد')")
        await wait_for_event(page, known, kind="playing", turn=1)
        await page.goto("about:blank")


async def test_a_gateway_that_drains_and_refuses_it_is_not_called_full(
    page: Page, simulator: Simulator, console: ConsoleMonitor
) -> None:
    console.is_expected = lambda entry: "503" in entry
    async with running_server(settings_for(simulator)) as (server, endpoint):
        await create_client(page, endpoint)
        server.handle_exit(SIGTERM, None)
        async with asyncio.timeout(10):
            await page.evaluate("void nabra.connect()")
            problem = await wait_for_event(page, kind="problem")
        assert problem["code"] == "server-draining"
        await page.goto("about:blank")


async def test_waits_grow_until_the_network_returns(page: Page, simulator: Simulator) -> None:
    """Each wait is about twice the one before; `online` ends it at once."""

    async def close(socket: WebSocketRoute) -> None:
        await socket.close(code=1011)

    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await page.clock.install()
        await page.route_web_socket("**/ws/agent/**", close)
        await create_client(page, endpoint)
        await page.evaluate("void nabra.connect()")
        known = 0
        for attempt in range(4):
            if attempt:
                await page.clock.fast_forward(400 * 2**attempt)
            await wait_for_event(page, known, kind="state", state="waiting")
            known = len(await emitted(page))
        waits = [one["retryInMs"] for one in await emitted(page, kind="state", state="waiting")]
        for attempt, wait_ms in enumerate(waits):
            assert 200 * 2**attempt <= wait_ms <= 400 * 2**attempt
        known = len(await emitted(page))
        await page.evaluate("dispatchEvent(new Event('online'))")
        assert (await wait_for_event(page, known, kind="state"))["state"] == "connecting"


async def test_a_socket_that_is_dead_is_noticed_when_the_network_changes(
    page: Page, simulator: Simulator
) -> None:
    """Losing the network closes no socket: the gateway is pinged, and does not reply."""
    is_replying = True

    def relay(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(lambda message: socket.send(message) if is_replying else None)

    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await page.clock.install()
        await page.route_web_socket("**/ws/agent/**", relay)
        await connect_client(page, endpoint)
        is_replying = False
        await page.evaluate("dispatchEvent(new Event('offline'))")
        await page.clock.fast_forward(4000)
        await wait_for_event(page, kind="problem", code="connection-lost")
        is_replying = True
        known = len(await emitted(page))
        await wait_for_event(page, known, kind="state", state="open")


async def test_a_refused_configuration_changes_nothing(page: Page, simulator: Simulator) -> None:
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await connect_client(page, endpoint, options={"language": "en"})
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
        assert len(await emitted(page, kind="message", type="error")) == 1


async def test_without_a_connection_nothing_is_sent(page: Page, simulator: Simulator) -> None:
    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await create_client(page, endpoint)
        assert await page.evaluate("[nabra.say('مرحبا'), nabra.interrupt(), nabra.state]") == [
            False,
            False,
            "closed",
        ]


async def test_a_gateway_that_never_greets_is_given_up(page: Page, simulator: Simulator) -> None:
    """A proxy opens the socket, but no gateway is behind it."""
    sockets: list[WebSocketRoute] = []

    def relay(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        if len(sockets) > 1:
            socket.connect_to_server()

    async with gateway_for(page, settings_for(simulator)) as endpoint:
        await page.clock.install()
        await page.route_web_socket("**/ws/agent/**", relay)
        await create_client(page, endpoint)
        await page.evaluate("void nabra.connect()")
        await wait_for_event(page, kind="state", state="connecting")
        await page.clock.fast_forward(20_000)
        await wait_for_event(page, kind="problem", code="connection-lost")
        await page.clock.fast_forward(1000)
        await wait_for_event(page, kind="state", state="open")
