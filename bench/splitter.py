"""CPU time of the sentence splitter, which must grow in proportion to the text."""

import time

from app.text.sentence_splitter import SentenceSplitter
from bench.results import Result, Table

PIECE_CHARS = 4
SIZES = {"100 KB": 100_000, "1 MB": 1_000_000}
REPEATS = 3
TEXTS = {
    "agent responses": (
        "أهلاً بك يا أستاذ أحمد في ناقل إكسبرس، كيف أخدمك اليوم؟! شحنتك رقم NQL.123 خرجت "
        "للتوصيل الساعة 10:30. قال المندوب: «سأصل قريباً. انتظرني.» شكراً... ثم ماذا؟ "
    ),
    "no sentence end": "كلمة أخرى ",
    "one endless word": "م",
    "unclosed quotes": "«كلمة، ",
    "ambiguous ellipses": "كلمة... لك ",
}
MAX_RATIO = 15


def run() -> Result:
    """Feed texts of two lengths, one ten times as long, in pieces of four characters."""
    rows = []
    for name, text in TEXTS.items():
        small, large = (_best_s(text, size) for size in SIZES.values())
        linear = "yes" if large / small <= MAX_RATIO else "no"
        rows.append((name, small * 1000, large * 1000, large / small, linear))
    table = Table(
        f"Sentence splitter, fed {PIECE_CHARS} characters at a time, best of {REPEATS} runs",
        ("text", *(f"{size} ms" for size in SIZES), "ratio", "linear"),
        rows,
        f"The second text is ten times as long as the first. Up to a ratio of {MAX_RATIO} the time "
        "counts as linear in the length.",
    )
    return Result("splitter", [table])


def _best_s(text: str, size: int) -> float:
    whole = (text * (size // len(text) + 1))[:size]
    return min(_once_s(whole) for _ in range(REPEATS))


def _once_s(text: str) -> float:
    started_at = time.perf_counter()
    splitter = SentenceSplitter()
    for at in range(0, len(text), PIECE_CHARS):
        splitter.feed(text[at : at + PIECE_CHARS])
    splitter.flush()
    return time.perf_counter() - started_at
