"""N8nWebhook: the agent as a webhook, with the responses of n8n 2.41."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from app.simulator.agent_plan import AgentStep, LineType
from app.simulator.http_messages import (
    JSON_UTF8,
    UTF8JSONResponse,
    open_record,
    read_json_object,
)
from app.simulator.pacing import RequestClock
from app.simulator.request_log import RequestRecord
from app.simulator.state import SimulatorState

PATH = "/webhook/agent"

_NODE_ID = "3a945d15-72f1-53f5-9d2e-aad800663693"
_NODE_NAME = "Voice Agent"


class N8nWebhook:
    """Serve `POST /webhook/agent`."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state

    async def respond(self, request: Request) -> Response:
        """Return the agent's response to one turn, streamed or whole, as `agent_mode` says."""
        clock = RequestClock()
        try:
            text = str((await read_json_object(request)).get("text") or "")
        except ValueError:
            message = "Failed to parse request body"
            return UTF8JSONResponse({"code": 422, "message": message}, 422)
        record = open_record(request, self._state.record_request("agent", "agent", text))
        if "agent_404" in record.faults:
            return await not_registered(request)
        steps = self._state.plan_agent_response(text, record.faults)
        if self._state.config.agent_mode != "stream":
            return await self._respond_whole(clock, steps, record)
        headers = {"cache-control": "no-cache", "vary": "Accept-Encoding"}
        if request.scope["http_version"] != "2":  # where the header is not allowed
            headers["connection"] = "keep-alive"
        lines = self._stream(clock, steps, record)
        return StreamingResponse(lines, headers=headers, media_type=JSON_UTF8)

    async def _stream(
        self, clock: RequestClock, steps: Sequence[AgentStep], record: RequestRecord
    ) -> AsyncIterator[bytes]:
        """Yield the lines of a response, each when it is due.

        n8n sends the status before it knows what follows, so that nothing here can change it.
        """
        for step in steps:
            await clock.sleep_until(step.at_s)
            if step.action == "silence":
                await asyncio.Event().wait()
            elif step.action == "keepalives":
                while True:
                    await asyncio.sleep(self._state.config.agent_keepalive_s)
                    yield encode_line("keepalive")
            else:
                line = encode_line(step.action, step.content)
                yield line
                if step.action == "item" and step.content:
                    record.count_sent(len(line))

    async def _respond_whole(
        self, clock: RequestClock, steps: Sequence[AgentStep], record: RequestRecord
    ) -> Response:
        """Return the whole response when it is complete; a failed run is a 500, as in n8n."""
        text = "".join(step.content or "" for step in steps if step.action == "item")
        await clock.sleep_until(max((step.at_s for step in steps), default=0.0))
        if any(step.action in ("silence", "keepalives") for step in steps):
            await asyncio.Event().wait()
        record.count_sent(len(text.encode()))
        if not steps or steps[-1].action != "end":
            return UTF8JSONResponse({"message": "Error in workflow"}, 500)
        if self._state.config.agent_mode == "json":
            return UTF8JSONResponse({"output": text})
        return PlainTextResponse(text)


async def not_registered(request: Request, _: Exception | None = None) -> Response:
    """Return a 404: the path or the method is wrong, or the workflow is not active."""
    name = request.scope["path"].removeprefix("/webhook/")
    message = f'The requested webhook "{request.method} {name}" is not registered.'
    hint = "The workflow must be active for a production URL to run."
    return UTF8JSONResponse({"code": 404, "message": message, "hint": hint}, 404)


def encode_line(kind: LineType, content: str | None = None) -> bytes:
    r"""Encode one line as n8n 2.41 does: compact JSON, Arabic not escaped, `\n` at the end."""
    message: dict[str, Any] = {"type": kind}
    if content is not None:
        message["content"] = content
    metadata: dict[str, Any] = {"nodeId": _NODE_ID, "nodeName": _NODE_NAME}
    if kind == "error":  # the one line without a timestamp, and with the indices swapped
        message["metadata"] = metadata | {"runIndex": 0, "itemIndex": 0}
    elif kind != "keepalive":
        stamp = {"itemIndex": 0, "runIndex": 0, "timestamp": time.time_ns() // 1_000_000}
        message["metadata"] = metadata | stamp
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
