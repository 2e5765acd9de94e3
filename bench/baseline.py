"""The baseline: the same relay without Nabra's work, on bare libraries.

It makes the same calls as the gateway, and has no pool, no retry, no completeness check, no
timeouts, no metrics and no interruption. Each client has a provider socket of its own, or all share
one HTTP/2 client. The next sentence is requested when the audio of the last one is complete. What
the gateway costs beyond the baseline is the price of what it promises.
"""

import asyncio
import base64
import os
from collections.abc import AsyncIterator

import httpx
import orjson
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from bench.baseline_agents import AGENT_CLIENTS

Audio = AsyncIterator[bytes]


def payload(text: str) -> dict[str, object]:
    """Return the request that both transports send."""
    return {"text": text, "speaker": "Majd", "dialect": "ksa", "mulaw": False}


async def over_websocket(socket: object, text: str) -> Audio:
    """Synthesize over the client's own provider socket."""
    request = {"type": "tts", "payload": {**payload(text), "languageId": "ar"}}
    await socket.send(orjson.dumps(request).decode())  # type: ignore[attr-defined]
    async for frame in socket:  # type: ignore[attr-defined]
        if isinstance(frame, bytes):
            yield frame
        elif orjson.loads(frame)["type"] == "end":
            return


async def over_rest(http2: httpx.AsyncClient, text: str) -> Audio:
    """Synthesize over REST."""
    url = os.environ["HAMSA_REST_URL"] + "/v1/realtime/tts-stream"
    async with http2.stream("POST", url, json=payload(text)) as response:
        async for chunk in response.aiter_raw():
            yield chunk


async def send_audio(client: ServerConnection, audio: Audio, *, binary: bool) -> None:
    """Pass the audio of one sentence on to the client."""
    async for chunk in audio:
        if binary:
            await client.send(chunk)
            continue
        encoded = base64.b64encode(chunk).decode()
        event = {"type": "tts_chunk", "audio_base64": encoded}
        await client.send(orjson.dumps(event).decode())


async def main() -> None:
    """Serve until killed."""
    rest = os.environ["TTS_TRANSPORT"] == "rest"
    ask = AGENT_CLIENTS[os.environ["BASELINE_AGENT"]](os.environ["AGENT_WEBHOOK_URL"])
    http2 = httpx.AsyncClient(timeout=None, http1=False, http2=True, trust_env=False)  # noqa: S113

    async def session(client: ServerConnection) -> None:
        binary = False
        provider = None if rest else await connect(os.environ["HAMSA_WS_URL"], compression=None)
        async for message in client:
            request = orjson.loads(message)
            if request["type"] == "configure":
                binary = request["output"]["framing"] == "binary"
                continue
            sentence = ""
            async for line in ask({"text": request["text"], "session_id": "baseline"}):
                if not (token := orjson.loads(line).get("content")):
                    continue
                await client.send(orjson.dumps({"type": "token", "content": token}).decode())
                sentence += token
                if not sentence.rstrip().endswith("."):
                    continue
                text, sentence = sentence.strip(), ""
                audio = over_rest(http2, text) if rest else over_websocket(provider, text)
                await send_audio(client, audio, binary=binary)
            await client.send('{"type":"done"}')

    async with serve(session, "127.0.0.1", 0, compression=None, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"Open   http://127.0.0.1:{port}", flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
