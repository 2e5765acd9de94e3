"""TTS over REST: one HTTP request for each sentence, on a shared client."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from app import errors
from app.hamsa import wire
from app.hamsa.rest import HamsaClient
from app.timeouts import stall_tolerant_timeout
from app.transports.base import Attempt, AudioStream, SpeechRequest, TTSTransport
from app.transports.completeness import MAX_MS_PER_CHAR, max_expected_duration_ms
from app.transports.provider_stream import ProviderStream

PATH = "/v1/realtime/tts-stream"


class RestTransport(TTSTransport):
    """Speaks by one HTTP request for each sentence.

    `first_audio_timeout_s` bounds the wait for the first audio, `stall_timeout_s` each silence
    after it, both in seconds. `max_ms_per_char` bounds the audio by its text.
    """

    name = "rest"

    def __init__(
        self,
        client: HamsaClient,
        *,
        first_audio_timeout_s: float,
        stall_timeout_s: float,
        max_ms_per_char: float = MAX_MS_PER_CHAR,
    ) -> None:
        self._client = client
        self._first_audio_timeout_s = first_audio_timeout_s
        self._stall_timeout_s = stall_timeout_s
        self._max_ms_per_char = max_ms_per_char

    @asynccontextmanager
    async def synthesize(self, request: SpeechRequest) -> AsyncIterator[AudioStream]:
        """Speak one sentence by one HTTP request."""
        with request.attempt(self.name) as attempt:
            stream = ProviderStream(
                attempt,
                wire.nearest_supported_format(request.format),
                stall_timeout_s=self._stall_timeout_s,
                max_duration_ms=max_expected_duration_ms(request.text, self._max_ms_per_char),
            )
            async with AsyncExitStack() as stack:
                await self._begin(request, attempt, stream, stack)
                yield stream

    async def warm_up(self) -> None:
        """Open a connection."""
        await self._client.warm_up()

    async def _begin(
        self,
        request: SpeechRequest,
        attempt: Attempt,
        stream: ProviderStream,
        stack: AsyncExitStack,
    ) -> None:
        """Send the request and wait for its first audio.

        The response stays open beyond this call, so `stack` closes it. The request is marked as
        sent before the connection is known: the client may open one first.
        """
        payload = wire.tts_payload(
            request.text,
            speaker=request.voice.speaker,
            dialect=request.voice.dialect,
            format=request.format,
        )
        try:
            async with stall_tolerant_timeout(self._first_audio_timeout_s):
                attempt.mark_sent(None)
                response = await stack.enter_async_context(self._client.post(PATH, payload))
                attempt.connection = "reused" if response.reused else "new"
                await stack.enter_async_context(aclosing(stream))
                await stream.begin(response.chunks())
        except TimeoutError:
            raise errors.ProviderTimeoutError(
                f"no first audio within {self._first_audio_timeout_s} s"
            ) from None
