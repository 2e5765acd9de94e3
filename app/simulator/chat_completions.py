"""ChatCompletions: the agent as a model, streamed and whole, as OpenAI's API responds."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.simulator.agent_plan import AgentStep
from app.simulator.http_messages import UTF8JSONResponse, open_record, read_json_object
from app.simulator.pacing import RequestClock
from app.simulator.request_log import RequestRecord
from app.simulator.state import SimulatorState

PATH = "/v1/chat/completions"

_ID = "chatcmpl-simulator"
_KEEPALIVE = b": keep-alive\n\n"
_DONE = b"data: [DONE]\n\n"


class CompletionRequestError(Exception):
    """The API does not accept this request; `param` names the parameter that is wrong."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """The messages of a chat, oldest first, and what the response is to hold."""

    model: str
    messages: list[dict[str, str]]
    stream: bool
    include_usage: bool

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> "CompletionRequest":
        """Check a request as the API does. Raises `CompletionRequestError`."""
        model, messages = body.get("model"), body.get("messages")
        if not isinstance(model, str) or not model:
            raise CompletionRequestError("you must provide a model parameter", "model")
        if not isinstance(messages, list) or not messages:
            raise CompletionRequestError("Missing required parameter: 'messages'.", "messages")
        options = body.get("stream_options")
        include_usage = isinstance(options, dict) and options.get("include_usage") is True
        parsed = [_parse_message(message, index) for index, message in enumerate(messages)]
        return cls(model, parsed, body.get("stream") is True, include_usage)

    @property
    def user_text(self) -> str:
        """The last message of the user; empty when there is none."""
        texts = (each["content"] for each in reversed(self.messages) if each["role"] == "user")
        return next(texts, "")


class ChatCompletions:
    """Serve `POST /v1/chat/completions`."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state

    async def respond(self, request: Request) -> Response:
        """Return the response to a chat, streamed or whole, as the request says."""
        clock = RequestClock()
        try:
            wanted = CompletionRequest.parse(await read_json_object(request))
        except CompletionRequestError as error:
            return _error_response(400, str(error), param=error.param)
        except ValueError:
            return _error_response(400, "We could not parse the JSON body of your request.")
        opened = self._state.record_request("agent", "agent", wanted.user_text)
        record = open_record(request, opened)
        record.messages = wanted.messages
        if "agent_404" in record.faults:
            reason = f"The model `{wanted.model}` does not exist"
            return _error_response(404, reason, code="model_not_found")
        steps = self._state.plan_agent_response(wanted.user_text, record.faults)
        if not wanted.stream:
            return await _respond_whole(wanted, clock, steps, record)
        return StreamingResponse(
            self._stream(wanted, clock, steps, record),
            headers={"cache-control": "no-cache"},
            media_type="text/event-stream; charset=utf-8",
        )

    async def _stream(
        self,
        wanted: CompletionRequest,
        clock: RequestClock,
        steps: Sequence[AgentStep],
        record: RequestRecord,
    ) -> AsyncIterator[bytes]:
        """Yield the events of a response, each when it is due; some faults never end."""
        encoder = _EventEncoder(wanted)
        for step in steps:
            await clock.sleep_until(step.at_s)
            if step.action == "silence":
                await asyncio.Event().wait()
            while step.action == "keepalives":
                await asyncio.sleep(self._state.config.agent_keepalive_s)
                yield _KEEPALIVE
            if events := encoder.encode(step):
                yield events
                if step.action == "item":
                    record.count_sent(len(events))


async def _respond_whole(
    wanted: CompletionRequest,
    clock: RequestClock,
    steps: Sequence[AgentStep],
    record: RequestRecord,
) -> Response:
    """Return the whole response when it is complete; half of one has another `finish_reason`."""
    await clock.sleep_until(max((step.at_s for step in steps), default=0.0))
    if any(step.action in ("silence", "keepalives") for step in steps):
        await asyncio.Event().wait()
    if steps and steps[-1].action == "error":
        return _error_response(500, steps[-1].content or "", kind="server_error")
    tokens = [step.content for step in steps if step.content]
    text = "".join(tokens)
    record.count_sent(len(text.encode()))
    is_complete = bool(steps) and steps[-1].action == "end"
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop" if is_complete else "length",
    }
    usage = _usage(wanted, len(tokens))
    return UTF8JSONResponse(_completion(wanted, [choice], "chat.completion", usage=usage))


class _EventEncoder:
    """Encode the server-sent events of one response."""

    def __init__(self, wanted: CompletionRequest) -> None:
        self._wanted = wanted
        self._tokens = 0

    def encode(self, step: AgentStep) -> bytes:
        """Return the events for one step; nothing for an empty token."""
        match step.action:
            case "begin":
                return self._chunk({"role": "assistant", "content": ""})
            case "item" if step.content:
                self._tokens += 1
                return self._chunk({"content": step.content})
            case "end":
                return self._chunk({}, finish_reason="stop") + self._usage_chunk() + _DONE
            case "error":
                return _event({"error": _error(step.content or "", "server_error")})
        return b""

    def _chunk(self, delta: Mapping[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        more = {"usage": None} if self._wanted.include_usage else {}
        return _event(_completion(self._wanted, [choice], "chat.completion.chunk", **more))

    def _usage_chunk(self) -> bytes:
        if not self._wanted.include_usage:
            return b""
        usage = _usage(self._wanted, self._tokens)
        return _event(_completion(self._wanted, [], "chat.completion.chunk", usage=usage))


def _parse_message(message: object, index: int) -> dict[str, str]:
    """Return role and text; of a content in parts, of which some may be images, the texts."""
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        param = f"messages[{index}]"
        raise CompletionRequestError(f"Missing required parameter: '{param}.role'.", param)
    content = message.get("content")
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, dict))
        content = "".join(text for text in texts if isinstance(text, str))
    return {"role": message["role"], "content": content if isinstance(content, str) else ""}


def _completion(
    wanted: CompletionRequest, choices: list[dict[str, Any]], kind: str, **more: object
) -> dict[str, Any]:
    return {
        "id": _ID,
        "object": kind,
        "created": int(time.time()),
        "model": wanted.model,
        "choices": choices,
        **more,
    }


def _usage(wanted: CompletionRequest, completion_tokens: int) -> dict[str, int]:
    """Count each word as a token: these numbers are never billed."""
    prompt_tokens = sum(len(message["content"].split()) for message in wanted.messages)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def _event(value: object) -> bytes:
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"data: {data}\n\n".encode()


def _error(
    message: str, kind: str, param: str | None = None, code: str | None = None
) -> dict[str, str | None]:
    return {"message": message, "type": kind, "param": param, "code": code}


def _error_response(
    status: int,
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
) -> Response:
    return UTF8JSONResponse({"error": _error(message, kind, param, code)}, status)
