"""Completeness against the text, in a table."""

import pytest

from app.audio import PCM16_16K
from app.text.speakable import is_speakable, speakable_chars
from app.transports.completeness import min_expected_duration_ms

MEASURED = [(32, 83_000), (65, 210_000), (89, 274_000), (111, 395_000)]
"""Characters of a text and bytes of its complete stream (`docs/hamsa.md`, Speech rate)."""


@pytest.mark.parametrize(("chars", "size"), MEASURED)
def test_the_measured_streams_are_complete_and_a_third_of_each_is_not(
    chars: int, size: int
) -> None:
    text = "ب" * chars
    assert PCM16_16K.duration_ms(size) >= min_expected_duration_ms(text)
    assert PCM16_16K.duration_ms(size // 3) < min_expected_duration_ms(text)


@pytest.mark.parametrize("text", ["و", "لا", "نعم.", "5", "أهلاً وسهلاً بك في خدمة العملاء."])
def test_640_bytes_are_complete_for_no_text(text: str) -> None:
    assert PCM16_16K.duration_ms(640) < min_expected_duration_ms(text)


@pytest.mark.parametrize(("text", "ms"), [("لا", 250), ("نعم.", 300), ("تمام!", 350)])
def test_short_words_are_complete_at_the_length_they_are_spoken(text: str, ms: float) -> None:
    assert ms >= min_expected_duration_ms(text)


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
