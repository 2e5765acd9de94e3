"""The agent: has it answer one turn, and tells in which form, or what to do."""

import asyncio
from dataclasses import dataclass

from app import errors
from app.agents.base import Agent, AgentRequest
from app.check.report import Finding, Mark

SESSION_ID = "nabra-check"
"""The session that the agent is told, so that its memory and its log show where it came from."""

TURN_TIMEOUT_S = 60.0
"""Longest wait for the whole turn: nobody waits longer for an answer, or for a check."""

_FORMS = {
    "n8n": "n8n's streaming lines",
    "chunks": "OpenAI's chunks",
    "events": "server-sent events",
    "text": "plain text",
    "document": (
        "one JSON object: nothing is spoken before all is written; n8n's Webhook node set to "
        "Streaming is faster"
    ),
}


@dataclass(slots=True)
class AgentTurn:
    """What came of the turn so far; times in seconds since the request."""

    form: str | None = None
    chars: int = 0
    first_text_s: float = 0.0
    took_s: float = 0.0


async def check_agent(agent: Agent, text: str) -> Finding:
    """Have one turn answered, whole. Takes `TURN_TIMEOUT_S` at most."""
    turn = AgentTurn()
    try:
        async with asyncio.timeout(TURN_TIMEOUT_S):
            await _take_turn(agent, text, turn)
    except TimeoutError:
        return _failure(errors.AgentTimeoutError(f"no whole response in {TURN_TIMEOUT_S:g} s"))
    except errors.AgentError as error:
        return _failure(error)
    form = _FORMS.get(turn.form or "", "a form of its own")
    times = f"the first text after {turn.first_text_s:.1f} s, all of it after {turn.took_s:.1f} s"
    return Finding(Mark.OK, f"one turn: {turn.chars} characters, {times}, as {form}")


async def _take_turn(agent: Agent, text: str, turn: AgentTurn) -> None:
    def on_form(form: str) -> None:
        turn.form = form

    loop = asyncio.get_running_loop()
    began_at = loop.time()
    async with agent.answer(AgentRequest(text, SESSION_ID, on_form=on_form)) as pieces:
        async for piece in pieces:
            turn.first_text_s = turn.first_text_s or loop.time() - began_at
            turn.chars += len(piece)
    turn.took_s = loop.time() - began_at


def _failure(error: errors.AgentError) -> Finding:
    return Finding(Mark.FAILED, f"one turn: {error}: {_advice(error)}")


def _advice(error: errors.AgentError) -> str:
    """Return what to do about a failed turn."""
    match error:
        case errors.AgentUnreachableError():
            return "check AGENT_WEBHOOK_URL, and that the agent runs and is reached from here"
        case errors.AgentRefusedError(status=401 | 403):
            return "check AGENT_TOKEN (`Bearer …`, `Basic …`) and AGENT_TOKEN_HEADER"
        case errors.AgentRefusedError(status=404):
            return (
                "check the path of AGENT_WEBHOOK_URL; in n8n activate the workflow, use its "
                "production URL and the method POST"
            )
        case errors.AgentRefusedError(status=status) if 300 <= status < 400:
            return "redirects are not followed; write the URL where it leads"
        case errors.AgentRefusedError():
            return "look into the agent's own log"
        case errors.AgentEmptyError():
            return (
                "in n8n set the Webhook node to Streaming and the agent's node to stream, or check "
                "AGENT_NODE"
            )
        case errors.AgentTimeoutError():
            return "look into the agent's own log, whether it got the request and what it does"
        case _:
            return "look into the agent's own log, and open AGENT_WEBHOOK_URL yourself"
