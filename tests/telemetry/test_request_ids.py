"""Ids of requests: whose they are, and which are refused."""

import pytest
from starlette.datastructures import Headers

from app.telemetry.request_ids import MAX_ID_CHARS, origin_of


@pytest.mark.parametrize(
    "sent",
    ["7f3c2a", "0af76519-16cd-43dd-8448-eb211c80319c", "Root=1-67891233-abc", "x" * MAX_ID_CHARS],
)
def test_a_client_may_bring_its_own_id(sent: str) -> None:
    origin = origin_of(Headers({"X-Request-Id": sent}))
    assert (origin.request_id, origin.turn_id(3)) == (sent, f"{sent}-3")


@pytest.mark.parametrize(
    "sent",
    ["", "x" * (MAX_ID_CHARS + 1), "two words", 'a"b', "a\u00e9", "a\x1b[2J", "a\r\nb: c", "{}"],
)
def test_any_other_id_is_replaced(sent: str) -> None:
    first, second = (origin_of({"x-request-id": sent}) for _ in range(2))
    assert len(first.request_id) == 16
    assert first.request_id != second.request_id


def test_the_span_of_a_client_is_kept_as_it_was_sent() -> None:
    assert origin_of({"traceparent": "nonsense"}).traceparent == "nonsense"
    assert origin_of({}).traceparent is None
