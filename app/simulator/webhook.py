"""The agent's webhook: answers as n8n 2.41 does."""

import asyncio

from app.simulator.agent import AgentStep, line, plan_answer
from app.simulator.exchange import JSON, Exchange
from app.simulator.ledger import Record
from app.simulator.world import Clock, World

PATH = "/webhook/agent"


class Webhook:
    """Serve `POST /webhook/agent`."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def answer(self, exchange: Exchange) -> None:
        """Answer one turn of a conversation."""
        clock = Clock()
        try:
            text = str(exchange.json().get("text") or "")
        except ValueError:
            message = "Failed to parse request body"
            await exchange.answer(422, {"code": 422, "message": message})
            return
        with self._world.request("agent", "agent", text) as record:
            if "agent_404" in record.faults:
                await not_registered(exchange)
                return
            slow_s = self._world.config.agent_slow_ms / 1000
            steps = plan_answer(self._world.answer(text), self._world.timing, record.faults, slow_s)
            if self._world.config.agent_mode == "stream":
                await self._stream(exchange, clock, steps, record)
            else:
                await self._at_once(exchange, clock, steps, record)

    async def _stream(
        self, exchange: Exchange, clock: Clock, steps: list[AgentStep], record: Record
    ) -> None:
        headers = {"content-type": JSON, "cache-control": "no-cache", "vary": "Accept-Encoding"}
        if exchange.http_version != "2":  # where the header is not allowed
            headers["connection"] = "keep-alive"
        await exchange.start(200, headers)  # n8n does so before it knows what comes
        for step in steps:
            await clock.until(step.at_s)
            await self._take(step, exchange, record)
        await exchange.finish()

    async def _take(self, step: AgentStep, exchange: Exchange, record: Record) -> None:
        match step.action:
            case "silence":
                await asyncio.Event().wait()
            case "keepalives":
                while True:
                    await asyncio.sleep(self._world.config.agent_keepalive_s)
                    await exchange.write(line("keepalive"))
            case kind:
                data = line(kind, step.content)
                await exchange.write(data)
                if kind == "item" and step.content:
                    record.sent(len(data))

    async def _at_once(
        self, exchange: Exchange, clock: Clock, steps: list[AgentStep], record: Record
    ) -> None:
        """Send the whole answer when it is complete; a failed run is a 500, as in n8n."""
        text = "".join(step.content or "" for step in steps if step.action == "item")
        await clock.until(max((step.at_s for step in steps), default=0.0))
        if any(step.action in ("silence", "keepalives") for step in steps):
            await asyncio.Event().wait()
        record.sent(len(text.encode()))
        if not steps or steps[-1].action != "end":
            await exchange.answer(500, {"message": "Error in workflow"})
        elif self._world.config.agent_mode == "json":
            await exchange.answer(200, {"output": text})
        else:
            await exchange.start(200, {"content-type": "text/plain; charset=utf-8"})
            await exchange.finish(text.encode())


async def not_registered(exchange: Exchange) -> None:
    """Say that there is no such webhook: wrong path, wrong method, or an inactive workflow."""
    name = exchange.path.removeprefix("/webhook/")
    message = f'The requested webhook "{exchange.method} {name}" is not registered.'
    await exchange.answer(404, {"code": 404, "message": message})
