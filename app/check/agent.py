"""The agent: has it answer one turn, and tells in which form, who is heard, or what to do."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from app import errors
from app.agents.base import Agent, AgentRequest, NodeText, ResponseObserver
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
class AgentTurn(ResponseObserver):
    """What came of the turn so far; times in seconds since the request."""

    status: int | None = None
    form: str | None = None
    nodes: Sequence[NodeText] = ()
    data_events: int = 0
    chars: int = 0
    first_text_s: float = 0.0
    took_s: float = 0.0

    def on_status(self, status: int) -> None:
        """Keep the HTTP status."""
        self.status = status

    def on_form(self, form: str) -> None:
        """Keep the form of the response."""
        self.form = form

    def on_data(self, data: object, source: str) -> None:
        """Count data for the client."""
        self.data_events += 1

    def on_nodes(self, nodes: Sequence[NodeText]) -> None:
        """Keep what each node sent."""
        self.nodes = nodes

    @property
    def summary(self) -> str:
        """What came, in a line."""
        status = f"HTTP {self.status}, " if self.status is not None else ""
        form = _FORMS.get(self.form or "", "a form of its own")
        times = f"the first text after {self.first_text_s:.1f} s, all after {self.took_s:.1f} s"
        spoken = ", ".join(node.node for node in self.nodes if node.is_spoken)
        data = f"; {self.data_events} data events" if self.data_events else ""
        return f"{status}{self.chars} characters, {times}, as {form}" + (
            f"; spoken: {spoken}{data}" if spoken else data
        )


async def check_agent(agent: Agent, text: str, nodes: Sequence[str] = ()) -> list[Finding]:
    """Have one turn answered, whole. Takes `TURN_TIMEOUT_S` at most.

    `nodes` are those that are to be spoken, by the settings.
    """
    turn = AgentTurn()
    try:
        async with asyncio.timeout(TURN_TIMEOUT_S):
            await _take_turn(agent, text, turn)
    except TimeoutError:
        late = errors.AgentTimeoutError(f"no whole response in {TURN_TIMEOUT_S:g} s")
        return [_failure(late), *_node_findings(turn.nodes, nodes)]
    except errors.AgentError as error:
        return [_failure(error), *_node_findings(turn.nodes, nodes)]
    return [Finding(Mark.OK, f"one turn: {turn.summary}"), *_node_findings(turn.nodes, nodes)]


async def _take_turn(agent: Agent, text: str, turn: AgentTurn) -> None:
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    request = AgentRequest(text, SESSION_ID, is_typed=True, observer=turn)
    async with agent.answer(request) as pieces:
        async for piece in pieces:
            turn.first_text_s = turn.first_text_s or loop.time() - began_at
            turn.chars += len(piece)
    turn.took_s = loop.time() - began_at


def _node_findings(nodes: Sequence[NodeText], chosen: Sequence[str]) -> list[Finding]:
    """Return what is off with the nodes that are spoken."""
    spoken = [node.node for node in nodes if node.is_spoken]
    texts: list[str] = []
    if chosen and spoken and not set(spoken) & set(chosen):
        names, sent = ", ".join(chosen), ", ".join(node.node for node in nodes)
        texts.append(f"none of AGENT_NODE ({names}) sent text, but {sent}: correct the name")
    if not chosen and len(spoken) > 1:
        texts.append(
            f"{spoken[-1]} is spoken only when all is written: AGENT_NODE={','.join(spoken)} has "
            f"it spoken as it comes, AGENT_NODE={spoken[-1]} by itself"
        )
    if not chosen and (
        silent := [f"{node.node} ({node.chars})" for node in nodes if not node.is_spoken]
    ):
        texts.append(
            f"not spoken, in characters: {', '.join(silent)}: name in AGENT_NODE those to speak"
        )
    return [Finding(Mark.WARNING, f"nodes: {text}") for text in texts]


def _failure(error: errors.AgentError) -> Finding:
    advice = _advice(error)
    return Finding(Mark.FAILED, f"one turn: {error}" + (f": {advice}" if advice else ""))


def _advice(error: errors.AgentError) -> str:
    """Return what to do about a failed turn."""
    match error:
        case errors.AgentNotReadyError():
            return "check AGENT_WEBHOOK_URL, and that the agent runs and is reached from here"
        case errors.AgentUnreachableError():
            return ""  # it says itself what to do
        case errors.AgentRefusedError(status=401 | 403):
            return (
                "check AGENT_TOKEN (`Bearer …`, `Basic …`) and AGENT_TOKEN_HEADER; in n8n switch "
                "off the Webhook node's option Ignore Bots"
            )
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
                "in n8n set the Webhook node's Respond to Streaming and the agent's option Enable "
                "Streaming, or check AGENT_NODE and AGENT_ANSWER_PATH"
            )
        case errors.AgentTimeoutError():
            return "look into the agent's own log, whether it got the request and what it does"
        case _:
            return "look into the agent's own log, and open AGENT_WEBHOOK_URL yourself"
