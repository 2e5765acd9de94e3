"""Responses, as our transports build them, and what they must not be."""

from collections.abc import Iterable

import httpx

MAX_SHOWN_CHARS = 40
"""As much of a server's header is quoted in an error."""


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
    not a URL raises exceptions that callers of a request do not expect.
    """
    if 300 <= status < 400:
        headers = [field for field in headers if field[0].lower() != b"location"]
    return httpx.Response(
        status,
        headers=list(headers),
        stream=stream,
        extensions={"http_version": http_version, "reused": reused},
    )


def content_encoding(response: httpx.Response) -> str | None:
    """Return how a body is encoded that should not be; None if it is not.

    Requests ask for no encoding. A body that is compressed all the same is not decompressed: it
    may be a thousand times as large as what was sent.
    """
    value = response.headers.get("content-encoding", "").strip()
    return None if value.lower() in ("", "identity") else value[:MAX_SHOWN_CHARS]
