"""Why a turn failed: whatever it is, its line is the one warning that names the cause."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection

from app.simulator import Simulator, SimulatorConfig
from bench.harness import caller, recorded_utterance, take_turn
from tests.telemetry.json_gateway import FAILURES, JsonGateway, Line, json_gateway, of_event
from tests.waiting import until

KEY = "pk-wrong-51c07d"
SESSION = "of-amal"

HINT = "Click the 'Execute workflow' button on the canvas"
PAGE = "<!doctype html><title>Log in</title>"

REPLIES = {
    "not registered": (
        "404 Not Found",
        json.dumps({"code": 404, "message": "The webhook is not registered", "hint": HINT}),
    ),
    "forbidden": ("403 Forbidden", "Authorization data is wrong!"),
    "page": ("200 OK", PAGE),
    "nothing": ("200 OK", ""),
    "words": ("200 OK", "This is a sentence that nobody hears."),
}
"""What the agent answers to which text."""

AGENT_CAUSES = {
    "not registered": ("agent-refused", ("HTTP 404", "The webhook is not registered", HINT)),
    "forbidden": ("agent-refused", ("HTTP 403", "Authorization data is wrong!")),
    "page": ("agent-failed", ("a web page", "AGENT_WEBHOOK_URL")),
    "nothing": ("agent-empty", ("no text",)),
}


@asynccontextmanager
async def agent() -> AsyncIterator[asyncio.Server]:
    """Serve `REPLIES`, one on each connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.partition("content-length:")[2].split("\r\n")[0])
        request = (await reader.readexactly(size)).decode()
        status, body = next(reply for text, reply in REPLIES.items() if text in request)
        lines = (
            f"HTTP/1.1 {status}",
            f"Content-Length: {len(body)}",
            "Connection: close",
            "",
            body,
        )
        writer.write("\r\n".join(lines).encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield server


async def warning_of(
    gateway: JsonGateway, socket: ClientConnection, message: dict[str, str]
) -> Line:
    """Take a turn, and return the one warning, or worse, that it left."""
    turn = await take_turn(socket, message)
    assert turn.all("error")
    (_, done) = turn.events[-1]

    def of_turn() -> list[Line]:
        return [line for line in gateway.lines() if line.get("turn") == done["turn"]]

    await until(lambda: bool(of_event(of_turn(), "turn")), state=gateway)
    (warning,) = (line for line in of_turn() if line["level"] in FAILURES)
    assert (warning["event"], warning["level"], warning["session"]) == ("turn", "warning", SESSION)
    return warning


async def check_agent_failures(
    gateway: JsonGateway, socket: ClientConnection, agent_host: str
) -> None:
    for text, (code, parts) in AGENT_CAUSES.items():
        warning = await warning_of(gateway, socket, {"type": "text", "text": text})
        assert (warning["outcome"], warning["code"]) == (code, code)
        assert warning["host"] == agent_host
        assert not [part for part in parts if part not in warning["reason"]], warning["reason"]


async def check_wrong_key(gateway: JsonGateway, socket: ClientConnection, ws_host: str) -> None:
    for message, outcome in (
        ({"type": "text", "text": "words"}, "silent"),
        (recorded_utterance(), "provider-authentication"),
    ):
        warning = await warning_of(gateway, socket, message)
        assert (warning["outcome"], warning["code"]) == (outcome, "provider-authentication")
        assert (warning["host"], "4001" in warning["reason"]) == (ws_host, True), warning


async def check_provider_down(gateway: JsonGateway, socket: ClientConnection) -> None:
    for message, outcome in (
        ({"type": "text", "text": "words"}, "silent"),
        (recorded_utterance(), "provider-unreachable"),
    ):
        warning = await warning_of(gateway, socket, message)
        assert (warning["outcome"], warning["code"]) == (outcome, "provider-unreachable")
        assert "Connection refused" in warning["reason"] or "Connect call" in warning["reason"]
        assert warning["host"].startswith("127.0.0.1:")


async def test_what_fails_is_one_warning_that_names_the_cause(tmp_path: Path) -> None:
    config = SimulatorConfig(profile="instant", voice="hum", key=SecretStr("the-right-key"))
    async with agent() as server, AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator(config))
        agent_host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ws_host = simulator.urls.hamsa_ws_url.split("/")[2]
        settings = {
            "HAMSA_API_KEY": KEY,
            "HAMSA_WS_URL": simulator.urls.hamsa_ws_url,
            "HAMSA_REST_URL": simulator.urls.hamsa_rest_url,
            "HAMSA_REST_HTTP2": "prior_knowledge",
            "HAMSA_CONNECT_LIMIT": "50",
            "TTS_ATTEMPTS": "6",
            "AGENT_WEBHOOK_URL": f"http://{agent_host}/webhook/secret-path",
        }
        async with json_gateway(tmp_path, settings) as gateway, asyncio.timeout(60):
            async with caller(f"{gateway.endpoint}{SESSION}") as socket:
                await check_agent_failures(gateway, socket, agent_host)
                await check_wrong_key(gateway, socket, ws_host)
                await stack.aclose()  # the provider is down
                await check_provider_down(gateway, socket)
                server.close()
                message = {"type": "text", "text": "anything"}
                warning = await warning_of(gateway, socket, message)
                assert (warning["code"], warning["host"]) == ("agent-unreachable", agent_host)
                assert "Connection refused" in warning["reason"]
            await gateway.stop()
            lines, text = gateway.lines(), gateway.text()
    shared = [line for line in lines if line["level"] in FAILURES and "turn" not in line]
    assert not any("session" in line for line in shared)
    told = [(line["event"], line.get("transport") or line.get("transcriber")) for line in shared]
    assert len(told) == len(set(told)), "what stays down is told once"
    assert any("4001" in line["reason"] for line in shared)
    assert not [secret for secret in (KEY, "secret-path", "nobody hears") if secret in text]
