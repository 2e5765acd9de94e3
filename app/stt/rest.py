"""Speech to text over REST."""

import asyncio

import orjson

from app import errors
from app.audio import wav
from app.hamsa import wire
from app.hamsa.rest import HamsaClient
from app.stt.base import Transcriber, Utterance

PATH = "/v1/realtime/stt"

MAX_ANSWER_BYTES = 1024 * 1024
"""Largest answer read; a transcript of two minutes is a few kilobytes."""


class RestTranscriber(Transcriber):
    """Sends the whole utterance by one HTTP request; `timeout_s` bounds the wait for the answer.

    A connection that breaks meanwhile is replaced once: it may have died unnoticed while idle.
    """

    name = "rest"

    def __init__(self, client: HamsaClient, *, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s

    async def transcribe(self, utterance: Utterance) -> str:
        """Return the transcript, stripped; empty when no words were heard."""
        payload = wire.stt_payload(
            wav(utterance.pcm, utterance.format), language=utterance.language
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                try:
                    body = await self._client.post_whole(PATH, payload, MAX_ANSWER_BYTES)
                except errors.ConnectionLostError:
                    body = await self._client.post_whole(PATH, payload, MAX_ANSWER_BYTES)
                return _transcript(body)
        except TimeoutError:
            raise errors.ProviderTimeoutError(f"no transcript within {self._timeout_s} s") from None

    async def warm_up(self) -> None:
        """Have a connection opened."""
        await self._client.warm_up()


def _transcript(body: bytes) -> str:
    """Read `{"success": true, "data": {"text": …}}`."""
    try:
        answer = orjson.loads(body)
        text = answer["data"]["text"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise errors.ProtocolError("the transcript is not where it should be") from None
    if not isinstance(text, str):
        raise errors.ProtocolError("the transcript is not text")
    return text.strip()
