"""Logging: one line an event, in both formats."""

import io
import json
import logging
import sys

import pytest
import structlog
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from app.telemetry import logs
from tests.gateway import instant_simulator, running_gateway, settings_for
from tests.telemetry.log_lines import FORMATS, KEY, Format, lines_of

LIBRARIES = [
    "websockets.client",
    "websockets",
    "aiohttp",
    "httpx",
    "httpcore.http11",
    "asyncio",
    "hpack.hpack",
]


@pytest.mark.parametrize("format", FORMATS)
def test_an_event_of_ours_or_of_a_library_is_one_line(
    format: Format, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", format)
    structlog.get_logger().info("turn", turn=3, text="سلام", reason="two\nlines")
    logging.getLogger("library").warning("%s is odd", "this")
    ours, theirs = lines_of(capsys)
    for word in ("info", "turn", "سلام"):
        assert word in ours
    for word in ("warning", "this is odd"):
        assert word in theirs


@pytest.mark.parametrize("error", [BrokenPipeError, OSError, ValueError])
def test_a_log_that_cannot_be_written_raises_nothing(
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


def test_json_lines_hold_time_level_event_and_values(
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
    assert (theirs["event"], theirs["level"], theirs["session"]) == (
        "worse\\nstill",
        "error",
        "s-1",
    )


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
    format: Format, logger: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", format)
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
def test_events_below_the_level_are_not_logged(
    level: str, shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(level, "json")
    log = structlog.get_logger()
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("event")
    assert [json.loads(line)["level"] for line in lines_of(capsys)] == shown


@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_log_nothing_below_warnings_though_the_level_is_debug(
    library: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("debug", "console")
    logger = logging.getLogger(library)
    logger.debug("> X-Api-Key: %s", KEY)
    logger.info("> X-Api-Key: %s", KEY)
    assert lines_of(capsys) == []
    logger.warning("odd")
    assert len(lines_of(capsys)) == 1


EVIL_PAGE = Origin("https://evil.example")


async def test_refused_handshakes_are_one_line_for_each_code_and_no_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("info", "json")
    async with instant_simulator() as simulator:
        async with running_gateway(settings_for(simulator)) as url:
            for path, origin in [
                ("a%2Fb/", None),
                ("a%2Fb/", None),
                ("a/", EVIL_PAGE),
            ]:
                with pytest.raises(InvalidStatus):
                    await connect(f"{url}{path}", origin=origin, proxy=None)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    codes = [line["code"] for line in lines if line["event"] == "refused"]
    assert codes == ["invalid-session-id", "origin-not-allowed"]
    assert [line for line in lines if line["level"] == "error"] == []
