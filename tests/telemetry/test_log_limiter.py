"""Lines that strangers can cause."""

from structlog.testing import capture_logs

from app.telemetry.log_limiter import LogLimiter


def test_a_flood_of_refusals_is_one_line_with_a_number() -> None:
    limiter = LogLimiter(interval_s=10)
    with capture_logs() as lines:
        for now in range(12):
            limiter.warning(now, "connection refused", reason="too-many-pending")
    assert [line["repeated"] for line in lines] == [0, 9]


def test_each_kind_of_line_has_its_own_limit() -> None:
    limiter = LogLimiter(interval_s=10.0)
    with capture_logs() as lines:
        limiter.info(0.0, "refused")
        limiter.warning(0.0, "bad_frame")
        limiter.info(1.0, "refused")
        limiter.info(10.0, "refused")
    assert [(line["event"], line["log_level"], line["repeated"]) for line in lines] == [
        ("refused", "info", 0),
        ("bad_frame", "warning", 0),
        ("refused", "info", 1),
    ]
