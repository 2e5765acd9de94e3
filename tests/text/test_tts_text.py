"""Which text is synthesized of a text that is displayed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.text.tts_text import tts_text
from tests.text.sentence_corpus import TTS_TEXTS
from tests.text.texts import joined_words, speakable


@pytest.mark.parametrize(
    ("displayed", "spoken"), TTS_TEXTS, ids=[text[:24] for text, _ in TTS_TEXTS]
)
def test_the_text_that_is_synthesized_is_what_the_corpus_says(displayed: str, spoken: str) -> None:
    assert tts_text(displayed) == spoken


@settings(max_examples=300, deadline=None)
@given(joined_words(30))
def test_it_has_no_character_that_is_not_displayed_and_keeps_the_order(text: str) -> None:
    displayed = iter(speakable(text))
    assert all(char in displayed for char in speakable(tts_text(text)))


@settings(max_examples=100, deadline=None)
@given(st.text("ابتم .!؟،ًx3ـ", max_size=200))
def test_that_of_plain_text_has_all_its_speakable_characters(text: str) -> None:
    assert speakable(tts_text("ن " + text)) == speakable("ن " + text)
