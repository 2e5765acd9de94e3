"""The splitter: where sentences end, however the text arrives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.pipeline.sentences import SentenceSplitter

LONG = "أهلاً وسهلاً بك في خدمة العملاء لشركة ناقل إكسبرس في الرياض"  # over 50 characters


def split(*pieces: str, **limits: int) -> list[str]:
    splitter = SentenceSplitter(**limits)
    return [sentence for piece in pieces for sentence in splitter.feed(piece)] + splitter.flush()


CASES: list[tuple[str, list[str]]] = [
    ("", []),
    ("   \n ", []),
    ("نعم.", ["نعم."]),
    (f"{LONG}. {LONG}؟", [f"{LONG}.", f"{LONG}؟"]),
    (f"{LONG}! تم", [f"{LONG}!", "تم"]),
    (f"{LONG}؟! تم", [f"{LONG}؟!", "تم"]),
    (f"{LONG}... تم", [f"{LONG}...", "تم"]),
    (f"{LONG}\nتم", [LONG, "تم"]),
    (f"{LONG}\r\nتم", [LONG, "تم"]),
    (f"«{LONG}.» تم", [f"«{LONG}.»", "تم"]),
    # shorter than 50 characters: joined to what follows
    (f"نعم. طبعاً. {LONG}. تم", [f"نعم. طبعاً. {LONG}.", "تم"]),
    ("سطر أول.\nسطر ثانٍ.\n\nتم.", ["سطر أول.\nسطر ثانٍ.\n\nتم."]),
    # a terminator inside a word ends nothing
    (f"{LONG} بسعر 3.5 ريال. تم", [f"{LONG} بسعر 3.5 ريال.", "تم"]),
    (f"{LONG} رقم NQL.123 وصلت. تم", [f"{LONG} رقم NQL.123 وصلت.", "تم"]),
    # a comma is no end
    (f"{LONG}، {LONG}", [f"{LONG}، {LONG}"]),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text[-24:] for text, _ in CASES])
def test_sentences_end_where_they_should(text: str, expected: list[str]) -> None:
    assert split(text) == expected


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_a_piece_may_hold_the_end_of_one_sentence_and_the_beginning_of_the_next(size: int) -> None:
    for text, expected in CASES:
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert split(*pieces) == expected


def test_a_sentence_is_released_as_soon_as_its_end_is_certain() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed(f"{LONG}.") == []
    assert splitter.feed(" ") == [f"{LONG}."]
    assert splitter.feed(f"{LONG}\n") == [LONG]


def test_a_text_without_end_is_cut_at_a_clause_or_between_words_and_never_exceeds_the_limit() -> (
    None
):
    text = " ".join(["كلمة"] * 40 + ["فاصلة،"] + ["أخرى"] * 2000)
    sentences = split(text, max_chars=300)
    assert all(len(sentence) <= 300 for sentence in sentences)
    assert sentences[0].endswith("فاصلة،")
    assert " ".join(sentences) == text


def test_a_single_endless_word_is_cut_at_the_limit() -> None:
    assert [len(part) for part in split("x" * 4500)] == [2000, 2000, 500]


ALPHABET = 'ابتم .!?؟\n،"«»)3x ً'


@given(st.text(ALPHABET, max_size=400), st.lists(st.integers(1, 60), max_size=40))
def test_however_the_text_is_sliced_the_sentences_are_the_same(text: str, sizes: list[int]) -> None:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(text[at : at + size])
        at += size
    assert split(*pieces, text[at:], max_chars=120) == split(text, max_chars=120)


@given(st.text(ALPHABET, max_size=400))
def test_joined_they_hold_every_character_in_order(text: str) -> None:
    joined = "".join(split(text, max_chars=120))
    assert "".join(joined.split()) == "".join(text.split())
