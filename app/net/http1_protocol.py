"""aiohttp's protocol of one HTTP/1.1 connection, with bounds that aiohttp has no options for.

It is put in the place of aiohttp's own by `BoundedConnector`; a test holds it against the pinned
version.
"""

import asyncio
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from app.net.slices import SlicedInput


class TooManyInformationalError(aiohttp.ClientError):
    """The server sent more informational responses than any server has reason to."""


class BoundedResponseHandler(ResponseHandler):
    """Parses what arrives in slices, and counts informational responses.

    A slow reader holds the parsing, and so the server: aiohttp itself would go on reading from the
    transport while slices wait here.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, max_informational: int) -> None:
        super().__init__(loop)
        self._max_informational = max_informational
        self._informational = 0
        self._input = SlicedInput(
            super().data_received,
            pause=self._pause_transport_reading,
            resume=self._resume_unless_paused,
        )

    @property
    def should_close(self) -> bool:
        """Whether the connection cannot carry another request."""
        return not self._input.is_empty or super().should_close

    def data_received(self, data: bytes) -> None:
        """Take what arrived; empty when aiohttp goes on with what it holds itself."""
        if data:
            self._input.feed(data)
        else:
            super().data_received(data)

    def pause_reading(self) -> None:
        """Parse nothing while the reader has enough."""
        self._input.hold()
        super().pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on after a pause; aiohttp calls this after each chunk, paused or not."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def close(self) -> None:
        """Close; what nobody will read is dropped."""
        self._input.clear()
        super().close()

    def abort(self) -> None:
        """Close at once; what nobody will read is dropped."""
        self._input.clear()
        super().abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Process what arrived before the loss first."""
        self._input.when_empty(partial(super().connection_lost, exc))

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Queue a response; give up the connection after too many informational ones."""
        is_informational = 100 <= data[0].code < 200 and data[0].code != 101
        if is_informational:
            self._informational += 1
        elif self._informational <= self._max_informational:
            self._informational = 0
        if self._informational <= self._max_informational:
            super().feed_data(data, size)
            return
        self._input.clear()
        reason = f"more than {self._max_informational} informational (1xx) responses"
        self.set_exception(TooManyInformationalError(reason))
        if self.transport is not None:
            self.transport.abort()

    def _resume_transport_reading(self) -> None:
        self._input.release()
        if self._input.is_empty:
            super()._resume_transport_reading()

    def _resume_unless_paused(self) -> None:
        if not self._reading_paused and not self._buffer_paused:
            self._resume_transport_reading()


class BoundedConnector(aiohttp.TCPConnector):
    """Opens connections that `BoundedResponseHandler` serves."""

    def __init__(self, *, max_informational: int, **options: Any) -> None:
        super().__init__(**options)
        self._factory = _handlers(self._loop, max_informational)


def _handlers(loop: asyncio.AbstractEventLoop, max_informational: int) -> partial[ResponseHandler]:
    def make() -> ResponseHandler:
        return BoundedResponseHandler(loop, max_informational)

    return partial(make)
