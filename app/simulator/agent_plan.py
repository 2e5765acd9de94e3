"""The agent's response as a plan: which tokens come when, decided before anything is sent."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from app.simulator.faults import FaultName
from app.simulator.profiles import Timing

_EMPTY_EVERY = 8  # words; models now and then send a token without text

LineType = Literal["begin", "item", "end", "error", "keepalive"]
"""What a line of n8n's stream is; `item` carries a token."""


@dataclass(frozen=True, slots=True)
class AgentStep:
    """One thing to send, `at_s` seconds after the request arrived."""

    at_s: float
    action: Literal["begin", "item", "end", "error", "silence", "keepalives"]
    """`silence` and `keepalives` end a plan whose response never ends: nothing more is sent, or
    keepalives are, for as long as the client stays."""
    content: str | None = None
    """The token of an `item`, the message of an `error`."""


def split_into_tokens(text: str) -> list[str]:
    """Split a text into tokens of one word each, with an empty token after every eighth."""
    words: list[str] = re.findall(r"\S+\s*", text)
    tokens: list[str] = []
    for count, word in enumerate(words, 1):
        tokens.append(word)
        if count % _EMPTY_EVERY == 0:
            tokens.append("")
    return tokens


def plan_response(
    text: str, timing: Timing, faults: Collection[FaultName], slow_s: float
) -> list[AgentStep]:
    """Plan one streamed response with its faults; empty for `agent_empty`.

    `slow_s` is what `agent_slow` adds before the first token. `agent_404` has no effect here: it
    is an HTTP status.
    """
    if "agent_empty" in faults:
        return []
    first_s = timing.agent_first_token_ms / 1000 + (slow_s if "agent_slow" in faults else 0)
    tokens = split_into_tokens(text)
    interval_s = _interval_s(timing, len(tokens))
    steps = [AgentStep(0, "begin")]
    steps += [
        AgentStep(first_s + index * interval_s, "item", token) for index, token in enumerate(tokens)
    ]
    half = steps[: 1 + len(tokens) // 2]
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
    """Return the time between two of `count` tokens."""
    if timing.agent_answer_ms and count > 1:
        spread_ms = max(timing.agent_answer_ms - timing.agent_first_token_ms, 0)
        return spread_ms / 1000 / (count - 1)
    return timing.agent_token_ms / 1000
