"""An agent that repeats what it is told, and fails as its setting says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from nabra import Agent, AgentRequest, PluginContext, PluginSettings


class AcmeSettings(PluginSettings):
    """Settings with a prefix of their own."""

    model_config = {"env_prefix": "ACME_AGENT_"}

    greeting: str = "سمعت منك اليوم هذه الكلمات الجميلة التي قلتها لي على الهاتف قبل قليل:"
    fault: Literal["none", "stall", "raise"] = "none"


class AcmeAgent(Agent):
    """Answers with two sentences."""

    name = "acme"
    settings_class = AcmeSettings

    def __init__(self, context: PluginContext[AcmeSettings]) -> None:
        self._settings = context.settings

    @asynccontextmanager
    async def answer(self, request: AgentRequest) -> AsyncIterator[AsyncIterator[str]]:
        """Answer word by word."""
        yield self._words(request.text)

    async def _words(self, text: str) -> AsyncIterator[str]:
        for word in f"{self._settings.greeting} {text}. وهذه جملة ثانية بعد الأولى.".split():
            yield f"{word} "
            await asyncio.sleep(0)
            if word.endswith(".") and self._settings.fault == "stall":
                await asyncio.Event().wait()
            if word.endswith(".") and self._settings.fault == "raise":
                raise KeyError("memory")
