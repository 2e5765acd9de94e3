"""Lines that strangers can cause."""

from structlog.testing import capture_logs

from app.telemetry.log_limiter import MAX_KINDS, LogLimiter


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


def test_each_kind_has_a_line_of_its_own() -> None:
    limiter = LogLimiter(interval_s=10.0)
    with capture_logs() as lines:
        for code in ["full", "full", "no-key", "full", "no-key"]:
            limiter.info(0.0, "refused", kind=code, code=code)
        limiter.info(10.0, "refused", kind="full", code="full")
        limiter.info(10.0, "refused", kind="no-key", code="no-key")
    assert [(line["code"], line["repeated"]) for line in lines] == [
        ("full", 0),
        ("no-key", 0),
        ("full", 2),
        ("no-key", 1),
    ]


def test_kinds_without_number_share_a_limit() -> None:
    limiter = LogLimiter(interval_s=10.0)
    with capture_logs() as lines:
        for number in range(MAX_KINDS + 100):
            limiter.info(0.0, "refused", kind=f"code-{number}")
        limiter.info(10.0, "refused", kind="another")
    assert len(lines) == MAX_KINDS + 2
    assert lines[-1]["repeated"] == 99
