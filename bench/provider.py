"""A speech provider and an agent that cost next to nothing: prepared bytes, sent when they are due.

`python -m bench.provider SPEED` prints its addresses as JSON and serves until its input ends. It
makes speech SPEED times as fast as it plays; 0 is at once. The simulator does all that a provider
may do; this does what is common, for hundreds of sessions on a part of one core. The first 8 bytes
of each answer's audio say when they left (`stamp`).
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
from bench.load import ANSWERS, BYTES_PER_CHAR, BYTES_PER_S, FIRST_AUDIO_S, FIRST_TOKEN_S, TOKEN_S

CHUNK_BYTES = BYTES_PER_S // 5
"""Five chunks a second of audio, as the simulator has it."""

Due = tuple[float, bytes]
"""What to send, and how long after the request."""


def stamp(chunk: bytes) -> bytes:
    """Write into the first 8 bytes when they leave; the clock is that of all processes."""
    return struct.pack("<q", time.monotonic_ns()) + chunk[8:]


def stamped_at(audio: bytes) -> float:
    """Read when audio left the provider, in seconds of the monotonic clock."""
    at_ns: int = struct.unpack_from("<q", audio)[0]
    return at_ns / 1e9


@functools.cache
def spoken(text: str) -> Sequence[Due]:
    """Lay out the audio of a text: about 100 ms a character."""
    speed = float(sys.argv[1])
    audio = bytes(range(1, 251)) * (len(text) * BYTES_PER_CHAR // 250)
    due, done = [], 0
    for chunk in split_into_chunks(audio, CHUNK_BYTES):
        made_s = done / BYTES_PER_S / speed if speed else 0.0
        due.append((FIRST_AUDIO_S + made_s, chunk))
        done += len(chunk)
    return due


@functools.cache
def written(text: str) -> Sequence[Due]:
    """Lay out the lines of the agent's answer, a word each."""
    words = [encode_line("item", piece) for piece in split_into_tokens(ANSWERS.get(text, text))]
    items = [(FIRST_TOKEN_S + number * TOKEN_S, word) for number, word in enumerate(words)]
    return [(0.0, encode_line("begin")), *items, (items[-1][0], encode_line("end"))]


async def _until(started_at: float, due_s: float) -> None:
    wait_s = started_at + due_s - asyncio.get_running_loop().time()
    if wait_s > 0:
        await asyncio.sleep(wait_s)


async def speak(socket: ServerConnection) -> None:
    """Answer one socket's requests, one after another."""
    loop = asyncio.get_running_loop()
    await socket.send('{"type":"info","payload":{"message":"Connected"}}')
    while True:
        try:
            message = await socket.recv()
        except ConnectionClosed:
            return
        started_at = loop.time()
        text = orjson.loads(message)["payload"]["text"]
        await socket.send('{"type":"ack","payload":{"message":"TTS"}}')
        for number, (due_s, chunk) in enumerate(spoken(text)):
            await _until(started_at, due_s)
            await socket.send(chunk if number else stamp(chunk))
        await socket.send('{"type":"end","payload":{"message":"End of TTS stream"}}')


class SpeechOverHttp2(asyncio.Protocol):
    """Answers the requests of one HTTP/2 connection."""

    def __init__(self) -> None:
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._bodies: dict[int, bytearray] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._granted = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Greet."""
        self._transport = transport
        self._h2.initiate_connection()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop answering."""
        for task in self._tasks.values():
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """Take requests."""
        for event in self._h2.receive_data(data):
            match event:
                case h2.events.RequestReceived(stream_id=stream):
                    self._bodies[stream] = bytearray()
                case h2.events.DataReceived(stream_id=stream, data=body):
                    self._bodies[stream] += body
                    self._h2.acknowledge_received_data(event.flow_controlled_length, stream)
                case h2.events.StreamEnded(stream_id=stream):
                    text = orjson.loads(self._bodies.pop(stream))["text"]
                    task = asyncio.get_running_loop().create_task(self._speak(stream, text))
                    self._tasks[stream] = task
                    task.add_done_callback(functools.partial(self._forget, stream))
                case h2.events.StreamReset(stream_id=stream) if stream in self._tasks:
                    self._tasks[stream].cancel()
                case h2.events.WindowUpdated():
                    self._granted.set()
        self._flush()

    def _forget(self, stream: int, _: asyncio.Task[None]) -> None:
        del self._tasks[stream]

    async def _speak(self, stream: int, text: str) -> None:
        started_at = asyncio.get_running_loop().time()
        self._h2.send_headers(stream, [(":status", "200"), ("content-type", "audio/wav")])
        for number, (due_s, chunk) in enumerate(spoken(text)):
            await _until(started_at, due_s)
            while self._h2.local_flow_control_window(stream) < len(chunk):
                self._granted.clear()
                await self._granted.wait()
            self._h2.send_data(stream, chunk if number else stamp(chunk))
            self._flush()
        self._h2.end_stream(stream)
        self._flush()

    def _flush(self) -> None:
        self._transport.write(self._h2.data_to_send())


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one HTTP/1.1 connection's questions to the agent, as n8n streams them."""
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
            for due_s, data in written(question["text"]):
                await _until(started_at, due_s)
                writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            writer.write(b"0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Serve until the input ends."""
    logging.disable()  # callers who hang up in the middle are no news here
    loop = asyncio.get_running_loop()
    http2 = await loop.create_server(SpeechOverHttp2, "127.0.0.1", 0, backlog=1024)
    agent = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    async with serve(
        speak, "127.0.0.1", 0, compression=None, ping_interval=None, backlog=1024
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
