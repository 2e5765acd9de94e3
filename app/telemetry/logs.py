"""Logging: one line an event, as key-values for people or as JSON for log collectors."""

import io
import logging
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Literal, TextIO, cast

import structlog

from app.telemetry.redaction import Redactor

LogFormat = Literal["console", "json"]


def configure(
    level: str, format: LogFormat, *, secrets: Iterable[str] = (), is_final: bool = True
) -> None:
    """Send all logs, ours and those of libraries, to standard error in one format.

    `secrets` are masked wherever they occur: a provider may quote the key that it refuses.

    Libraries log from `warning` up: at lower levels some of them log headers, and so keys.

    What is not final is replaced by the next call.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _split_traceback,
    ]
    if format == "json":
        shared.append(structlog.processors.format_exc_info)
    redactor = Redactor(secrets)
    shared.append(redactor)

    def write_traceback(target: TextIO, error: structlog.typing.ExcInfo) -> None:
        text = io.StringIO()
        # richer formatters show local variables, and so keys and transcripts
        structlog.dev.plain_traceback(text, error)
        target.write(redactor.traceback(text.getvalue()))

    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=write_traceback,
        )
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _StandardError())),
        cache_logger_on_first_use=is_final,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("uvicorn.error").addFilter(_is_wanted)


def _split_traceback(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Tell an error apart from its traceback; uvicorn logs one as the text of a failed start."""
    text = str(event.get("event"))
    if text.startswith("Traceback ("):
        event["exception"], event["event"] = text, text.rstrip().rpartition("\n")[2]
    return event


def own_process() -> None:
    """Send to the log what Python itself would print: warnings, and errors that nobody caught."""
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda failed: _log_uncaught(
        failed.exc_type, failed.exc_value, failed.exc_traceback
    )
    sys.unraisablehook = lambda failed: _log_uncaught(
        failed.exc_type, failed.exc_value, failed.exc_traceback
    )


def _log_uncaught(
    kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return  # the regular end of a server at a terminal
    error = error or kind()
    structlog.get_logger(__name__).critical(
        "uncaught exception", exc_info=(kind, error, traceback or error.__traceback__)
    )


class _StandardError(io.TextIOBase):
    """The current standard error; a line that cannot be written is lost.

    The reader of the log may exit, or a disk be full: no turn may fail by that. The handler of the
    libraries' logs tolerates it, too.
    """

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


_LEFT_OUT = (
    # said of each handshake that was refused with a body, as if it were not
    "ASGI callable returned without completing handshake.",
    # counted in `/metrics`, and logged once in a while: a flood must not fill the disk
    "Invalid HTTP request received.",
    "Unsupported upgrade request.",
)
"""Messages of uvicorn that are untrue, or that strangers can cause as often as they like."""


def _is_wanted(record: logging.LogRecord) -> bool:
    return record.getMessage() not in _LEFT_OUT
