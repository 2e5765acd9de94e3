"""HTTPExchange: one HTTP request and its answer."""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from app.simulator.hypercorn_compat import connection_of, reset_stream

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = "application/json; charset=utf-8"

_MAX_BODY_BYTES = 32 * 2**20  # a quarter of an hour of speech, in base64


class ClientDisconnectedError(Exception):
    """The client left before its request was complete."""


class HTTPExchange:
    """Read a request, write an answer piece by piece, or break it off."""

    def __init__(self, scope: Message, body: bytes, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.http_version: str = scope["http_version"]
        self.body = body
        self.connection: object = connection_of(send)
        self.finished = False
        """Whether the last byte of the answer is written, or will never be."""
        self._headers = {name.lower(): value for name, value in scope["headers"]}
        self._send = send

    @classmethod
    async def read(cls, scope: Message, receive: Receive, send: Send) -> "HTTPExchange":
        """Read the whole request; raises `ClientDisconnectedError`.

        Of a body that is too long only the beginning is kept, which no endpoint can make sense of.
        """
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnectedError
            if len(body) < _MAX_BODY_BYTES:
                body += message.get("body", b"")
            if not message.get("more_body", False):
                return cls(scope, bytes(body), send)

    def header(self, name: str) -> str:
        """Return a header of the request; empty when there is none."""
        return str(self._headers.get(name.lower().encode(), b"").decode("latin-1"))

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object; raises `ValueError`."""
        content = json.loads(self.body)
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004 - as wrong as broken JSON
        return content

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status and the headers."""
        encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def write(self, data: bytes) -> None:
        """Send a piece of the body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, data: bytes = b"") -> None:
        """Send the last piece of the body."""
        self.finished = True
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def cut(self) -> None:
        """Break the body off: a reset stream in HTTP/2, a closed connection in HTTP/1.1."""
        self.finished = True
        if self.http_version == "2":
            await reset_stream(self._send)

    async def answer(
        self, status: int, content: object, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a whole answer in JSON."""
        body = json.dumps(content, ensure_ascii=False).encode()
        fixed = {"content-type": JSON, "content-length": str(len(body))}
        await self.start(status, fixed | dict(headers or {}))
        await self.finish(body)
