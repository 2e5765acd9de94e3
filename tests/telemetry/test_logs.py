"""Logging: one line an event, and never a key."""

import asyncio
import io
import json
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import structlog
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from app import errors
from app.hamsa import pool
from app.hamsa.connection import Connection
from app.simulator import Simulator, SimulatorConfig
from app.telemetry import logs
from tests.gateway import running_gateway, settings_for
from tests.hamsa.pools import running_pool

KEY = "secret-key-of-the-test"
FORMATS = ["console", "json"]
LIBRARIES = [
    "websockets.client",
    "websockets",
    "aiohttp",
    "httpx",
    "httpcore.http11",
    "asyncio",
    "hpack.hpack",
]


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave logging as it was, pytest's own handlers included."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for handler in handlers:  # else `force=True` closes them
        root.removeHandler(handler)
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == "", "standard output belongs to the program"
    return captured.err.splitlines()


@pytest.mark.parametrize("format", FORMATS)
def test_an_event_of_ours_or_of_a_library_is_one_line(
    format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", format)  # type: ignore[arg-type]
    structlog.get_logger().info("turn", turn=3, text="سلام", reason="two\nlines")
    logging.getLogger("library").warning("%s is odd", "this")
    ours, theirs = lines_of(capsys)
    for word in ("info", "turn", "سلام"):
        assert word in ours
    for word in ("warning", "this is odd"):
        assert word in theirs


@pytest.mark.parametrize("error", [BrokenPipeError, OSError, ValueError])
def test_a_log_that_cannot_be_written_fails_nobody(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise error

        def flush(self) -> None:
            raise error

    logs.configure("info", "json")
    log = structlog.get_logger()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", Gone())
        log.info("lost")
    log.info("written")
    assert [json.loads(line)["event"] for line in lines_of(capsys)] == ["written"]


def test_json_can_be_read_back_and_holds_time_level_event_and_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("info", "json")
    with structlog.contextvars.bound_contextvars(session="s-1"):
        structlog.get_logger().warning("odd", ms=1.5, nothing=None)
        logging.getLogger("library").error("worse\nstill")
    ours, theirs = (json.loads(line) for line in lines_of(capsys))
    assert ours.pop("timestamp").endswith("Z")
    assert ours == {
        "event": "odd",
        "level": "warning",
        "ms": 1.5,
        "nothing": None,
        "session": "s-1",
    }
    assert (theirs["event"], theirs["level"], theirs["session"]) == ("worse\nstill", "error", "s-1")


def fail() -> None:
    key = KEY  # as a local variable of some frame
    raise RuntimeError(f"something with {len(key)} letters")


def log_a_failure(logger: str) -> None:
    try:
        fail()
    except RuntimeError:
        if logger == "ours":
            structlog.get_logger().exception("failed")
        else:
            logging.getLogger("library").exception("failed")


@pytest.mark.parametrize("logger", ["ours", "theirs"])
def test_in_json_a_traceback_is_part_of_its_line(
    logger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", "json")
    log_a_failure(logger)
    (line,) = lines_of(capsys)
    assert "RuntimeError: something" in json.loads(line)["exception"]


@pytest.mark.parametrize("logger", ["ours", "theirs"])
@pytest.mark.parametrize("format", FORMATS)
def test_a_traceback_shows_no_local_variables(
    format: str, logger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", format)  # type: ignore[arg-type]
    log_a_failure(logger)
    text = "\n".join(lines_of(capsys))
    assert "RuntimeError" in text
    assert KEY not in text


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_what_is_less_severe_than_the_level_is_silent(
    level: str, shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(level, "json")
    log = structlog.get_logger()
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("event")
    assert [json.loads(line)["level"] for line in lines_of(capsys)] == shown


@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_are_silent_below_warnings_though_the_level_is_debug(
    library: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("debug", "console")
    logger = logging.getLogger(library)
    logger.debug("> X-Api-Key: %s", KEY)
    logger.info("> X-Api-Key: %s", KEY)
    assert lines_of(capsys) == []
    logger.warning("odd")
    assert len(lines_of(capsys)) == 1


REFUSALS = {
    "unauthorized": b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}",
    "slow down": b"HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "not found": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "no WebSocket": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a wrong upgrade": b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: wrong\r\n\r\n",
    "no HTTP": b"\x00\x01\x02 what?\r\n\r\n",
    "nothing": b"",
}


@asynccontextmanager
async def refusing(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that refuses every handshake by these bytes; gives its address, and what it saw."""
    heads: list[bytes] = []
    handlers: list[asyncio.Task[None] | None] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime/ws", heads
        await asyncio.gather(*(task for task in handlers if task))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=list(REFUSALS))
async def test_a_refused_handshake_logs_no_key(
    refusal: bytes,
    format: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logs.configure("debug", format)  # type: ignore[arg-type]
    monkeypatch.setattr(pool, "log", structlog.get_logger())  # one that is not bound yet
    async with refusing(refusal) as (url, heads):
        with pytest.raises(errors.ProviderError) as caught:
            await Connection.open(url, KEY, connect_timeout_s=5)
        async with running_pool(url) as running:
            with pytest.raises(errors.ProviderError):
                async with running.lease():
                    pass
    assert KEY.encode() in heads[0], "it was sent"
    text = "\n".join(lines_of(capsys))
    assert "no socket could be opened" in text
    assert KEY not in text.replace("\n", "")
    assert KEY not in str(caught.value) + repr(caught.value) + repr(vars(caught.value))


async def test_a_redirect_of_the_handshake_is_not_followed() -> None:
    async with refusing(REFUSALS["unauthorized"]) as (elsewhere, heads):
        redirect = REFUSALS["a redirect"].replace(b"ws://127.0.0.1:1/", elsewhere.encode())
        async with refusing(redirect) as (url, _):
            with pytest.raises(errors.ConnectError, match="302"):
                await Connection.open(url, KEY, connect_timeout_s=5)
        assert heads == []


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        ("unauthorized", errors.AuthenticationError),
        ("slow down", errors.RateLimitedError),
        ("no WebSocket", errors.ConnectError),
        ("not found", errors.ConnectError),
        ("a wrong upgrade", errors.ConnectError),
        ("no HTTP", errors.ConnectError),
        ("nothing", errors.ConnectError),
    ],
)
async def test_a_refused_handshake_is_an_error_of_ours(
    refusal: str, kind: type[errors.ProviderError]
) -> None:
    async with refusing(REFUSALS[refusal]) as (url, _):
        with pytest.raises(errors.ProviderError) as caught:
            await Connection.open(url, KEY, connect_timeout_s=5)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "proxy",
    [f"socks5://me:{KEY}@127.0.0.1:9", f"http://me:{KEY}@127.0.0.1:9", f"{KEY}://127.0.0.1:9"],
    ids=["a kind that needs a library", "one that is not there", "no kind at all"],
)
async def test_a_proxy_that_cannot_be_used_is_an_error_of_ours_without_its_password(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(errors.ConnectError) as caught:
        await Connection.open("wss://hamsa.test/ws", "another", connect_timeout_s=5)
    assert KEY not in str(caught.value)


async def test_a_refused_handshake_is_one_line_and_no_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("info", "json")
    async with Simulator(SimulatorConfig(profile="instant", voice="hum")) as simulator:
        async with running_gateway(settings_for(simulator)) as url:
            with pytest.raises(InvalidStatus):
                await connect(f"{url}a%2Fb/", proxy=None)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["code"] for line in lines if line["event"] == "refused"] == ["invalid-session-id"]
    assert [line for line in lines if line["level"] == "error"] == []
