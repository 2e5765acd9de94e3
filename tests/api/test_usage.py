"""How much clients may use."""

from contextlib import AsyncExitStack
from typing import Any

import pytest

from app.api.access import ANONYMOUS, Grant
from app.api.usage import Usage, UsageLimits
from app.errors import AccessDeniedError, UsageLimitError

ACME = Grant("acme", "203.0.113.9")
OTHER = Grant("other", "203.0.113.10")
STRANGER = Grant(ANONYMOUS, "203.0.113.11")
HERE = Grant(ANONYMOUS, "127.0.0.1")

NONE = {
    "sessions": 0,
    "sessions_per_key": 0,
    "sessions_per_address": 0,
    "new_sessions_per_minute": 0,
}


def usage(**limits: int) -> Usage:
    return Usage(UsageLimits(**{**NONE, **limits}))


async def refusal(counted: Usage, grant: Grant) -> tuple[int, str, int | None]:
    with pytest.raises(AccessDeniedError) as caught:
        async with counted.session(grant):
            pytest.fail("must not be opened")
    return caught.value.status, caught.value.code, caught.value.retry_after_s


@pytest.mark.parametrize(
    ("limits", "inside", "refused", "expected"),
    [
        ({"sessions": 2}, [ACME, OTHER], STRANGER, (503, "too-many-sessions")),
        ({"sessions_per_key": 2}, [ACME, ACME], ACME, (429, "too-many-sessions-of-key")),
        (
            {"sessions_per_address": 2},
            [STRANGER, STRANGER],
            STRANGER,
            (429, "too-many-sessions-of-address"),
        ),
        (
            {"new_sessions_per_minute": 2},
            [STRANGER, STRANGER],
            STRANGER,
            (429, "too-many-new-sessions"),
        ),
    ],
)
async def test_each_limit_refuses_with_its_code(
    limits: dict[str, int], inside: list[Grant], refused: Grant, expected: tuple[int, str]
) -> None:
    counted = usage(**limits)
    async with AsyncExitStack() as stack:
        for grant in inside:
            await stack.enter_async_context(counted.session(grant))
        status, code, retry_after_s = await refusal(counted, refused)
        assert (status, code) == expected
        assert retry_after_s
        assert counted.sessions == len(inside)
    assert counted.sessions == 0
    assert counted.refused == {code: 1}


async def test_a_place_is_given_back() -> None:
    counted = usage(sessions=1, sessions_per_key=1, sessions_per_address=1)
    for _ in range(3):
        async with counted.session(ACME):
            assert counted.sessions == 1


async def test_this_machine_has_no_limit_of_an_address() -> None:
    counted = usage(sessions_per_address=1, new_sessions_per_minute=1)
    async with counted.session(HERE), counted.session(HERE), counted.session(HERE):
        assert counted.sessions == 3


async def test_others_are_not_touched_by_one_who_uses_too_much() -> None:
    counted = usage(turns_per_minute=2)
    for _ in range(2):
        await counted.take_turn(ACME)
    with pytest.raises(UsageLimitError, match="2 turns in a minute"):
        await counted.take_turn(ACME)
    await counted.take_turn(OTHER)
    await counted.take_turn(STRANGER)
    assert counted.refused == {"turns-per-minute": 1}


@pytest.mark.parametrize(
    ("limit", "period"), [("chars_per_minute", "minute"), ("chars_per_day", "day")]
)
async def test_characters_are_counted_by_their_number(limit: str, period: str) -> None:
    limits: dict[str, Any] = {limit: 100}
    counted = usage(**limits)
    await counted.take_chars(ACME, 60)
    with pytest.raises(UsageLimitError, match=f"100 characters in a {period}"):
        await counted.take_chars(ACME, 60)
    await counted.take_chars(ACME, 40)
