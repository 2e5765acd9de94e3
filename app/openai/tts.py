"""TTS by `POST …/audio/speech`: streamed PCM16 at 24 kHz."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import httpx
import orjson

from app.audio import AudioFormat
from app.openai.client import OpenAIClient, chunks_of
from app.openai.settings import OpenAISettings
from app.plugins import PluginContext
from app.telemetry.request_ids import request_id_in
from app.transports.base import AudioStream, LeaseTerms, SpeechRequest, TTSTransport
from app.transports.headerless_stream import HeaderlessStream

PATH = "/audio/speech"


class OpenAITransport(TTSTransport):
    """Speaks by one HTTP request for each sentence, in one voice."""

    name = "openai"
    settings_class = OpenAISettings

    def __init__(self, context: PluginContext[OpenAISettings]) -> None:
        self._client = OpenAIClient(context)
        self._voice = {
            "model": context.settings.tts_model,
            "voice": context.settings.tts_voice,
            "response_format": "pcm",
        }

    @asynccontextmanager
    async def synthesize(
        self, request: SpeechRequest, terms: LeaseTerms
    ) -> AsyncIterator[AudioStream]:
        """Speak one sentence."""
        body = orjson.dumps({**self._voice, "input": request.text})
        async with self._client.post(PATH, body, "application/json") as response:
            yield OpenAIStream(response)

    async def warm_up(self, connections: int = 1) -> None:
        """Open a connection."""
        await self._client.warm_up()


class OpenAIStream(HeaderlessStream):
    """The body of one response; some servers send a WAV file all the same."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(AudioFormat("pcm_s16le", 24_000))
        self.connection = "reused" if response.extensions.get("reused") else "new"
        self.request_id = request_id_in(response.headers)
        self._response = response

    def raw_chunks(self) -> AsyncGenerator[bytes, None]:
        """Iterate over the body as it arrives."""
        return chunks_of(self._response)
