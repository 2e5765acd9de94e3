"""The words that `docs/glossary.md` retires are names of nothing any more."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent

RETIRED_ROW = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
NAME_IN_JAVASCRIPT = re.compile(r"[A-Za-z_$][\w$]*")
NO_NAMES = re.compile(
    r"//[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"|`(?:\\.|[^`\\])*`", re.DOTALL
)
"""What of a module in JavaScript holds no names: comments and texts."""


def retired_words() -> set[str]:
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    _, heading, table = glossary.partition("## Retired words")
    assert heading
    return set(RETIRED_ROW.findall(table))


def names_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name):
                yield name
            case ast.keyword(arg=str(name)) | ast.alias(asname=str(name)):
                yield name


def python_names() -> Iterator[tuple[Path, str]]:
    for folder in ("app", "bench", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, path.stem
            for name in names_in(ast.parse(path.read_text(encoding="utf-8"))):
                yield path, name


def page_names() -> Iterator[tuple[Path, str]]:
    for path in sorted((ROOT / "app" / "web").rglob("*.js")):
        yield path, path.stem
        text = NO_NAMES.sub(" ", path.read_text(encoding="utf-8"))
        yield from ((path, name) for name in NAME_IN_JAVASCRIPT.findall(text))


def test_retired_words_name_nothing() -> None:
    retired = retired_words()
    assert len(retired) > 50
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path, name in (*python_names(), *page_names())
        if name.lstrip("_#") in retired
    }
    assert not found, "\n".join(sorted(found))


def test_names_of_every_kind_are_seen() -> None:
    code = "import a as b\nclass C:\n    def d(self, e): self.f = g(h=e)\n"
    assert {"b", "C", "d", "e", "f", "g", "h"} <= set(names_in(ast.parse(code)))
