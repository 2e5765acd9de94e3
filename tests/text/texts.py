"""Random texts of all that the rules of splitting and of synthesis look at."""

from hypothesis import strategies as st

from app.text.speakable import is_speakable

VOCABULARY = (
    "نعم شحنتك شُحِنَتْ مرحبـــاً د. أ. ص.ب. Mr. e.g. تم. تم؟ لا! ؟! … لحظة... ثم لك لكن، 3.5 ١٬٢٥٠ "
    '10:30 NQL.123 1. 2. - – • أولاً، العنوان: وصلت؛ «قال قال.» ( ) " “ ” ** *مهم* `رمز` '
    "[هنا](https://x.sa/a) https://x.sa/b. a_b@x.sa 😊 👨\u200d👩\u200d👧 &amp; <b> </b> "
    "\u200fتم.\u200f \u200e \u061cنص word يستقبل"
)
WORDS = st.sampled_from([*VOCABULARY.split(), "م" * 70])
SPACES = st.sampled_from([" ", " ", " ", " ", "\n", "\r\n", "  ", "\t", "\n\n", ""])


def joined_words(max_size: int) -> st.SearchStrategy[str]:
    """Texts of so many words at most, each with the white space after it."""
    return st.lists(st.tuples(WORDS, SPACES).map("".join), max_size=max_size).map("".join)


LOOSE = st.text('ابتم .!?؟…\n،؛:"«»)3x ً\u200f\u0640-*', max_size=300)
TEXTS = st.one_of(joined_words(90), LOOSE)


def speakable(text: str) -> str:
    """Return the characters of a text that are pronounced."""
    return "".join(char for char in text if is_speakable(char))
