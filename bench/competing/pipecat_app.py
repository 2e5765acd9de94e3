"""A voice agent on Pipecat that speaks the part of Nabra's protocol that `bench.competitors` needs.

It does what its documentation suggests: the agent's tokens as frames of an LLM, a TTS service over
HTTP (made as `PiperHttpTTSService` is), sentences cut by Pipecat, a WebSocket transport. Its event
loop is uvloop, as Nabra's. It runs in an environment of its own:
`bench/competing/requirements.lock`.
"""

import json
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
import uvloop
from fastapi import FastAPI, WebSocket
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputTransportMessageFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

RATE_HZ = 16_000


class ClientSerializer(FrameSerializer):
    """JSON messages in, binary audio out."""

    async def serialize(self, frame: Frame) -> bytes | None:
        """Return the audio of a frame."""
        return frame.audio if isinstance(frame, OutputAudioRawFrame) else None

    async def deserialize(self, data: str | bytes) -> Frame | None:
        """Return a client's message as a frame."""
        return InputTransportMessageFrame(message=json.loads(data))


class Agent(FrameProcessor):
    """Asks the n8n webhook, and passes its tokens on as those of an LLM."""

    def __init__(self, http: aiohttp.ClientSession, session_id: str) -> None:
        super().__init__()
        self._http = http
        self._session_id = session_id

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Answer a typed question; pass all else on."""
        await super().process_frame(frame, direction)
        if not isinstance(frame, InputTransportMessageFrame):
            await self.push_frame(frame, direction)
        elif frame.message.get("type") == "text":
            self.create_task(self._answer(frame.message["text"]))

    async def _answer(self, text: str) -> None:
        await self.push_frame(LLMFullResponseStartFrame())
        body = {"text": text, "session_id": self._session_id}
        async with self._http.post(os.environ["AGENT_WEBHOOK_URL"], json=body) as response:
            async for line in response.content:
                if token := json.loads(line).get("content"):
                    await self.push_frame(LLMTextFrame(token))
        await self.push_frame(LLMFullResponseEndFrame())


class HamsaTTS(TTSService):
    """Hamsa's TTS over REST."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        super().__init__(
            push_start_frame=True,
            push_stop_frames=True,
            sample_rate=RATE_HZ,
            settings=TTSSettings(model=None, voice="Majd", language="ar"),
        )
        self._http = http
        self._url = os.environ["HAMSA_REST_URL"] + "/v1/realtime/tts-stream"

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Yield the audio of a sentence as it arrives."""
        body = {"text": text, "speaker": "Majd", "dialect": "ksa", "mulaw": False}
        headers = {"Authorization": f"Token {os.environ['HAMSA_API_KEY']}"}
        async with self._http.post(self._url, json=body, headers=headers) as response:
            if response.status != 200:
                yield ErrorFrame(error=f"HTTP {response.status}")
                return
            chunks = response.content.iter_chunked(self.chunk_size)
            async for frame in self._stream_audio_frames_from_iterator(
                chunks, strip_wav_header=True, context_id=context_id
            ):
                yield frame


@asynccontextmanager
async def lifespan(app: FastAPI):
    """Share one HTTP client between all sessions."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        app.state.http = http
        yield


app = FastAPI(lifespan=lifespan)


@app.websocket("/ws/agent/{session_id}/")
async def serve_client(websocket: WebSocket, session_id: str) -> None:
    """Run a pipeline for one client."""
    await websocket.accept()
    transport = FastAPIWebsocketTransport(
        websocket,
        FastAPIWebsocketParams(
            serializer=ClientSerializer(),
            audio_out_enabled=True,
            audio_out_sample_rate=RATE_HZ,
            allowed_origins=[],
        ),
    )
    agent, tts = Agent(app.state.http, session_id), HamsaTTS(app.state.http)
    worker = PipelineWorker(
        Pipeline([transport.input(), agent, tts, transport.output()]),
        params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
    )

    @transport.event_handler("on_client_disconnected")
    async def on_client_disconnected(*_: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


async def main() -> None:
    """Serve on a free port until killed."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    print(f"Open   http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    await server.serve(sockets=[listening])


if __name__ == "__main__":
    uvloop.run(main())
