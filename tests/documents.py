"""Programs in the documents, to be run unchanged."""

import re
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def text_of(document: str) -> str:
    return (DOCS / document).read_text("utf-8")


def block(document: str, language: str) -> str:
    """Return the only block of code in this language."""
    text = text_of(document)
    [code] = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(code)
