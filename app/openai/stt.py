"""STT by `POST …/audio/transcriptions`: the utterance as a WAV file in a form."""

from contextlib import aclosing

import httpx
import orjson

from app import errors
from app.audio import wav
from app.openai.client import OpenAIClient, chunks_of
from app.openai.settings import OpenAISettings
from app.plugins import PluginContext
from app.stt.base import Transcriber, Utterance

PATH = "/audio/transcriptions"

MAX_RESPONSE_BYTES = 1024 * 1024
"""Largest response read; the transcript of two minutes is a few kilobytes."""


class OpenAITranscriber(Transcriber):
    """Sends the whole utterance by one HTTP request."""

    name = "openai"
    settings_class = OpenAISettings

    def __init__(self, context: PluginContext[OpenAISettings]) -> None:
        self._client = OpenAIClient(context)
        self._model = context.settings.stt_model

    async def transcribe(self, utterance: Utterance) -> str:
        """Return the transcript, stripped; empty when the utterance holds no words.

        When the connection breaks, the request is sent once more over another one: a connection can
        die unnoticed while it is idle.
        """
        body, content_type = self._form(utterance)
        try:
            return await self._send(body, content_type)
        except errors.ConnectionLostError:
            return await self._send(body, content_type)

    async def warm_up(self) -> None:
        """Open a connection."""
        await self._client.warm_up()

    def _form(self, utterance: Utterance) -> tuple[bytes, str]:
        """Return the form that holds the utterance, and its content type."""
        file = ("utterance.wav", wav(utterance.pcm, utterance.format), "audio/wav")
        fields = {
            "model": self._model,
            "language": utterance.language,
            "response_format": "json",
        }
        form = httpx.Request("POST", "http://form", data=fields, files={"file": file})
        return form.read(), form.headers["Content-Type"]

    async def _send(self, body: bytes, content_type: str) -> str:
        received = bytearray()
        async with (
            self._client.post(PATH, body, content_type) as response,
            aclosing(chunks_of(response)) as chunks,
        ):
            async for chunk in chunks:
                received += chunk
                if len(received) > MAX_RESPONSE_BYTES:
                    raise errors.ProtocolError(f"the response exceeds {MAX_RESPONSE_BYTES} bytes")
        return _transcript(bytes(received))


def _transcript(body: bytes) -> str:
    try:
        text = orjson.loads(body)["text"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise errors.ProtocolError("the response has no text") from None
    if not isinstance(text, str):
        raise errors.ProtocolError(f"text must be a string, got {type(text).__name__}")
    return text.strip()
