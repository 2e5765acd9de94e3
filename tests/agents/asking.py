"""Requests to an agent, as a turn makes them."""

from app.agents.base import Agent, AgentRequest

REQUEST = AgentRequest("أين شحنتي؟", "s1")


async def ask(
    agent: Agent, request: AgentRequest = REQUEST, received: list[str] | None = None
) -> str:
    """Return the whole response; `received` keeps the pieces that came before an error."""
    received = [] if received is None else received
    async with agent.answer(request) as pieces:
        async for piece in pieces:
            received.append(piece)
    return "".join(received)
