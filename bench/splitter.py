"""What the splitter costs, and that it grows no faster than the text."""

import time

from app.text.sentence_splitter import SentenceSplitter
from bench.results import Result, Table

PIECE_CHARS = 4
SIZES = {"100 KB": 100_000, "1 MB": 1_000_000}
REPEATS = 3
TEXTS = {
    "an agent's answers": (
        "أهلاً بك يا أستاذ أحمد في ناقل إكسبرس، كيف أخدمك اليوم؟! شحنتك رقم NQL.123 خرجت "
        "للتوصيل الساعة 10:30. قال المندوب: «سأصل قريباً. انتظرني.» شكراً... ثم ماذا؟ "
    ),
    "no end anywhere": "كلمة أخرى ",
    "one endless word": "م",
    "quotes never closed": "«كلمة، ",
    "ellipses in doubt": "كلمة... لك ",
}


def run() -> Result:
    """Feed texts of two sizes in pieces of four characters; the ratio should be about ten."""
    rows = []
    for name, text in TEXTS.items():
        small, large = (_best_s(text, size) for size in SIZES.values())
        verdict = "ok" if large / small <= 15 else "not in proportion"
        rows.append((name, small * 1000, large * 1000, large / small, verdict))
    table = Table(
        f"The splitter, fed {PIECE_CHARS} characters at a time, best of {REPEATS}",
        ("text", *(f"{size} in ms" for size in SIZES), "ratio", "in proportion"),
        rows,
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
