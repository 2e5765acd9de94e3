"""The agent's webhook: answers as n8n 2.41 does."""

import asyncio

from app.simulator.agent_plan import AgentStep, line, plan_response
from app.simulator.exchange import JSON, HTTPExchange
from app.simulator.request_log import RequestRecord
from app.simulator.state import RequestClock, SimulatorState

PATH = "/webhook/agent"


class N8nWebhook:
    """Serve `POST /webhook/agent`."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state

    async def answer(self, exchange: HTTPExchange) -> None:
        """Answer one turn of a conversation."""
        clock = RequestClock()
        try:
            text = str(exchange.json().get("text") or "")
        except ValueError:
            message = "Failed to parse request body"
            await exchange.answer(422, {"code": 422, "message": message})
            return
        with self._state.request("agent", "agent", text) as record:
            if "agent_404" in record.faults:
                await not_registered(exchange)
                return
            slow_s = self._state.config.agent_slow_ms / 1000
            steps = plan_response(
                self._state.answer(text), self._state.timing, record.faults, slow_s
            )
            if self._state.config.agent_mode == "stream":
                await self._stream(exchange, clock, steps, record)
            else:
                await self._at_once(exchange, clock, steps, record)

    async def _stream(
        self,
        exchange: HTTPExchange,
        clock: RequestClock,
        steps: list[AgentStep],
        record: RequestRecord,
    ) -> None:
        headers = {"content-type": JSON, "cache-control": "no-cache", "vary": "Accept-Encoding"}
        if exchange.http_version != "2":  # where the header is not allowed
            headers["connection"] = "keep-alive"
        await exchange.start(200, headers)  # n8n does so before it knows what comes
        for step in steps:
            await clock.sleep_until(step.at_s)
            await self._take(step, exchange, record)
        await exchange.finish()

    async def _take(self, step: AgentStep, exchange: HTTPExchange, record: RequestRecord) -> None:
        match step.action:
            case "silence":
                await asyncio.Event().wait()
            case "keepalives":
                while True:
                    await asyncio.sleep(self._state.config.agent_keepalive_s)
                    await exchange.write(line("keepalive"))
            case kind:
                data = line(kind, step.content)
                await exchange.write(data)
                if kind == "item" and step.content:
                    record.count_sent(len(data))

    async def _at_once(
        self,
        exchange: HTTPExchange,
        clock: RequestClock,
        steps: list[AgentStep],
        record: RequestRecord,
    ) -> None:
        """Send the whole answer when it is complete; a failed run is a 500, as in n8n."""
        text = "".join(step.content or "" for step in steps if step.action == "item")
        await clock.sleep_until(max((step.at_s for step in steps), default=0.0))
        if any(step.action in ("silence", "keepalives") for step in steps):
            await asyncio.Event().wait()
        record.count_sent(len(text.encode()))
        if not steps or steps[-1].action != "end":
            await exchange.answer(500, {"message": "Error in workflow"})
        elif self._state.config.agent_mode == "json":
            await exchange.answer(200, {"output": text})
        else:
            await exchange.start(200, {"content-type": "text/plain; charset=utf-8"})
            await exchange.finish(text.encode())


async def not_registered(exchange: HTTPExchange) -> None:
    """Say that there is no such webhook: wrong path, wrong method, or an inactive workflow."""
    name = exchange.path.removeprefix("/webhook/")
    message = f'The requested webhook "{exchange.method} {name}" is not registered.'
    await exchange.answer(404, {"code": 404, "message": message})
