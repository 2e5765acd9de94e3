"""What the log says of a start: with which settings, or why there is none."""

import os
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn
from urllib.parse import urlsplit

import structlog
from pydantic import SecretStr

from app import __version__
from app.env_file import ENV_FILE, value_in
from app.errors import ConfigurationError
from app.net.url import host_of
from app.settings import Settings
from app.telemetry.logs import LogFormat
from app.telemetry.redaction import MASK

MAX_SETTING_CHARS = 80
"""Longest value of a setting in the log: a prompt has thousands."""

log = structlog.get_logger(__name__)


def requested_format() -> LogFormat:
    """Return the format that `LOG_FORMAT` asks for, before the settings are checked.

    A start that they prevent is told in it, too.
    """
    variables = (value for name, value in os.environ.items() if name.upper() == "LOG_FORMAT")
    value = next(filter(None, variables), None)
    try:
        value = value or value_in(ENV_FILE, "LOG_FORMAT")
    except ConfigurationError:
        value = value or ""
    return "json" if (value or "").strip().lower() == "json" else "console"


def refuse_start(format: LogFormat, message: str, reasons: Sequence[str], text: str) -> NoReturn:
    """Exit with code 1: with `text` for people, or with one line of JSON."""
    if format == "console":
        sys.exit(text)
    log.error(message, reasons=list(reasons))
    sys.exit(1)


def log_start(settings: Settings) -> None:
    """Log the version, and the settings that differ from their defaults."""
    log.info("starting", version=__version__, settings=list(changed_settings(settings)))


def changed_settings(settings: Settings) -> Iterator[str]:
    """Yield `NAME=value` for each setting that is not at its default; secrets are masked."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if value != field.get_default(call_default_factory=True):
            yield f"{name.upper()}={_shown(value)}"


def _shown(value: object) -> str:
    match value:
        case SecretStr():
            return MASK
        case bool():
            return str(value).lower()
        case tuple() | list():
            return ",".join(map(_shown, value))
        case str() if "://" in value:
            return f"{urlsplit(value).scheme}://{host_of(value)}/…"  # a path may be a secret
    text = str(value)
    return text if len(text) <= MAX_SETTING_CHARS else text[:MAX_SETTING_CHARS] + "…"
