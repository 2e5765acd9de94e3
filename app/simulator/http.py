"""HTTPApp: the ASGI application behind every HTTP endpoint of the simulator."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from weakref import WeakSet

from app.simulator import completions, control, webhook
from app.simulator.exchange import ClientGoneError, Exchange, Message, Receive, Send
from app.simulator.rest import RESTChannel
from app.simulator.websocket import ELSEWHERE
from app.simulator.world import World

Handler = Callable[[Exchange], Coroutine[Any, Any, None]]


class HTTPApp:
    """Route requests; stop the work on one whose client is gone."""

    def __init__(self, world: World) -> None:
        self._stats = world.ledger.stats
        self._connections: WeakSet[object] = WeakSet()
        self._running: set[asyncio.Task[None]] = set()
        rest, panel = RESTChannel(world), control.Control(world)
        agent, model = webhook.Webhook(world), completions.ChatCompletions(world)
        self._routes: dict[tuple[str, str], Handler] = {
            ("POST", "/v1/realtime/tts-stream"): rest.speak,
            ("POST", "/v1/realtime/stt"): rest.listen,
            ("POST", ELSEWHERE): rest.elsewhere,
            ("GET", ELSEWHERE): rest.elsewhere,
            ("POST", webhook.PATH): agent.answer,
            ("POST", completions.PATH): model.answer,
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
                exchange = await Exchange.read(scope, receive, send)
            except ClientGoneError:
                return
            self._count(exchange)
            await self._serve(exchange, receive)

    def abort(self) -> None:
        """Stop all work, so that the server can close at once."""
        for task in self._running:
            task.cancel()

    async def _serve(self, exchange: Exchange, receive: Receive) -> None:
        handler = self._routes.get((exchange.method, exchange.path), webhook.not_registered)
        async with asyncio.TaskGroup() as group:
            name = f"sim-http-{exchange.path}"
            work = group.create_task(handler(exchange), name=name)
            watch = group.create_task(_cancel_when_gone(work, exchange, receive))
            work.add_done_callback(lambda _: watch.cancel())
            work.add_done_callback(self._running.discard)
            self._running.add(work)

    def _count(self, exchange: Exchange) -> None:
        if exchange.path.startswith(control.PATH):
            return
        self._stats.http_requests[exchange.http_version] += 1
        if exchange.connection not in self._connections:
            self._connections.add(exchange.connection)
            self._stats.http_connections[exchange.http_version] += 1


async def _cancel_when_gone(work: asyncio.Task[None], exchange: Exchange, receive: Receive) -> None:
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
