"""LiveKit Agents' TTS with its `FallbackAdapter`, on the texts of its arguments, one after another.

Prints JSON: for each text the seconds until its first audio, and the seconds of audio. Both
instances behind the adapter are the same provider, over REST. It runs in an environment of its
own: `bench/competing/requirements.lock`.
"""

import asyncio
import json
import os
import sys
import time

import aiohttp
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    APIConnectionError,
    APIConnectOptions,
    tts,
    utils,
)

RATE_HZ = 16_000


class HamsaTTS(tts.TTS):
    """Hamsa's TTS over REST."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=RATE_HZ, num_channels=1
        )
        self.http = http

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> "HamsaStream":
        """Return the audio of a text."""
        return HamsaStream(tts=self, input_text=text, conn_options=conn_options)


class HamsaStream(tts.ChunkedStream):
    """One request."""

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        url = os.environ["HAMSA_REST_URL"] + "/v1/realtime/tts-stream"
        body = {"text": self._input_text, "speaker": "Majd", "dialect": "ksa", "mulaw": False}
        headers = {"Authorization": f"Token {os.environ['HAMSA_API_KEY']}"}
        try:
            async with self._tts.http.post(url, json=body, headers=headers) as response:
                response.raise_for_status()
                output_emitter.initialize(
                    request_id=utils.shortuuid(),
                    sample_rate=RATE_HZ,
                    num_channels=1,
                    mime_type="audio/pcm",
                )
                async for data, _ in response.content.iter_chunks():
                    output_emitter.push(data)
                output_emitter.flush()
        except aiohttp.ClientError as error:
            raise APIConnectionError() from error


async def main(texts: list[str]) -> None:
    """Synthesize each text."""
    results = []
    async with aiohttp.ClientSession() as http:
        adapter = tts.FallbackAdapter([HamsaTTS(http), HamsaTTS(http)])
        for text in texts:
            asked_at, first_s, audio_s = time.monotonic(), 0.0, 0.0
            async for audio in adapter.synthesize(text):
                first_s = first_s or time.monotonic() - asked_at
                audio_s += audio.frame.duration
            results.append((first_s, audio_s))
        await adapter.aclose()
    print(json.dumps(results))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
