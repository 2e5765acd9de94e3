"""Whether a part of a provider works: one line when it stops, and one when it works again."""

import contextvars

import structlog

from app.errors import NabraError

log = structlog.get_logger(__name__)


class Availability:
    """Keeps apart what is news and what is not, of one transport, transcriber or pool.

    Its lines belong to no session, as all sessions share what is down.
    """

    def __init__(self, down: str, up: str, **fields: object) -> None:
        self.is_down = False
        self._down, self._up, self._fields = down, up, fields

    def on_failure(self, error: NabraError) -> None:
        """Log that it is down, with the reason: a warning when that is news, else at debug."""
        write, self.is_down = log.debug if self.is_down else log.warning, True
        contextvars.Context().run(
            write,
            self._down,
            **self._fields,
            code=error.code,
            reason=str(error),
            host=error.host,
        )

    def on_success(self) -> None:
        """Log that it works again, if it was down."""
        if self.is_down:
            self.is_down = False
            contextvars.Context().run(log.info, self._up, **self._fields)


def transport_availability(name: str) -> Availability:
    """Return that of a way to speech, which is assumed to work."""
    return Availability("transport is down", "transport works again", transport=name)


def transcriber_availability(name: str) -> Availability:
    """Return that of a way to text."""
    return Availability("transcriber is down", "transcriber works again", transcriber=name)
