"""The agent as a model: chat completions, streamed and whole, as OpenAI's API answers."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.simulator.agent_plan import AgentStep, plan_response
from app.simulator.exchange import HTTPExchange
from app.simulator.request_log import RequestRecord
from app.simulator.state import RequestClock, SimulatorState

PATH = "/v1/chat/completions"

_ID = "chatcmpl-simulator"
_KEEPALIVE = b": keep-alive\n\n"
_DONE = b"data: [DONE]\n\n"


class InvalidRequestError(Exception):
    """The API does not accept this request; `param` is what is wrong with it."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A conversation that ends with what the user said last."""

    model: str
    messages: list[dict[str, str]]
    streams: bool
    wants_usage: bool

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> "CompletionRequest":
        """Check a request as the API does; raises `InvalidRequestError`."""
        model, messages = body.get("model"), body.get("messages")
        if not isinstance(model, str) or not model:
            raise InvalidRequestError("you must provide a model parameter", "model")
        if not isinstance(messages, list) or not messages:
            raise InvalidRequestError("Missing required parameter: 'messages'.", "messages")
        options = body.get("stream_options")
        wants_usage = isinstance(options, dict) and options.get("include_usage") is True
        told = [_message(message, at) for at, message in enumerate(messages)]
        return cls(model, told, body.get("stream") is True, wants_usage)

    @property
    def text(self) -> str:
        """What the user said last; empty when only others spoke."""
        said = (message["content"] for message in reversed(self.messages) if _is_user(message))
        return next(said, "")


class ChatCompletions:
    """Serve `POST /v1/chat/completions`."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state

    async def answer(self, exchange: HTTPExchange) -> None:
        """Answer the last message of a conversation."""
        clock = RequestClock()
        try:
            question = CompletionRequest.parse(exchange.json())
        except InvalidRequestError as error:
            await _refuse(exchange, 400, str(error), error.param)
            return
        except ValueError:
            await _refuse(exchange, 400, "We could not parse the JSON body of your request.")
            return
        with self._state.request("agent", "agent", question.text) as record:
            record.messages = question.messages
            if "agent_404" in record.faults:
                reason = f"The model `{question.model}` does not exist"
                await _refuse(exchange, 404, reason, code="model_not_found")
                return
            slow_s = self._state.config.agent_slow_ms / 1000
            answer = self._state.answer(question.text)
            steps = plan_response(answer, self._state.timing, record.faults, slow_s)
            serve = self._stream if question.streams else self._at_once
            await serve(exchange, clock, question, steps, record)

    async def _stream(
        self,
        exchange: HTTPExchange,
        clock: RequestClock,
        question: CompletionRequest,
        steps: list[AgentStep],
        record: RequestRecord,
    ) -> None:
        headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
        await exchange.start(200, headers)
        stream = _Stream(question)
        for step in steps:
            await clock.sleep_until(step.at_s)
            if step.action == "silence":
                await asyncio.Event().wait()
            while step.action == "keepalives":
                await asyncio.sleep(self._state.config.agent_keepalive_s)
                await exchange.write(_KEEPALIVE)
            if data := stream.events(step):
                await exchange.write(data)
                if step.action == "item":
                    record.count_sent(len(data))
        await exchange.finish()

    async def _at_once(
        self,
        exchange: HTTPExchange,
        clock: RequestClock,
        question: CompletionRequest,
        steps: list[AgentStep],
        record: RequestRecord,
    ) -> None:
        await clock.sleep_until(max((step.at_s for step in steps), default=0.0))
        if any(step.action in ("silence", "keepalives") for step in steps):
            await asyncio.Event().wait()
        if steps and steps[-1].action == "error":
            await _refuse(exchange, 500, steps[-1].content or "", kind="server_error")
            return
        written = [step.content for step in steps if step.content]
        text = "".join(written)
        record.count_sent(len(text.encode()))
        whole = bool(steps) and steps[-1].action == "end"
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop" if whole else "length",
        }
        usage = _usage(question, len(written))
        await exchange.answer(200, _completion(question, [choice], "", usage=usage))


class _Stream:
    """Write the chunks of one answer."""

    def __init__(self, question: CompletionRequest) -> None:
        self._question = question
        self._pieces = 0

    def events(self, step: AgentStep) -> bytes:
        """Return what is sent for one step; nothing for an empty piece."""
        match step.action:
            case "begin":
                return self._chunk({"role": "assistant", "content": ""})
            case "item" if step.content:
                self._pieces += 1
                return self._chunk({"content": step.content})
            case "end":
                return self._chunk({}, finish="stop") + self._spent() + _DONE
            case "error":
                return _event({"error": _error(step.content or "", "server_error")})
        return b""

    def _chunk(self, delta: Mapping[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        more = {"usage": None} if self._question.wants_usage else {}
        return _event(_completion(self._question, [choice], ".chunk", **more))

    def _spent(self) -> bytes:
        if not self._question.wants_usage:
            return b""
        usage = _usage(self._question, self._pieces)
        return _event(_completion(self._question, [], ".chunk", usage=usage))


def _message(message: object, at: int) -> dict[str, str]:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise InvalidRequestError(
            f"Missing required parameter: 'messages[{at}].role'.", f"messages[{at}]"
        )
    content = message.get("content")
    if isinstance(content, list):  # in parts, of which some may be pictures
        parts = (part.get("text") for part in content if isinstance(part, dict))
        content = "".join(part for part in parts if isinstance(part, str))
    return {"role": message["role"], "content": content if isinstance(content, str) else ""}


def _is_user(message: Mapping[str, str]) -> bool:
    return message["role"] == "user"


def _completion(
    question: CompletionRequest, choices: list[dict[str, Any]], kind: str, **more: object
) -> dict[str, Any]:
    return {
        "id": _ID,
        "object": f"chat.completion{kind}",
        "created": int(time.time()),
        "model": question.model,
        "choices": choices,
        **more,
    }


def _usage(question: CompletionRequest, completion: int) -> dict[str, int]:
    """Count words for tokens: nobody is billed here."""
    prompt = sum(len(message["content"].split()) for message in question.messages)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _event(value: object) -> bytes:
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"data: {data}\n\n".encode()


def _error(
    message: str, kind: str, param: str | None = None, code: str | None = None
) -> dict[str, str | None]:
    return {"message": message, "type": kind, "param": param, "code": code}


async def _refuse(
    exchange: HTTPExchange,
    status: int,
    message: str,
    param: str | None = None,
    *,
    kind: str = "invalid_request_error",
    code: str | None = None,
) -> None:
    await exchange.answer(status, {"error": _error(message, kind, param, code)})
