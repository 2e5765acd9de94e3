"""The strategies of OpenAI, built as the gateway builds them, over a scripted server."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from app.plugins import Factory, build
from app.resources import Resources


@asynccontextmanager
async def built(
    factory: Factory, kind: type[Any], url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Any]:
    """Build a strategy whose server is at `url`."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1/")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai-0123456789")
    resources = Resources()
    strategy = build(factory, "openai", kind, resources, what="openai")
    async with AsyncExitStack() as stack:
        await resources.start(stack)
        yield strategy
