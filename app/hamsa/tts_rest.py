"""TTS over REST: one HTTP request for each sentence, on a shared client."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

from app.audio import AudioFormat
from app.hamsa import wire
from app.hamsa.rest import HamsaClient, HamsaResponse
from app.transports.base import AudioStream, LeaseTerms, SpeechRequest, TTSTransport
from app.transports.headerless_stream import HeaderlessStream

PATH = "/v1/realtime/tts-stream"


class RestTransport(TTSTransport):
    """Speaks by one HTTP request for each sentence.

    `is_refused` tells whether the account is known to be refused.
    """

    name = "rest"
    provider = "hamsa"

    def __init__(
        self, client: HamsaClient, *, is_refused: Callable[[], bool] = lambda: False
    ) -> None:
        self._client = client
        self._is_refused = is_refused

    @asynccontextmanager
    async def synthesize(
        self, request: SpeechRequest, terms: LeaseTerms
    ) -> AsyncIterator[AudioStream]:
        """Speak one sentence by one HTTP request."""
        payload = wire.tts_payload(
            request.text,
            speaker=request.voice.speaker,
            dialect=request.voice.dialect,
            format=request.format,
        )
        async with self._client.post(PATH, payload) as response:
            yield RestStream(wire.nearest_supported_format(request.format), response)

    async def warm_up(self, connections: int = 1) -> None:
        """Open a connection, which serves any number of requests."""
        await self._client.warm_up()

    def is_usable(self, now: float) -> bool:
        """Tell whether the account has not been refused."""
        return not self._is_refused()


class RestStream(HeaderlessStream):
    """The body of one HTTP response."""

    def __init__(self, format: AudioFormat, response: HamsaResponse) -> None:
        super().__init__(format)
        self.connection = "reused" if response.reused else "new"
        self.request_id = response.request_id
        self._response = response

    def raw_chunks(self) -> AsyncGenerator[bytes, None]:
        """Iterate over the body as it arrives."""
        return self._response.chunks()
