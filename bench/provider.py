"""A speech provider and an agent that use very little CPU: prepared bytes, sent on a schedule.

`python -m bench.provider SPEED TRANSCRIPT` prints its addresses as JSON and serves until its input
ends. It sends audio SPEED times as fast as it plays; 0 sends it at once. It transcribes each
utterance as TRANSCRIPT. The simulator does everything that
a provider may do; this provider does only the regular case, for hundreds of sessions on a part of
one core. The first 8 bytes of each sentence's audio hold the time at which they were sent
(`timestamped`).
"""

import asyncio
import functools
import json
import logging
import struct
import sys
import time
from collections.abc import Sequence

import h2.config
import h2.connection
import h2.events
import orjson
import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from app.simulator.agent_plan import split_into_tokens
from app.simulator.n8n_webhook import encode_line
from app.simulator.tts import split_into_chunks
from bench.load import (
    BYTES_PER_CHAR,
    BYTES_PER_S,
    FIRST_AUDIO_S,
    FIRST_TOKEN_S,
    RESPONSES,
    STT_S,
    TOKEN_S,
)

CHUNK_BYTES = BYTES_PER_S // 5
"""Five chunks per second of audio, as in the simulator."""

Scheduled = tuple[float, bytes]
"""When to send, in seconds after the request, and what."""


def timestamped(chunk: bytes) -> bytes:
    """Replace the first 8 bytes by the time now, on the monotonic clock that processes share."""
    return struct.pack("<q", time.monotonic_ns()) + chunk[8:]


def sent_at(audio: bytes) -> float:
    """Return when audio left the provider, in seconds on the monotonic clock."""
    at_ns: int = struct.unpack_from("<q", audio)[0]
    return at_ns / 1e9


@functools.cache
def audio_schedule(text: str) -> Sequence[Scheduled]:
    """Schedule the audio of a text: about 100 ms per character."""
    speed = float(sys.argv[1])
    audio = bytes(range(1, 251)) * (len(text) * BYTES_PER_CHAR // 250)
    schedule, sent_bytes = [], 0
    for chunk in split_into_chunks(audio, CHUNK_BYTES):
        offset_s = sent_bytes / BYTES_PER_S / speed if speed else 0.0
        schedule.append((FIRST_AUDIO_S + offset_s, chunk))
        sent_bytes += len(chunk)
    return schedule


@functools.cache
def agent_schedule(question: str) -> Sequence[Scheduled]:
    """Schedule the lines of the agent's response, one word each."""
    words = [
        encode_line("item", piece) for piece in split_into_tokens(RESPONSES.get(question, question))
    ]
    items = [(FIRST_TOKEN_S + number * TOKEN_S, word) for number, word in enumerate(words)]
    return [(0.0, encode_line("begin")), *items, (items[-1][0], encode_line("end"))]


async def _sleep_until(started_at: float, offset_s: float) -> None:
    wait_s = started_at + offset_s - asyncio.get_running_loop().time()
    if wait_s > 0:
        await asyncio.sleep(wait_s)


async def serve_socket(socket: ServerConnection) -> None:
    """Serve the requests of one socket, one after another."""
    loop = asyncio.get_running_loop()
    await socket.send('{"type":"info","payload":{"message":"Connected"}}')
    while True:
        try:
            message = await socket.recv()
        except ConnectionClosed:
            return
        started_at = loop.time()
        request = orjson.loads(message)
        if request["type"] == "stt":
            await _sleep_until(started_at, STT_S)
            await socket.send(sys.argv[2])
            continue
        text = request["payload"]["text"]
        await socket.send('{"type":"ack","payload":{"message":"TTS"}}')
        for number, (offset_s, chunk) in enumerate(audio_schedule(text)):
            await _sleep_until(started_at, offset_s)
            await socket.send(chunk if number else timestamped(chunk))
        await socket.send('{"type":"end","payload":{"message":"End of TTS stream"}}')


class SpeechOverHttp2(asyncio.Protocol):
    """Serves the STT and TTS requests of one HTTP/2 connection."""

    def __init__(self) -> None:
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._bodies: dict[int, bytearray] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._window_updated = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Send the HTTP/2 preface."""
        self._transport = transport
        self._h2.initiate_connection()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all requests of the connection."""
        for task in self._tasks.values():
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """Start and cancel requests as frames arrive."""
        for event in self._h2.receive_data(data):
            match event:
                case h2.events.RequestReceived(stream_id=stream):
                    self._bodies[stream] = bytearray()
                case h2.events.DataReceived(stream_id=stream, data=body):
                    self._bodies[stream] += body
                    self._h2.acknowledge_received_data(event.flow_controlled_length, stream)
                case h2.events.StreamEnded(stream_id=stream):
                    request = orjson.loads(self._bodies.pop(stream))
                    task = asyncio.get_running_loop().create_task(self._respond(stream, request))
                    self._tasks[stream] = task
                    task.add_done_callback(functools.partial(self._remove, stream))
                case h2.events.StreamReset(stream_id=stream) if stream in self._tasks:
                    self._tasks[stream].cancel()
                case h2.events.WindowUpdated():
                    self._window_updated.set()
        self._flush()

    def _remove(self, stream: int, _: asyncio.Task[None]) -> None:
        del self._tasks[stream]

    async def _respond(self, stream: int, request: dict[str, str]) -> None:
        if "audioBase64" in request:
            await self._transcribe(stream)
        else:
            await self._synthesize(stream, request["text"])
        self._h2.end_stream(stream)
        self._flush()

    async def _transcribe(self, stream: int) -> None:
        await asyncio.sleep(STT_S)
        self._h2.send_headers(stream, [(":status", "200"), ("content-type", "application/json")])
        body = {"success": True, "data": {"text": sys.argv[2]}}
        self._h2.send_data(stream, orjson.dumps(body))

    async def _synthesize(self, stream: int, text: str) -> None:
        started_at = asyncio.get_running_loop().time()
        self._h2.send_headers(stream, [(":status", "200"), ("content-type", "audio/wav")])
        for number, (offset_s, chunk) in enumerate(audio_schedule(text)):
            await _sleep_until(started_at, offset_s)
            while self._h2.local_flow_control_window(stream) < len(chunk):
                self._window_updated.clear()
                await self._window_updated.wait()
            self._h2.send_data(stream, chunk if number else timestamped(chunk))
            self._flush()

    def _flush(self) -> None:
        self._transport.write(self._h2.data_to_send())


async def serve_agent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve the agent requests of one HTTP/1.1 connection, with streams as n8n sends them."""
    loop = asyncio.get_running_loop()
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            question = orjson.loads(await reader.readexactly(length))
            started_at = loop.time()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
            )
            for offset_s, data in agent_schedule(question["text"]):
                await _sleep_until(started_at, offset_s)
                writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            writer.write(b"0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Serve until the input ends."""
    logging.disable()  # else every caller that disconnects in the middle is logged
    loop = asyncio.get_running_loop()
    http2 = await loop.create_server(SpeechOverHttp2, "127.0.0.1", 0, backlog=1024)
    agent = await asyncio.start_server(serve_agent, "127.0.0.1", 0, backlog=1024)
    async with serve(
        serve_socket, "127.0.0.1", 0, compression=None, ping_interval=None, backlog=1024
    ) as sockets:
        addresses = {
            "HAMSA_WS_URL": f"ws://127.0.0.1:{_port(sockets)}/v1/realtime/ws",
            "HAMSA_REST_URL": f"http://127.0.0.1:{_port(http2)}",
            "AGENT_WEBHOOK_URL": f"http://127.0.0.1:{_port(agent)}/webhook/agent",
        }
        print(json.dumps(addresses), flush=True)
        await loop.run_in_executor(None, sys.stdin.read)


def _port(server: object) -> int:
    port: int = server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    return port


if __name__ == "__main__":
    uvloop.run(main())
