"""STT over REST."""

import orjson

from app import errors
from app.audio import wav
from app.hamsa import wire
from app.hamsa.rest import HamsaClient
from app.stt.base import Transcriber, Utterance
from app.timeouts import stall_tolerant_timeout

PATH = "/v1/realtime/stt"

MAX_RESPONSE_BYTES = 1024 * 1024
"""Largest response read; the transcript of two minutes is a few kilobytes."""


class RestTranscriber(Transcriber):
    """Sends the whole utterance by one HTTP request, and waits `timeout_s` seconds at most.

    When the connection breaks, the request is sent once more over another one, within the same
    limit: a connection can die unnoticed while it is idle.
    """

    name = "rest"
    provider = "hamsa"

    def __init__(self, client: HamsaClient, *, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s

    async def transcribe(self, utterance: Utterance) -> str:
        """Return the transcript, stripped; empty when the utterance holds no words."""
        payload = wire.stt_payload(
            wav(utterance.pcm, utterance.format), language=utterance.language
        )
        try:
            async with stall_tolerant_timeout(self._timeout_s):
                try:
                    body = await self._client.post_whole(PATH, payload, MAX_RESPONSE_BYTES)
                except errors.ConnectionLostError:
                    body = await self._client.post_whole(PATH, payload, MAX_RESPONSE_BYTES)
                return _transcript(body)
        except TimeoutError:
            raise errors.ProviderTimeoutError(f"no transcript within {self._timeout_s} s") from None

    async def warm_up(self) -> None:
        """Open a connection."""
        await self._client.warm_up()


def _transcript(body: bytes) -> str:
    """Read `{"success": true, "data": {"text": …}}`."""
    try:
        text = orjson.loads(body)["data"]["text"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise errors.ProtocolError("the response has no data.text") from None
    if not isinstance(text, str):
        raise errors.ProtocolError(f"data.text must be a string, got {type(text).__name__}")
    return text.strip()
