"""Programs in the documents, to be run unchanged, and their tables."""

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


def table(document: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its first two lines."""
    section = text_of(document).split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") or line[:2] == "|-"]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]
