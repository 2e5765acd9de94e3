"""Completeness against the text, in a table."""

import pytest

from app.audio import PCM16_16K
from app.text.speakable import is_speakable, speakable_chars
from tests.transports.fakes import speech_request

MEASURED = [(32, 83_000), (65, 210_000), (89, 274_000), (111, 395_000)]
"""Characters of a text and bytes of its complete stream (`docs/hamsa.md`, Speech rate)."""


@pytest.mark.parametrize(("chars", "size"), MEASURED)
def test_the_measured_streams_are_complete_and_a_third_of_each_is_not(
    chars: int, size: int
) -> None:
    text = "ب" * chars
    assert PCM16_16K.duration_ms(size) >= speech_request(text).min_duration_ms
    assert PCM16_16K.duration_ms(size // 3) < speech_request(text).min_duration_ms


@pytest.mark.parametrize("text", ["و", "لا", "نعم.", "5", "أهلاً وسهلاً بك في خدمة العملاء."])
def test_640_bytes_are_complete_for_no_text(text: str) -> None:
    assert PCM16_16K.duration_ms(640) < speech_request(text).min_duration_ms


@pytest.mark.parametrize(("text", "ms"), [("لا", 250), ("نعم.", 300), ("تمام!", 350)])
def test_short_words_are_complete_at_the_length_they_are_spoken(text: str, ms: float) -> None:
    assert ms >= speech_request(text).min_duration_ms


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("…!؟", 0),
        ("😀", 0),
        ("ـــ", 0),
        ("نعم", 3),
        ("نَعَمْ", 3),
        ("نـــعم", 3),
        ("نعم ، نعم", 7),
        ("رقم ٣٫٥", 6),
        ("\u200fنعم\u200f", 3),
    ],
)
def test_only_speakable_characters_count(text: str, count: int) -> None:
    assert speakable_chars(text) == count
    assert is_speakable(text) == (count > 0)
