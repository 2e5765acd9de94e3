"""Responses, as our transports build them."""

from collections.abc import Iterable

import httpx


def build_response(
    status: int,
    headers: Iterable[tuple[bytes, bytes]],
    stream: httpx.AsyncByteStream,
    *,
    http_version: bytes,
    reused: bool,
) -> httpx.Response:
    """Build a response whose body is still to come.

    A redirect loses its `Location`: httpx parses it even where it must not follow, and one that is
    not a URL raises exceptions that nobody expects of a request.
    """
    if 300 <= status < 400:
        headers = [field for field in headers if field[0].lower() != b"location"]
    return httpx.Response(
        status,
        headers=list(headers),
        stream=stream,
        extensions={"http_version": http_version, "reused": reused},
    )
