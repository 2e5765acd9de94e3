"""Reads the YAML that `deploy/` is written in: blocks of mappings and lists, and flow in JSON.

No YAML parser is among the dependencies. What this one does not know is an error of the test.
"""

import json
import re
from pathlib import Path
from typing import Any

_KEY = re.compile(r"([^\s\"'{}\[\],#&*!|>%@`][^\s:]*(?: [^\s:]+)*):(?: +(.*))?$")


def read_yaml(path: Path) -> Any:
    """Return the value of the only document of a file. Raises `ValueError` for other YAML."""
    lines = [
        (len(line) - len(line.lstrip()), line.strip(), number)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    value, rest = _block(lines)
    if rest:
        raise ValueError(f"{path}:{rest[0][2]}: is not indented as what stands before")
    return value


Line = tuple[int, str, int]
"""Indentation, text and number."""


def _block(lines: list[Line]) -> tuple[Any, list[Line]]:
    """Read the block that the first line begins; return it and the lines behind it."""
    indent = lines[0][0]
    if not lines[0][1].startswith("- "):
        return _mapping(lines, indent)
    items: list[Any] = []
    while lines and lines[0][0] == indent and lines[0][1].startswith("- "):
        _, text, number = lines[0]
        item = text[2:].lstrip()
        if _KEY.match(item):
            value, lines = _block([(indent + len(text) - len(item), item, number), *lines[1:]])
        else:
            value, lines = _scalar(item, number), lines[1:]
        items.append(value)
    return items, lines


def _mapping(lines: list[Line], indent: int) -> tuple[dict[str, Any], list[Line]]:
    found: dict[str, Any] = {}
    while lines and lines[0][0] == indent and not lines[0][1].startswith("- "):
        _, text, number = lines[0]
        match = _KEY.match(text)
        if match is None or match[1] in found:
            raise ValueError(f"line {number}: {text!r} is no key, or there twice")
        lines = lines[1:]
        if match[2]:
            found[match[1]] = _scalar(match[2], number)
        elif lines and lines[0][0] > indent:
            found[match[1]], lines = _block(lines)
        else:
            raise ValueError(f"line {number}: {text!r} has no value")
    return found, lines


def _scalar(text: str, number: int) -> Any:
    if text[0] in '"[{':
        return json.loads(text)
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if text[0] in "'&*!|>%@`" or " #" in text or text.lower() in ("yes", "no", "on", "off", "null"):
        raise ValueError(f"line {number}: {text!r} is not in the subset")
    return text
