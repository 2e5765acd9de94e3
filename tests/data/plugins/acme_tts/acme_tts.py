"""A transport that speaks by a tone, and fails as its setting says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from nabra import (
    AudioFormat,
    AudioStream,
    LeaseTerms,
    PluginContext,
    PluginSettings,
    SpeechRequest,
    TTSTransport,
)


class AcmeSettings(PluginSettings):
    """Settings with a prefix of their own, from the environment and `.env`."""

    model_config = {"env_prefix": "ACME_TTS_"}

    sample: int = 1
    fault: Literal["none", "stall", "raise"] = "none"


class AcmeStream(AudioStream):
    """A tenth of a second of audio for each letter."""

    format = AudioFormat("pcm_s16le", 16_000)

    def __init__(self, text: str, settings: AcmeSettings) -> None:
        self._text = text
        self._settings = settings

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for char in self._text:
            yield self._settings.sample.to_bytes(2, "little") * (1600 if char != " " else 160)
            await asyncio.sleep(0)
            if self._settings.fault == "stall":
                await asyncio.Event().wait()
            if self._settings.fault == "raise":
                raise KeyError("voice")


class AcmeTransport(TTSTransport):
    """Needs no connection."""

    name = "acme"
    settings_class = AcmeSettings

    def __init__(self, context: PluginContext[AcmeSettings]) -> None:
        self._settings = context.settings

    @asynccontextmanager
    async def synthesize(
        self, request: SpeechRequest, terms: LeaseTerms
    ) -> AsyncIterator[AudioStream]:
        """Speak one sentence."""
        yield AcmeStream(request.text, self._settings)
