"""The baseline: the same relay without Nabra's work, on bare libraries.

It makes the same calls as the gateway, and has no pool, no retry, no completeness check, no
timeouts, no metrics, no log and no interruption. Each client has a provider socket of its own, or
all share one HTTP/2 client. The agent is asked with aiohttp, which costs a fraction of what httpx
does. The next sentence is requested when the audio of the last one is complete. What the gateway
costs beyond the baseline is the price of what it promises.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Protocol

import aiohttp
import httpx
import orjson
import pybase64
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from bench.baseline_input import ClientInput, Question, Utterance


class SpeechProvider(Protocol):
    """Transcribes and speaks, over one transport."""

    async def transcribe(self, wav_base64: str) -> str:
        """Return the transcript of an utterance."""

    def synthesize(self, text: str) -> AsyncIterator[bytes]:
        """Yield the audio of a text."""


def tts_payload(text: str) -> dict[str, object]:
    """Return the TTS request that both transports send."""
    return {"text": text, "speaker": "Majd", "dialect": "ksa", "mulaw": False}


def stt_payload(wav_base64: str) -> dict[str, object]:
    """Return the STT request that both transports send."""
    options = {"language": "ar", "isEosEnabled": True, "eosThreshold": 0.3}
    return {"audioBase64": wav_base64, **options}


class OverWebSocket:
    """Speech over the client's own provider socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def transcribe(self, wav_base64: str) -> str:
        """Return the transcript of an utterance: the one frame that is no JSON object."""
        request = {"type": "stt", "payload": stt_payload(wav_base64)}
        await self._socket.send(orjson.dumps(request), text=True)
        async for frame in self._socket:
            if isinstance(frame, str) and not frame.startswith("{"):
                return frame
        raise EOFError("the provider closed the socket")

    async def synthesize(self, text: str) -> AsyncIterator[bytes]:
        """Yield the audio of a text."""
        request = {"type": "tts", "payload": {**tts_payload(text), "languageId": "ar"}}
        await self._socket.send(orjson.dumps(request), text=True)
        async for frame in self._socket:
            if isinstance(frame, bytes):
                yield frame
            elif orjson.loads(frame)["type"] == "end":
                return


class OverRest:
    """Speech over the HTTP/2 client that all share."""

    def __init__(self, http2: httpx.AsyncClient) -> None:
        self._http2 = http2
        self._url = os.environ["HAMSA_REST_URL"] + "/v1/realtime/"

    async def transcribe(self, wav_base64: str) -> str:
        """Return the transcript of an utterance."""
        body = orjson.dumps(stt_payload(wav_base64))
        response = await self._http2.post(self._url + "stt", content=body)
        text: str = orjson.loads(response.content)["data"]["text"]
        return text

    async def synthesize(self, text: str) -> AsyncIterator[bytes]:
        """Yield the audio of a text."""
        body = orjson.dumps(tts_payload(text))
        async with self._http2.stream("POST", self._url + "tts-stream", content=body) as response:
            async for chunk in response.aiter_raw():
                yield chunk


class Session:
    """One client."""

    def __init__(
        self, client: ServerConnection, provider: SpeechProvider, http: aiohttp.ClientSession
    ) -> None:
        self._client = client
        self._provider = provider
        self._http = http
        self._input = ClientInput()
        self._turn: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve until the client leaves. It streams on while it is answered."""
        async for message in self._client:
            if (question := self._input.feed(message)) is not None:
                self._turn = asyncio.create_task(self._respond(question))

    async def _respond(self, question: Question) -> None:
        """Transcribe what is spoken, ask, and speak sentence by sentence."""
        if isinstance(question, Utterance):
            if question.end_ms is not None:
                await self._send({"type": "speech_stopped", "audio_end_ms": question.end_ms})
            text = await self._provider.transcribe(await question.wav_base64())
            await self._send({"type": "transcript", "text": text})
        else:
            text = question
        sentence = ""
        body = {"text": text, "session_id": "baseline"}
        async with self._http.post(os.environ["AGENT_WEBHOOK_URL"], json=body) as response:
            async for line in response.content:
                if not (token := orjson.loads(line).get("content")):
                    continue
                await self._send({"type": "token", "content": token})
                sentence += token
                if sentence.rstrip().endswith("."):
                    await self._speak(sentence.strip())
                    sentence = ""
        await self._client.send('{"type":"done"}')

    async def _speak(self, sentence: str) -> None:
        """Pass the audio of one sentence on to the client."""
        async for chunk in self._provider.synthesize(sentence):
            if self._input.is_binary:
                await self._client.send(chunk)
            else:
                encoded = pybase64.b64encode_as_string(chunk)
                await self._send({"type": "tts_chunk", "audio_base64": encoded})

    async def _send(self, event: dict[str, object]) -> None:
        await self._client.send(orjson.dumps(event), text=True)


async def main() -> None:
    """Serve until killed."""
    rest = os.environ["TTS_TRANSPORT"] == "rest"
    http2 = httpx.AsyncClient(timeout=None, http1=False, http2=True, trust_env=False)  # noqa: S113
    http = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(None)
    )

    async def session(client: ServerConnection) -> None:
        if rest:
            await Session(client, OverRest(http2), http).run()
            return
        async with connect(os.environ["HAMSA_WS_URL"], compression=None, max_size=None) as socket:
            await Session(client, OverWebSocket(socket), http).run()

    async with serve(session, "127.0.0.1", 0, compression=None, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"Open   http://127.0.0.1:{port}", flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
