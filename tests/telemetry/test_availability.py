"""What is down is told when it goes and when it works again, and not in between."""

import structlog
from structlog.testing import capture_logs

from app.errors import AuthenticationError, ConnectError
from app.telemetry.availability import Availability


def test_what_is_down_is_told_once_and_once_that_it_works_again() -> None:
    availability = Availability("it is down", "it works again", transport="rest")
    refused = AuthenticationError("HTTP 401")
    refused.host = "api.example.com"
    with capture_logs() as lines:
        availability.on_success()
        availability.on_failure(refused)
        availability.on_failure(ConnectError("none"))
        assert availability.is_down
        availability.on_success()
        availability.on_success()
        availability.on_failure(refused)
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "it is down"),
        ("debug", "it is down"),
        ("info", "it works again"),
        ("warning", "it is down"),
    ]
    assert lines[0] == {
        "event": "it is down",
        "log_level": "warning",
        "transport": "rest",
        "code": "provider-authentication",
        "reason": "HTTP 401",
        "host": "api.example.com",
    }


def test_its_lines_belong_to_no_session() -> None:
    availability = Availability("it is down", "it works again")
    merged = [structlog.contextvars.merge_contextvars]
    with (
        structlog.contextvars.bound_contextvars(session="of-amal", turn=3),
        capture_logs(processors=merged) as lines,
    ):
        availability.on_failure(ConnectError("none"))
        availability.on_success()
        structlog.get_logger().info("another")
    assert ["session" in line for line in lines] == [False, False, True]
