"""Types that several rooms share: languages, dialects and voices."""

from dataclasses import dataclass
from typing import Literal

Dialect = Literal[
    "pls", "egy", "syr", "irq", "jor", "leb", "ksa", "uae", "bah", "qat", "kuw", "oma",
    "msa", "ar-sa", "en",
]  # fmt: skip
"""The dialects that the provider documents (`docs/hamsa.md`). Speakers are not listed: there are
over a hundred, and more each month."""

Language = Literal["ar", "en"]
"""Languages of speech, and of status and error texts."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice: who speaks, in which dialect."""

    speaker: str
    """The provider's name of a voice, or the UUID of a cloned one."""
    dialect: Dialect
