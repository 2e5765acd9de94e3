"""HypercornStream: what ASGI does not tell about a request, and cannot do with its response.

It reaches into hypercorn 0.17 and 0.18, where `send` of ASGI is a bound method of the object for
one stream, whose own `send` is a bound method of the object for the connection.
"""

from typing import Any

from starlette.types import Message, Scope, Send

_INTERNAL_ERROR = 2  # error code of HTTP/2


class HypercornStream:
    """Send the response to one request, and break it off where that is asked for."""

    def __init__(self, scope: Scope, send: Any) -> None:
        self._is_http2: bool = scope["http_version"] == "2"
        self._send: Send = send
        self._stream = send.__self__
        self.connection = self._stream.send.__self__
        """The object that stands for the client's connection; the same for all its requests."""
        self.is_finished = False
        """Whether the last message of the response was sent, or never will be."""

    async def send(self, message: Message) -> None:
        """Pass an ASGI message on to hypercorn."""
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.is_finished = True
        await self._send(message)

    async def abort(self) -> None:
        """Break the response off after what was sent so far.

        In HTTP/1.1 nothing needs to be done: hypercorn closes the connection when the application
        returns before the end of the body. In HTTP/2 it would leave the client waiting for ever.
        """
        self.is_finished = True
        if self._is_http2:
            await self._reset()

    async def _reset(self) -> None:
        """End the stream by RST_STREAM, as soon as all data before it has gone out.

        Meanwhile the client may have reset it too, and h2 accepts no second reset.
        """
        stream_id: int = self._stream.stream_id
        await self.connection.stream_buffers[stream_id].drain()
        h2_connection = self.connection.connection
        h2_stream = h2_connection.streams.get(stream_id)
        if h2_stream is not None and not h2_stream.closed:
            h2_connection.reset_stream(stream_id, _INTERNAL_ERROR)
        await self.connection._flush()
