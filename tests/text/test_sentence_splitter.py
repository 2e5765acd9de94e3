"""The sentence splitter: where chunks end, however the text is divided into pieces."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.text.sentence_splitter import (
    FIRST_CHARS,
    MIN_CHARS,
    MIN_REMAINDER_CHARS,
    SentenceSplitter,
)
from tests.text.sentence_corpus import CHUNKS, LONG
from tests.text.texts import TEXTS

MARKED = [(subject, text) for subject, texts in CHUNKS.items() for text in texts]


def split(*pieces: str, **limits: int) -> list[str]:
    splitter = SentenceSplitter(**limits)
    return [chunk for piece in pieces for chunk in splitter.feed(piece)] + splitter.flush()


def sliced(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def test_the_corpus_is_large_enough() -> None:
    assert len(MARKED) >= 60


@pytest.mark.parametrize(("subject", "marked"), MARKED, ids=[text[-24:] for _, text in MARKED])
def test_chunks_end_where_the_corpus_says(subject: str, marked: str) -> None:
    expected = [part.strip() for part in marked.split("¦")]
    text = marked.replace("¦", "")
    assert split(text) == expected, subject
    assert split(*text) == expected, subject
    assert split(*sliced(text, 7)) == expected, subject


@pytest.mark.parametrize("text", ["", "   \n ", "\n\n"])
def test_white_space_makes_no_chunk(text: str) -> None:
    assert split(text) == []


def read_until_first_chunk(text: str, **limits: int) -> str:
    """Return how much of the text is fed when its first chunk is returned."""
    splitter = SentenceSplitter(**limits)
    for at, char in enumerate(text):
        if splitter.feed(char):
            return text[: at + 1]
    return "no chunk before the end"


def test_a_sentence_is_returned_as_soon_as_its_end_is_certain() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed(f"{LONG}.") == []
    assert splitter.feed(" ") == [f"{LONG}."]
    assert splitter.feed(f"{LONG}\n") == [LONG]


@pytest.mark.parametrize(
    ("text", "until"),
    [
        (f"{LONG}... نعم وجدتها", f"{LONG}... ن"),  # no continuation word begins so
        (f"{LONG}... لك شحنة", f"{LONG}... لك "),  # «لكن» does
        (f"{LONG}؟! تم", f"{LONG}؟! "),
        (
            "أهلاً بك في خدمة العملاء، كيف يمكنني أن أخدمك",
            "أهلاً بك في خدمة العملاء، كيف يمكنني",
        ),
    ],
)
def test_an_ambiguous_boundary_waits_for_the_characters_that_decide(text: str, until: str) -> None:
    assert read_until_first_chunk(text) == until


def test_without_a_first_size_the_first_chunk_is_a_whole_sentence() -> None:
    text = "أهلاً بك يا أستاذ أحمد في ناقل، كيف يمكنني أن أخدمك اليوم؟ نعم."
    assert (
        split(text, first_chars=0)[0] == "أهلاً بك يا أستاذ أحمد في ناقل، كيف يمكنني أن أخدمك اليوم؟"
    )
    assert split(text, first_chars=28)[0] == "أهلاً بك يا أستاذ أحمد في ناقل،"
    short = "أهلاً بك في خدمة العملاء. كيف أخدمك اليوم يا أستاذ أحمد؟"
    assert split(short, first_chars=0) == [short]


def test_each_response_has_a_first_chunk() -> None:
    splitter = SentenceSplitter()
    text = "شحنتك في الطريق إليك الآن. ستصل غداً."
    for _ in range(2):
        assert splitter.feed(text) == ["شحنتك في الطريق إليك الآن."]
        assert splitter.flush() == ["ستصل غداً."]


def test_text_without_words_is_no_chunk_by_itself() -> None:
    assert split("😊 " * 30 + f"\n{LONG}. تم") == ["😊 " * 30 + f"\n{LONG}.", "تم"]


def test_endless_text_is_cut_at_a_clause_or_between_words_and_never_exceeds_the_limit() -> None:
    text = " ".join(["كلمة"] * 40 + ["فاصلة،"] + ["أخرى"] * 2000)
    chunks = split(text, max_chars=300, first_chars=0)
    assert all(len(chunk) <= 300 for chunk in chunks)
    assert chunks[0].endswith("فاصلة،")
    assert " ".join(chunks) == text


@pytest.mark.parametrize("blanks", range(12))
def test_a_clause_near_the_limit_does_not_exceed_it(blanks: int) -> None:
    text = " ".join(["كلمة"] * 398) + "، " + " " * blanks + "قد تم تم تم"
    assert max(map(len, split(text))) <= 2000


def test_a_single_endless_word_is_cut_at_the_limit() -> None:
    assert [len(part) for part in split("x" * 4500)] == [2000, 2000, 500]


@pytest.mark.parametrize("repeated", ["!", "ه.", "؟!"])
def test_a_model_that_repeats_itself_costs_no_more_than_another(repeated: str) -> None:
    stuck = repeated * (600_000 // len(repeated))  # over a minute if the cost were quadratic
    assert "".join(split("نعم " + stuck)) == "نعم" + stuck


def test_a_long_word_is_not_cut_to_fill_the_chunk_before_it() -> None:
    assert [len(part) for part in split("كلمة " + "x" * 1999 + " تم")] == [4, 1999, 2]


FIRST = st.sampled_from([0, FIRST_CHARS])


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.lists(st.integers(1, 60), max_size=40), st.sampled_from([120, 2000]), FIRST)
def test_the_chunks_do_not_depend_on_how_the_text_is_divided(
    text: str, sizes: list[int], most: int, first: int
) -> None:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(text[at : at + size])
        at += size
    whole = split(text, max_chars=most, first_chars=first)
    assert split(*pieces, text[at:], max_chars=most, first_chars=first) == whole


def words_of(text: str) -> list[str]:
    """Return the words; also where the space between two was forgotten: «تم.ثم»."""
    return re.sub(r"([.!؟])(?=[^\W\d_a-zA-Z])", r"\1 ", text).split()


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.sampled_from([80, 120, 2000]), FIRST)
@example("م" * 77 + ".ب. ", 80, 0)
def test_joined_the_chunks_are_the_text_and_no_word_that_fits_is_cut(
    text: str, most: int, first: int
) -> None:
    chunks = split(text, max_chars=most, first_chars=first)
    assert "".join("".join(chunks).split()) == "".join(text.split())
    assert all(0 < len(chunk) <= most for chunk in chunks)
    if all(len(word) <= most for word in text.split()):
        assert words_of(" ".join(chunks)) == words_of(text)


@settings(max_examples=300, deadline=None)
@given(TEXTS, FIRST)
def test_only_the_first_sentence_and_the_last_chunk_are_short(text: str, first: int) -> None:
    chunks = split(text, first_chars=first)
    least = [first or MIN_CHARS, MIN_CHARS]
    if first and re.search(r"[،,:;؛–—]\W*$", chunks[0] if chunks else ""):
        least[1] = FIRST_CHARS  # it may continue the sentence of the first
    for at, chunk in enumerate(chunks[:-1]):
        assert len(chunk) >= (least[at] if at < 2 else MIN_CHARS)
    if first and len(chunks) == 2 and re.search(r"[،,:–]$", chunks[0]) and "\n" not in text:
        assert len(chunks[1]) >= MIN_REMAINDER_CHARS
