"""The page that has nothing but the library, driven from here."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Page

from app.audio import PCM16_16K, wav
from app.settings import Settings
from tests.gateway import running_gateway


def address(endpoint: str, path: str = "") -> str:
    """Where the gateway of an endpoint serves a file."""
    return endpoint.replace("ws:", "http:").replace("/ws/agent/", f"/{path}")


@asynccontextmanager
async def served(page: Page, settings: Settings) -> AsyncIterator[str]:
    """Run a gateway for a page, which leaves before the gateway does; gives the endpoint."""
    async with running_gateway(settings) as endpoint:
        yield endpoint
        await page.goto("about:blank")


def hear(microphone: Path, pcm: bytes) -> None:
    """Let the microphone hear this PCM16 of 16 kHz, from when it is opened next."""
    microphone.write_bytes(wav(pcm, PCM16_16K))


async def open_library(page: Page, endpoint: str, **how: Any) -> str:
    """Load the page, and make a client; gives its session id."""
    await page.goto(address(endpoint, "library.html"))
    session_id: str = await page.evaluate("how => start(how)", how)
    return session_id


async def unlock(page: Page) -> None:
    """Click, which lets the page sound, and hear that it can be listened to."""
    await page.click("button")
    await page.evaluate("unlocked")
    await page.evaluate("heard.ready")


async def converse(page: Page, endpoint: str, **how: Any) -> str:
    """Load the page, let it sound, and connect."""
    session_id = await open_library(page, endpoint, **how)
    await unlock(page)
    await page.evaluate("nabra.connect()")
    return session_id


def frames_sent(page: Page) -> list[dict[str, Any]]:
    """Collect the messages that the page sends, but for audio."""
    sent: list[dict[str, Any]] = []

    def keep(frame: str | bytes) -> None:
        if isinstance(frame, str):
            sent.append(json.loads(frame))

    page.on("websocket", lambda socket: socket.on("framesent", keep))
    return sent


async def until(page: Page, from_: int = 0, **wanted: Any) -> dict[str, Any]:
    """Wait for the first thing told, from that one on, that has these fields."""
    found: dict[str, Any] = await page.evaluate(
        "([wanted, from]) => until(wanted, from)", [wanted, from_]
    )
    return found


async def told(page: Page, **wanted: Any) -> list[dict[str, Any]]:
    """Everything told so far that has these fields."""
    everything: list[dict[str, Any]] = await page.evaluate("told")
    return [one for one in everything if wanted.items() <= one.items()]
