"""What a log line may hold of texts that come from outside."""

import pytest

from app.telemetry.redaction import MAX_VALUE_CHARS, Redactor

KEY = "sk-hamsa-123456"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain", "plain"),
        (f"bad key {KEY}!", "bad key ***!"),
        (f"{KEY}{KEY}", "******"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\u202eright to left", "\\u202eright to left"),
        ("\u2067isolate", "\\u2067isolate"),
        ("null\x00", "null\\x00"),
        ("أين شحنتي؟ 😊", "أين شحنتي؟ 😊"),
        ("lone \ud800 half", "lone \ud800 half"),
    ],
)
def test_a_value_is_masked_and_escaped(text: str, clean: str) -> None:
    assert Redactor([KEY, "tiny"]).value(text) == clean


def test_a_value_is_cut() -> None:
    assert Redactor().value("x" * 1_000_000) == "x" * MAX_VALUE_CHARS + "…"
    assert len(Redactor().value("\x1b" * 1_000_000)) == MAX_VALUE_CHARS + 1


def test_a_secret_is_masked_before_the_cut() -> None:
    text = "x" * (MAX_VALUE_CHARS - 4) + KEY
    assert KEY[:4] not in Redactor([KEY]).value(text)


def test_the_longer_of_two_secrets_is_masked_whole() -> None:
    assert Redactor([KEY, KEY + "-more"]).mask(f"{KEY}-more {KEY}") == "*** ***"


def test_values_inside_a_list_are_cleaned_too() -> None:
    event = {"faults": [KEY, 3], "count": 7, "event": f"\x1b{KEY}"}
    assert Redactor([KEY])(None, "info", event) == {
        "faults": ["***", 3],
        "count": 7,
        "event": "\\x1b***",
    }


def test_a_traceback_keeps_its_lines() -> None:
    assert Redactor([KEY]).traceback(f"a\n  b {KEY}\n\x1bc") == "a\n  b ***\n\\x1bc"
