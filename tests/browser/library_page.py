"""Drives a page that has nothing but the client library."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Page

from app.settings import Settings
from tests.gateway import running_gateway


def url_of(endpoint: str, path: str = "") -> str:
    """Return where the gateway of an endpoint serves a file."""
    return endpoint.replace("ws:", "http:").replace("/ws/agent/", f"/{path}")


@asynccontextmanager
async def gateway_for(page: Page, settings: Settings) -> AsyncIterator[str]:
    """Run a gateway, which the page leaves before it stops; yield its endpoint."""
    async with running_gateway(settings) as endpoint:
        yield endpoint
        await page.goto("about:blank")


async def create_client(page: Page, endpoint: str, **settings: Any) -> str:
    """Load the page and create a client; return its session id."""
    await page.goto(url_of(endpoint, "library.html"))
    session_id: str = await page.evaluate("settings => createClient(settings)", settings)
    return session_id


async def unlock(page: Page) -> None:
    """Click, which allows the page to play, and wait until its sound is recorded."""
    await page.click("button")
    await page.evaluate("unlocked")
    await page.evaluate("loudspeaker.ready")


async def connect_client(page: Page, endpoint: str, **settings: Any) -> str:
    """Create a client, unlock its sound and connect it; return its session id."""
    session_id = await create_client(page, endpoint, **settings)
    await unlock(page)
    await page.evaluate("nabra.connect()")
    return session_id


def collect_sent(page: Page) -> list[dict[str, Any]]:
    """Collect the messages that the page sends, without binary audio."""
    messages, keep = _collector()
    page.on("websocket", lambda socket: socket.on("framesent", keep))
    return messages


def collect_received(page: Page) -> list[dict[str, Any]]:
    """Collect the messages that the page receives, without binary audio."""
    messages, keep = _collector()
    page.on("websocket", lambda socket: socket.on("framereceived", keep))
    return messages


def _collector() -> tuple[list[dict[str, Any]], Callable[[str | bytes], None]]:
    """Return a list, and a callback that appends text frames to it."""
    messages: list[dict[str, Any]] = []

    def keep(frame: str | bytes) -> None:
        if isinstance(frame, str):
            messages.append(json.loads(frame))

    return messages, keep


async def wait_for_event(page: Page, from_: int = 0, **wanted: Any) -> dict[str, Any]:
    """Wait for the first event of the client, from that one on, that has these fields."""
    event: dict[str, Any] = await page.evaluate(
        "([wanted, from]) => waitForEvent(wanted, from)", [wanted, from_]
    )
    return event


async def emitted(page: Page, **wanted: Any) -> list[dict[str, Any]]:
    """Return the client's events so far that have these fields."""
    events: list[dict[str, Any]] = await page.evaluate("events")
    return [event for event in events if wanted.items() <= event.items()]
