"""The splitter: where chunks end, however the text arrives; and what of them is read out."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.pipeline import events
from app.pipeline.components import PipelineComponents
from app.pipeline.session import Session
from app.text.sentence_splitter import FIRST_CHARS, MIN_CHARS, REST_CHARS, SentenceSplitter
from app.text.speakable import is_speakable
from app.text.tts_text import tts_text
from tests.pipeline.fakes import STYLE, FakeAgent, FakeTranscriber, Recorder
from tests.text.sentence_corpus import CHUNKS, LONG, SPOKEN
from tests.transports.fakes import FakeTransport

MARKED = [(room, text) for room, texts in CHUNKS.items() for text in texts]


def split(*pieces: str, **limits: int) -> list[str]:
    splitter = SentenceSplitter(**limits)
    return [chunk for piece in pieces for chunk in splitter.feed(piece)] + splitter.flush()


def sliced(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def speakable(text: str) -> str:
    return "".join(char for char in text if is_speakable(char))


def test_the_corpus_is_large_enough() -> None:
    assert len(MARKED) >= 60


@pytest.mark.parametrize(("room", "marked"), MARKED, ids=[text[-24:] for _, text in MARKED])
def test_chunks_end_where_the_corpus_says(room: str, marked: str) -> None:
    expected = [part.strip() for part in marked.split("¦")]
    text = marked.replace("¦", "")
    assert split(text) == expected, room
    assert split(*text) == expected, room
    assert split(*sliced(text, 7)) == expected, room


@pytest.mark.parametrize("text", ["", "   \n ", "\n\n"])
def test_nothing_makes_no_chunk(text: str) -> None:
    assert split(text) == []


@pytest.mark.parametrize(("written", "spoken"), SPOKEN, ids=[text[:24] for text, _ in SPOKEN])
def test_what_is_read_out_is_what_the_corpus_says(written: str, spoken: str) -> None:
    assert tts_text(written) == spoken


def released_after(text: str, **limits: int) -> str:
    """Return how much of the text was written when its first chunk came out."""
    splitter = SentenceSplitter(**limits)
    for at, char in enumerate(text):
        if splitter.feed(char):
            return text[: at + 1]
    return "all of it, and the end"


def test_a_sentence_is_released_as_soon_as_its_end_is_certain() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed(f"{LONG}.") == []
    assert splitter.feed(" ") == [f"{LONG}."]
    assert splitter.feed(f"{LONG}\n") == [LONG]


@pytest.mark.parametrize(
    ("text", "until"),
    [
        (f"{LONG}... نعم وجدتها", f"{LONG}... ن"),  # no word that continues begins so
        (f"{LONG}... لك شحنة", f"{LONG}... لك "),  # «لكن» does
        (f"{LONG}؟! تم", f"{LONG}؟! "),
        (
            "أهلاً بك في خدمة العملاء، كيف يمكنني أن أخدمك",
            "أهلاً بك في خدمة العملاء، كيف يمكنني",
        ),
    ],
)
def test_a_doubtful_end_waits_for_the_characters_that_decide(text: str, until: str) -> None:
    assert released_after(text) == until


def test_without_a_first_size_the_first_chunk_is_a_whole_sentence() -> None:
    text = "أهلاً بك يا أستاذ أحمد في ناقل، كيف يمكنني أن أخدمك اليوم؟ نعم."
    assert (
        split(text, first_chars=0)[0] == "أهلاً بك يا أستاذ أحمد في ناقل، كيف يمكنني أن أخدمك اليوم؟"
    )
    assert split(text, first_chars=28)[0] == "أهلاً بك يا أستاذ أحمد في ناقل،"
    short = "أهلاً بك في خدمة العملاء. كيف أخدمك اليوم يا أستاذ أحمد؟"
    assert split(short, first_chars=0) == [short]


def test_each_answer_has_a_first_chunk() -> None:
    splitter = SentenceSplitter()
    text = "شحنتك في الطريق إليك الآن. ستصل غداً."
    for _ in range(2):
        assert splitter.feed(text) == ["شحنتك في الطريق إليك الآن."]
        assert splitter.flush() == ["ستصل غداً."]


def test_what_has_no_words_is_not_released_by_itself() -> None:
    assert split("😊 " * 30 + f"\n{LONG}. تم") == ["😊 " * 30 + f"\n{LONG}.", "تم"]


def test_a_text_without_end_is_cut_at_a_clause_or_between_words_and_never_exceeds_the_limit() -> (
    None
):
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


@pytest.mark.parametrize("rut", ["!", "ه.", "؟!"])
def test_a_model_that_is_stuck_costs_no_more_than_one_that_is_not(rut: str) -> None:
    stuck = rut * (600_000 // len(rut))  # a minute and more, were each word begun anew each time
    assert "".join(split("نعم " + stuck)) == "نعم" + stuck


def test_a_long_word_is_not_cut_to_fill_the_chunk_before_it() -> None:
    assert [len(part) for part in split("كلمة " + "x" * 1999 + " تم")] == [4, 1999, 2]


VOCABULARY = (
    "نعم شحنتك شُحِنَتْ مرحبـــاً د. أ. ص.ب. Mr. e.g. تم. تم؟ لا! ؟! … لحظة... ثم لك لكن، 3.5 ١٬٢٥٠ "
    '10:30 NQL.123 1. 2. - – • أولاً، العنوان: وصلت؛ «قال قال.» ( ) " “ ” ** *مهم* `رمز` '
    "[هنا](https://x.sa/a) https://x.sa/b. a_b@x.sa 😊 👨\u200d👩\u200d👧 &amp; <b> </b> "
    "\u200fتم.\u200f \u200e \u061cنص word يستقبل"
)
WORDS = st.sampled_from([*VOCABULARY.split(), "م" * 70])
SPACES = st.sampled_from([" ", " ", " ", " ", "\n", "\r\n", "  ", "\t", "\n\n", ""])
LOOSE = st.text('ابتم .!?؟…\n،؛:"«»)3x ً\u200f\u0640-*', max_size=300)
TEXTS = st.one_of(
    st.lists(st.tuples(WORDS, SPACES).map("".join), max_size=90).map("".join),
    LOOSE,
)
FIRST = st.sampled_from([0, FIRST_CHARS])


@settings(max_examples=700, deadline=None)
@given(TEXTS, st.lists(st.integers(1, 60), max_size=40), st.sampled_from([120, 2000]), FIRST)
def test_however_the_text_is_sliced_the_chunks_are_the_same(
    text: str, sizes: list[int], most: int, first: int
) -> None:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(text[at : at + size])
        at += size
    whole = split(text, max_chars=most, first_chars=first)
    assert split(*pieces, text[at:], max_chars=most, first_chars=first) == whole


def parted(text: str) -> list[str]:
    """Return the words, those as well for which a space was forgotten: «تم.ثم»."""
    return re.sub(r"([.!؟])(?=[^\W\d_a-zA-Z])", r"\1 ", text).split()


@settings(max_examples=700, deadline=None)
@given(TEXTS, st.sampled_from([80, 120, 2000]), FIRST)
@example("م" * 77 + ".ب. ", 80, 0)
def test_joined_the_chunks_are_the_text_and_no_word_that_fits_is_cut(
    text: str, most: int, first: int
) -> None:
    chunks = split(text, max_chars=most, first_chars=first)
    assert "".join("".join(chunks).split()) == "".join(text.split())
    assert all(0 < len(chunk) <= most for chunk in chunks)
    if all(len(word) <= most for word in text.split()):
        assert parted(" ".join(chunks)) == parted(text)


@settings(max_examples=300, deadline=None)
@given(TEXTS, FIRST)
def test_only_the_first_sentence_and_the_last_chunk_are_short(text: str, first: int) -> None:
    chunks = split(text, first_chars=first)
    least = [first or MIN_CHARS, MIN_CHARS]
    if first and re.search(r"[،,:;؛–—]\W*$", chunks[0] if chunks else ""):
        least[1] = FIRST_CHARS  # it may go on with the sentence of the first
    for at, chunk in enumerate(chunks[:-1]):
        assert len(chunk) >= (least[at] if at < 2 else MIN_CHARS)
    if first and len(chunks) == 2 and re.search(r"[،,:–]$", chunks[0]) and "\n" not in text:
        assert len(chunks[1]) >= REST_CHARS


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(WORDS, SPACES).map("".join), max_size=30).map("".join))
def test_the_spoken_form_says_nothing_that_is_not_written_and_keeps_the_order(text: str) -> None:
    written = iter(speakable(text))
    assert all(char in written for char in speakable(tts_text(text)))


@settings(max_examples=100, deadline=None)
@given(st.text("ابتم .!؟،ًx3ـ", max_size=200))
def test_the_spoken_form_of_plain_text_has_all_its_speakable_characters(text: str) -> None:
    assert speakable(tts_text("ن " + text)) == speakable("ن " + text)


async def speak(answer: str, **stages: int) -> tuple[list[str], list[str]]:
    """Let an agent give this answer; return what is shown of it and what is sent to be spoken."""
    recorder = Recorder()
    transport = FakeTransport([[b"\x01\x00" * 1600], [b"\x01\x00" * 1600]])
    parts = PipelineComponents(
        FakeTranscriber(), FakeAgent([answer]), transport, max_utterance_s=120, **stages
    )
    async with Session("s", parts, STYLE, recorder.emit) as session:
        await session.begin("أين شحنتي؟")
        await recorder.until(events.TurnDone)
    return [event.text for event in recorder.of(events.SentenceStarted)], transport.texts


async def test_a_client_is_shown_what_is_written_and_hears_its_spoken_form() -> None:
    shown, spoken = await speak(f"**{LONG}.** 😊\n- [تتبع](https://x.sa/t)")
    assert shown == [f"**{LONG}.**", "😊\n- [تتبع](https://x.sa/t)"]
    assert spoken == [f"{LONG}.", "تتبع"]


async def test_what_is_only_shown_is_not_sent_to_be_spoken() -> None:
    assert await speak(f"{LONG}\nhttps://naqel.com.sa/track") == ([LONG], [LONG])


async def test_a_turn_begins_to_speak_at_the_clause_that_its_stages_allow() -> None:
    text = "أهلاً بك في خدمة العملاء، كيف يمكنني أن أخدمك اليوم؟"
    assert await speak(text, first_chunk_min_chars=0) == ([text], [text])
    assert (await speak(text))[0] == ["أهلاً بك في خدمة العملاء،", text.partition("، ")[2]]
