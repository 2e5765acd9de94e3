"""HTTPApp: the ASGI application behind every HTTP endpoint of the simulator."""

import asyncio
from contextlib import ExitStack
from weakref import WeakSet

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from app.simulator import chat_completions, control, n8n_webhook, openai_audio
from app.simulator.http_messages import RequestContext
from app.simulator.hypercorn_compat import HypercornStream
from app.simulator.rest import RESTEndpoints
from app.simulator.state import SimulatorState
from app.simulator.websocket import REDIRECT_TARGET

_MAX_BODY_BYTES = 32 * 2**20  # a quarter of an hour of speech, in base64


class HTTPApp:
    """Count requests, and cancel the work on one whose client has disconnected.

    Everything else is Starlette's. It watches for a disconnect only while it streams a body, and
    much of what is simulated here is the wait before one.
    """

    def __init__(self, state: SimulatorState) -> None:
        self._stats = state.request_log.stats
        self._connections: WeakSet[object] = WeakSet()
        self._running: set[asyncio.Task[None]] = set()
        not_found = n8n_webhook.not_registered
        self._starlette = Starlette(
            routes=_routes(state), exception_handlers={404: not_found, 405: not_found}
        )
        self._starlette.router.redirect_slashes = False  # the provider and n8n send a 404

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan of the server."""
        if scope["type"] != "http":
            await self._starlette(scope, receive, send)
            return
        body = await _read_body(receive)
        if body is not None:
            stream = HypercornStream(scope, send)
            self._count(scope, stream)
            await self._serve(scope, body, receive, stream)

    def abort(self) -> None:
        """Cancel the work on all requests, so that the server can close at once."""
        for task in self._running:
            task.cancel()

    async def _serve(
        self, scope: Scope, body: bytes, receive: Receive, stream: HypercornStream
    ) -> None:
        async with asyncio.TaskGroup() as group:
            work = group.create_task(
                self._respond(scope, body, stream), name=f"sim-http-{scope['path']}"
            )
            watch = group.create_task(_cancel_on_disconnect(work, stream, receive))
            work.add_done_callback(lambda _: watch.cancel())
            work.add_done_callback(self._running.discard)
            self._running.add(work)

    async def _respond(self, scope: Scope, body: bytes, stream: HypercornStream) -> None:
        # From this version on Starlette does not watch for a disconnect by itself.
        scope["asgi"] = {**scope["asgi"], "spec_version": "2.4"}
        with ExitStack() as records:
            RequestContext(stream, records).attach(scope)
            await self._starlette(scope, _receiver_of(body), stream.send)

    def _count(self, scope: Scope, stream: HypercornStream) -> None:
        if scope["path"].startswith(control.PATH):
            return
        version = scope["http_version"]
        self._stats.http_requests[version] += 1
        if stream.connection not in self._connections:
            self._connections.add(stream.connection)
            self._stats.http_connections[version] += 1


def _routes(state: SimulatorState) -> list[Route]:
    """List all endpoints in one place; every other path or method is a 404."""
    rest, controls = RESTEndpoints(state), control.ControlEndpoints(state)
    webhook, model = n8n_webhook.N8nWebhook(state), chat_completions.ChatCompletions(state)
    openai = openai_audio.OpenAIAudio(state)
    return [
        Route("/v1/realtime/tts-stream", rest.synthesize, methods=["POST"]),
        Route("/v1/realtime/stt", rest.transcribe, methods=["POST"]),
        Route(openai_audio.SPEECH_PATH, openai.synthesize, methods=["POST"]),
        Route(openai_audio.TRANSCRIPTIONS_PATH, openai.transcribe, methods=["POST"]),
        Route(REDIRECT_TARGET, rest.redirect_target, methods=["GET", "POST"]),
        Route(n8n_webhook.PATH, webhook.respond, methods=["POST"]),
        Route(chat_completions.PATH, model.respond, methods=["POST"]),
        Route(control.PATH, controls.show, methods=["GET"]),
        Route(control.PATH, controls.change, methods=["PATCH"]),
        Route(f"{control.PATH}/faults", controls.clear_faults, methods=["DELETE"]),
        Route(f"{control.PATH}/requests", controls.requests, methods=["GET"]),
    ]


async def _read_body(receive: Receive) -> bytes | None:
    """Read a whole request; None when its client disconnects before the end.

    Of a body that is too long only the beginning is kept, and no endpoint accepts half a JSON
    object.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        if len(body) < _MAX_BODY_BYTES:
            body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def _receiver_of(body: bytes) -> Receive:
    """Return a `receive` that gives a body that was read before, and then nothing more."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    return receive


async def _cancel_on_disconnect(
    work: asyncio.Task[None], stream: HypercornStream, receive: Receive
) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    # Hypercorn also says so after a complete response, when the work is about to return.
    if not stream.is_finished:
        work.cancel()
