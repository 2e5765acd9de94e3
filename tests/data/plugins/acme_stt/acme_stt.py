"""A transcriber that tells how long an utterance is, and fails as its setting says."""

import asyncio
from typing import Literal

from nabra import PluginContext, PluginSettings, Transcriber, Utterance


class AcmeSettings(PluginSettings):
    """Settings with a prefix of their own."""

    model_config = {"env_prefix": "ACME_STT_"}

    word: str = "نعم"
    fault: Literal["none", "stall", "raise"] = "none"


class AcmeTranscriber(Transcriber):
    """Hears one word in any utterance."""

    name = "acme"
    settings_class = AcmeSettings

    def __init__(self, context: PluginContext[AcmeSettings]) -> None:
        self._settings = context.settings
        self._log = context.log

    async def transcribe(self, utterance: Utterance) -> str:
        """Return the word."""
        if self._settings.fault == "stall":
            await asyncio.Event().wait()
        if self._settings.fault == "raise":
            raise KeyError("model")
        self._log.info("heard", bytes=len(utterance.pcm))
        return f" {self._settings.word} "
