"""The lines by which a client comes and goes."""

import asyncio

import pytest
from starlette.requests import HTTPConnection
from structlog.testing import capture_logs

from app.api.access import Grant
from app.api.session_log import MAX_USER_AGENT_CHARS, SessionLog

GRANT = Grant("anonymous", "203.0.113.7")


def client(user_agent: bytes = b"Mozilla/5.0") -> HTTPConnection:
    return HTTPConnection({"type": "websocket", "headers": [(b"user-agent", user_agent)]})


async def test_a_client_comes_and_goes() -> None:
    log = SessionLog()
    with capture_logs() as lines:
        with log.recording("s", client(b"x" * 500), GRANT, protocol="native") as record:
            record.bytes_in, record.bytes_out = 7, 70
            record.ended_by = "session-expired"
        log.log_stop()
    came, gone, stopped = lines
    assert (came["address"], came["protocol"]) == ("203.0.113.7", "native")
    assert len(came["user_agent"]) == MAX_USER_AGENT_CHARS
    assert (gone["why"], gone["turns"], gone["bytes_in"], gone["bytes_out"]) == (
        *("session-expired", 0),
        *(7, 70),
    )
    assert (stopped["sessions"], stopped["ended"]) == (1, {"session-expired": 1})


@pytest.mark.parametrize(
    ("error", "why"), [(RuntimeError, "internal"), (asyncio.CancelledError, "shutdown")]
)
async def test_a_session_that_ends_by_an_error_is_counted(
    error: type[BaseException], why: str
) -> None:
    log = SessionLog()
    with pytest.raises(error), log.recording("s", client(), GRANT, protocol="native"):
        raise error
    assert (log.begun, log.ended) == (1, {why: 1})
