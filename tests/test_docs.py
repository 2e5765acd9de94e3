"""The documents link to what exists, and keep the shape that other tests and readers rely on."""

import re
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted(DOCS.rglob("*.md")),
]
SECTIONS = ["Context", "Decision", "Consequences", "What was measured", "When to revisit"]
"""The sections of every decision, in this order."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(path: Path) -> str:
    """The document without its code: what is in a block or between backticks is no link."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"^(```+|~~~+).*?^\1`*~*$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^(?: {4}|\t).*$", "", text, flags=re.MULTILINE)
    return re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", text)


def targets(path: Path) -> list[str]:
    """The relative targets of all links and pictures, `file#anchor`."""
    text = prose(path)
    found = re.findall(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)", text)
    found += re.findall(r"^\[[^\]]+\]:\s+(\S+)", text, flags=re.MULTILINE)
    found += re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    return [target for target in found if not re.match(r"[a-z][a-z0-9+.-]*:", target)]


def anchors(path: Path) -> set[str]:
    """The anchors that the usual hosts of repositories give to headings."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"^(```+|~~~+).*?^\1`*~*$", "", text, flags=re.MULTILINE | re.DOTALL)
    seen: Counter[str] = Counter()
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, flags=re.MULTILINE):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def is_dead(document: Path, target: str) -> bool:
    path, _, anchor = unquote(target).partition("#")
    file = (document.parent / path).resolve() if path else document
    if not file.exists() or not file.is_relative_to(ROOT):
        return True
    return bool(anchor) and file.suffix == ".md" and anchor not in anchors(file)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_relative_link_leads_to_a_file_and_its_anchor(document: Path) -> None:
    assert [target for target in targets(document) if is_dead(document, target)] == []


def test_links_are_found_where_they_are_and_dead_ones_are_told(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text(
        "# One *two*, `three`!\n\n## Same\n\n## Same\n\n"
        '[a](b.md) ![c](d.png "e") <img src="f.svg"> [g](https://example.com) `[h](i.md)`\n\n'
        "```\n[j](k.md)\n# No heading\n```\n\n    [l](m.md)\n\n[n](#one-two-three) [o](#p)\n",
        encoding="utf-8",
    )
    assert targets(document) == ["b.md", "d.png", "#one-two-three", "#p", "f.svg"]
    assert anchors(document) == {"one-two-three", "same", "same-1"}
    assert not is_dead(DOCS / "protocol.md", "clients.md#python")
    assert is_dead(DOCS / "protocol.md", "clients.md#cobol")
    assert is_dead(DOCS / "protocol.md", "nowhere.md")
    assert is_dead(DOCS / "protocol.md", "../../outside.md")


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_why_what_follows_and_when_to_think_again(decision: Path) -> None:
    text = decision.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(decision.name[:4])}. ")
    assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == SECTIONS
    assert all(part.partition("\n")[2].strip() for part in text.split("\n## ")[1:])


def test_decisions_are_numbered_without_a_gap_and_listed() -> None:
    numbers = [int(path.name[:4]) for path in DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1))
    index = targets(DOCS / "decisions" / "README.md")
    assert [target for target in index if re.match(r"\d{4}-", target)] == [
        path.name for path in DECISIONS
    ]


def test_every_make_command_of_the_documents_is_a_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    shown = {
        command
        for document in DOCUMENTS
        for command in re.findall(
            r"(?:^    |`)make ([a-z]+)", document.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert shown <= known
