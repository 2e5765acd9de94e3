"""Lines that strangers can cause."""

from structlog.testing import capture_logs

from app.telemetry.log_limiter import LogLimiter


def test_a_flood_of_refusals_is_one_line_with_a_number() -> None:
    limiter = LogLimiter(interval_s=10)
    with capture_logs() as lines:
        for now in range(12):
            limiter.warning(now, "connection refused", reason="too-many-pending")
    assert [line["repeated"] for line in lines] == [0, 9]
