"""The file `.env`: where it is, and whether it can be read as it was meant."""

import os
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from app.errors import ConfigurationError

ENV_FILE = Path(".env")

ENCODING = "utf-8-sig"
"""UTF-8, also with the byte order mark that Windows writes."""


def check_env_file(path: Path) -> None:
    """Refuse a file that cannot be read as intended: its keys would seem not to be set."""
    wrong = [each.original.line for each in _lines(path) if each.error]
    if wrong:
        reason = "must be NAME=value, with every quote closed"
        raise ConfigurationError("\n".join(f"{path}: line {line} {reason}" for line in wrong))


def names_in(path: Path) -> set[str]:
    """Return the names that the file sets. Raises `ConfigurationError` if it cannot be read."""
    return {each.key for each in _lines(path) if each.key}


def value_in(path: Path, name: str) -> str | None:
    """Return the last value that the file gives to a name, in any case; None if it gives none.

    Raises `ConfigurationError` if it cannot be read.
    """
    values = [each.value for each in _lines(path) if (each.key or "").upper() == name]
    return values[-1] if values else None


def export_variables(path: Path, prefix: str) -> None:
    """Put names of the file into the environment, for libraries that read nothing else.

    What the environment has already stays. Raises `ConfigurationError` if the file cannot be read.
    """
    for each in _lines(path):
        if each.key and each.value and each.key.startswith(prefix):
            os.environ.setdefault(each.key, each.value)


def _lines(path: Path) -> Iterator[Binding]:
    try:
        text = path.read_text(encoding=ENCODING) if path.is_file() else ""
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: must be UTF-8: save it again as UTF-8") from None
    return parse_stream(StringIO(text))
