"""HTTP requests and responses: what a simulator of failing servers needs beyond Starlette."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from app.simulator.hypercorn_compat import HypercornStream
from app.simulator.request_log import RequestRecord

JSON_UTF8 = "application/json; charset=utf-8"

_SCOPE_KEY = "simulator.context"


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What lasts as long as one request is served."""

    stream: HypercornStream
    records: ExitStack

    def attach(self, scope: Scope) -> None:
        """Make this the context of a request."""
        scope[_SCOPE_KEY] = self

    @staticmethod
    def of(scope: Scope) -> "RequestContext":
        """Return the context of a request."""
        context: RequestContext = scope[_SCOPE_KEY]
        return context


def open_record(request: Request, record: AbstractContextManager[RequestRecord]) -> RequestRecord:
    """Keep a record open until the response has ended, or its client has disconnected."""
    return RequestContext.of(request.scope).records.enter_context(record)


async def read_json_object(request: Request) -> dict[str, Any]:
    """Return the body of a request as a JSON object. Raises `ValueError` when it is none."""
    content = await request.json()
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - as wrong as broken JSON
    return content


class UTF8JSONResponse(JSONResponse):
    """A response in JSON that names its charset, as n8n does."""

    media_type = JSON_UTF8


class AbortedResponse(StreamingResponse):
    """A streamed response that breaks off after its last piece instead of ending."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything but the end; then reset the stream, or close the connection."""

        async def send_unless_end(message: Message) -> None:
            if message.get("more_body", True):
                await send(message)

        await super().__call__(scope, receive, send_unless_end)
        await RequestContext.of(scope).stream.abort()


async def empty_body() -> AsyncIterator[bytes]:
    """Yield nothing."""
    nothing: Sequence[bytes] = ()
    for piece in nothing:
        yield piece
