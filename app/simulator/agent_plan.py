"""The agent's answer as a plan: the lines that n8n's streaming webhook sends, and when."""

import json
import re
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from app.simulator.faults import FaultName
from app.simulator.profiles import Timing

NODE_ID = "3a945d15-72f1-53f5-9d2e-aad800663693"
NODE_NAME = "Voice Agent"
_EMPTY_EVERY = 8  # words; models now and then send a piece without text

LineType = Literal["begin", "item", "end", "error", "keepalive"]


@dataclass(frozen=True, slots=True)
class AgentStep:
    """One thing to do, `at_s` seconds after the request came in.

    `silence` ends a plan whose body never ends; `keepalives` does so with a sign of life.
    """

    at_s: float
    action: LineType | Literal["silence", "keepalives"]
    content: str | None = None


def split_into_tokens(answer: str) -> list[str]:
    """Cut an answer into pieces of about a word, with an empty one here and there."""
    words: list[str] = re.findall(r"\S+\s*", answer)
    cut: list[str] = []
    for index, word in enumerate(words, 1):
        cut.append(word)
        if index % _EMPTY_EVERY == 0:
            cut.append("")
    return cut


def plan_response(
    answer: str, timing: Timing, faults: Collection[FaultName], slow_s: float
) -> list[AgentStep]:
    """Lay out one streamed answer with the faults that struck it; `agent_404` is not among them."""
    if "agent_empty" in faults:
        return []
    first_s = timing.agent_first_token_ms / 1000 + (slow_s if "agent_slow" in faults else 0)
    all_pieces = split_into_tokens(answer)
    step_s = _interval_s(timing, len(all_pieces))
    steps = [AgentStep(0, "begin")]
    steps += [
        AgentStep(first_s + index * step_s, "item", piece) for index, piece in enumerate(all_pieces)
    ]
    half = steps[: 1 + len(all_pieces) // 2]
    at_s = half[-1].at_s
    if "agent_cut" in faults:
        return half
    if "agent_error" in faults:
        return [*half, AgentStep(at_s, "error", "The model answered 500")]
    if "agent_endless" in faults:
        return [*half, AgentStep(at_s, "error", "Execution timed out"), AgentStep(at_s, "silence")]
    if "agent_stall" in faults:
        return [*half, AgentStep(at_s, "keepalives")]
    return [*steps, AgentStep(steps[-1].at_s, "end")]


def _interval_s(timing: Timing, count: int) -> float:
    if timing.agent_answer_ms and count > 1:
        spread_ms = max(timing.agent_answer_ms - timing.agent_first_token_ms, 0)
        return spread_ms / 1000 / (count - 1)
    return timing.agent_token_ms / 1000


def line(kind: LineType, content: str | None = None) -> bytes:
    r"""Write one line as n8n 2.41 does: compact JSON, Arabic as it is, `\n` at the end."""
    message: dict[str, Any] = {"type": kind}
    if content is not None:
        message["content"] = content
    metadata: dict[str, Any] = {"nodeId": NODE_ID, "nodeName": NODE_NAME}
    if kind == "error":  # the one line without a timestamp, and with the indices swapped
        message["metadata"] = metadata | {"runIndex": 0, "itemIndex": 0}
    elif kind != "keepalive":
        stamp = {"itemIndex": 0, "runIndex": 0, "timestamp": time.time_ns() // 1_000_000}
        message["metadata"] = metadata | stamp
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
