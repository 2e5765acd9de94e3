"""The floor: a relay that makes the same calls as the gateway, on bare libraries, checks nothing.

No pool, no retry, no judging, no timeouts, no metrics, no interruption: one provider socket a
client, or one HTTP/2 client for all, and the next sentence is asked for when the last one has
come. What the gateway costs above it is the price of what it promises.
"""

import asyncio
import base64
import os
from collections.abc import AsyncIterator

import httpx
import orjson
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from bench.baseline_agents import CLIENTS

Speak = AsyncIterator[bytes]


def payload(text: str) -> dict[str, object]:
    """Return what both ways ask for."""
    return {"text": text, "speaker": "Majd", "dialect": "ksa", "mulaw": False}


async def by_socket(socket: object, text: str) -> Speak:
    """Speak over the client's own provider socket."""
    request = {"type": "tts", "payload": {**payload(text), "languageId": "ar"}}
    await socket.send(orjson.dumps(request).decode())  # type: ignore[attr-defined]
    async for frame in socket:  # type: ignore[attr-defined]
        if isinstance(frame, bytes):
            yield frame
        elif orjson.loads(frame)["type"] == "end":
            return


async def by_rest(http2: httpx.AsyncClient, text: str) -> Speak:
    """Speak over REST."""
    url = os.environ["HAMSA_REST_URL"] + "/v1/realtime/tts-stream"
    async with http2.stream("POST", url, json=payload(text)) as response:
        async for chunk in response.aiter_raw():
            yield chunk


async def main() -> None:
    """Serve until killed."""
    rest = os.environ["TTS_TRANSPORT"] == "rest"
    ask = CLIENTS[os.environ["FLOOR_AGENT"]](os.environ["AGENT_WEBHOOK_URL"])
    http2 = httpx.AsyncClient(timeout=None, http1=False, http2=True, trust_env=False)  # noqa: S113

    async def session(client: ServerConnection) -> None:
        binary = False
        provider = None if rest else await connect(os.environ["HAMSA_WS_URL"], compression=None)
        async for message in client:
            asked = orjson.loads(message)
            if asked["type"] == "configure":
                binary = asked["output"]["framing"] == "binary"
                continue
            sentence = ""
            async for line in ask({"text": asked["text"], "session_id": "floor"}):
                if not (piece := orjson.loads(line).get("content")):
                    continue
                await client.send(orjson.dumps({"type": "token", "content": piece}).decode())
                sentence += piece
                if not sentence.rstrip().endswith("."):
                    continue
                text, sentence = sentence.strip(), ""
                async for chunk in by_rest(http2, text) if rest else by_socket(provider, text):
                    if binary:
                        await client.send(chunk)
                        continue
                    audio = base64.b64encode(chunk).decode()
                    event = {"type": "tts_chunk", "audio_base64": audio}
                    await client.send(orjson.dumps(event).decode())
            await client.send('{"type":"done"}')

    async with serve(session, "127.0.0.1", 0, compression=None, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"Open   http://127.0.0.1:{port}", flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
