"""Seam to hypercorn: what ASGI does not tell, and what it cannot do.

`send` is a bound method of hypercorn's stream, whose own `send` is a bound method of the protocol
object; there is one of those for each connection (hypercorn 0.17 and 0.18).
"""

from typing import Any

INTERNAL_ERROR = 0x2
"""The error code of HTTP/2 for a server that has failed (RFC 9113, section 7)."""


def connection_of(send: Any) -> Any:
    """Return the object that stands for the connection of a request."""
    return send.__self__.send.__self__


async def reset_stream(send: Any) -> None:
    """End an HTTP/2 answer by RST_STREAM, after what was written so far has gone out.

    Without this, an application that stops half-way leaves its HTTP/2 client waiting for ever.
    """
    protocol, stream_id = connection_of(send), send.__self__.stream_id
    await protocol.stream_buffers[stream_id].drain()
    stream = protocol.connection.streams.get(stream_id)
    if stream is not None and not stream.closed:  # else the client gave it up meanwhile
        protocol.connection.reset_stream(stream_id, INTERNAL_ERROR)
    await protocol._flush()
