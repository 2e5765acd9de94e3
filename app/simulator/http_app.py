"""HTTPApp: the ASGI application behind every HTTP endpoint of the simulator."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from weakref import WeakSet

from app.simulator import chat_completions, control, n8n_webhook
from app.simulator.exchange import ClientDisconnectedError, HTTPExchange, Message, Receive, Send
from app.simulator.rest import RESTEndpoints
from app.simulator.state import SimulatorState
from app.simulator.websocket import REDIRECT_TARGET

Handler = Callable[[HTTPExchange], Coroutine[Any, Any, None]]


class HTTPApp:
    """Route requests; stop the work on one whose client is gone."""

    def __init__(self, state: SimulatorState) -> None:
        self._stats = state.request_log.stats
        self._connections: WeakSet[object] = WeakSet()
        self._running: set[asyncio.Task[None]] = set()
        rest, panel = RESTEndpoints(state), control.ControlEndpoints(state)
        agent, model = n8n_webhook.N8nWebhook(state), chat_completions.ChatCompletions(state)
        self._routes: dict[tuple[str, str], Handler] = {
            ("POST", "/v1/realtime/tts-stream"): rest.speak,
            ("POST", "/v1/realtime/stt"): rest.listen,
            ("POST", REDIRECT_TARGET): rest.redirect_target,
            ("GET", REDIRECT_TARGET): rest.redirect_target,
            ("POST", n8n_webhook.PATH): agent.answer,
            ("POST", chat_completions.PATH): model.answer,
            ("GET", control.PATH): panel.show,
            ("PATCH", control.PATH): panel.change,
            ("DELETE", f"{control.PATH}/faults"): panel.clear_faults,
            ("GET", f"{control.PATH}/requests"): panel.requests,
        }

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request, or the life span of the server."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            try:
                exchange = await HTTPExchange.read(scope, receive, send)
            except ClientDisconnectedError:
                return
            self._count(exchange)
            await self._serve(exchange, receive)

    def abort(self) -> None:
        """Stop all work, so that the server can close at once."""
        for task in self._running:
            task.cancel()

    async def _serve(self, exchange: HTTPExchange, receive: Receive) -> None:
        handler = self._routes.get((exchange.method, exchange.path), n8n_webhook.not_registered)
        async with asyncio.TaskGroup() as group:
            name = f"sim-http-{exchange.path}"
            work = group.create_task(handler(exchange), name=name)
            watch = group.create_task(_cancel_when_gone(work, exchange, receive))
            work.add_done_callback(lambda _: watch.cancel())
            work.add_done_callback(self._running.discard)
            self._running.add(work)

    def _count(self, exchange: HTTPExchange) -> None:
        if exchange.path.startswith(control.PATH):
            return
        self._stats.http_requests[exchange.http_version] += 1
        if exchange.connection not in self._connections:
            self._connections.add(exchange.connection)
            self._stats.http_connections[exchange.http_version] += 1


async def _cancel_when_gone(
    work: asyncio.Task[None], exchange: HTTPExchange, receive: Receive
) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    # Hypercorn also says so after a complete answer, while the work is about to return.
    if not exchange.finished:
        work.cancel()


async def _live(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
