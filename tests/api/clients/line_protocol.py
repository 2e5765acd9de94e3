"""A toy client protocol, and an application that serves it: lines of text, and bare audio.

→ NOTE my order is 7        text that waits
→ SAY where is it?          text, and a response to it
→ LANGUAGE en               ← LANGUAGE en
→ (audio) … COMMIT          an utterance
→ ECHO anything             ← ECHO anything
← BEGIN 0, (audio), END 0   a sentence
← DONE 1, STOPPED 1, REFUSED empty-text
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from app.api.access import AccessControl, AccessOptions
from app.api.clients.base import Frame, Reply, Translator
from app.api.connection import VoiceEndpoint
from app.api.usage import SessionLimits, Usage, UsageLimits
from app.errors import UnknownMessageError
from app.pipeline import commands, events
from app.pipeline.components import PipelineComponents
from app.pipeline.session_config import InputLimits, SessionTerms
from app.serving.process import listen
from tests.pipeline.fakes import STYLE


@dataclass
class Echo(Reply):
    text: str


class LineTranslator(Translator):
    """Has no numbers, no JSON, and several frames for one event."""

    name = "lines"

    def __init__(self, terms: SessionTerms) -> None:
        self._config = terms.config

    async def read(self, frame: Frame) -> Sequence[commands.Command | Reply]:
        if isinstance(frame, bytes):
            return (commands.AppendAudio(frame),)
        word, _, text = frame.partition(" ")
        match word:
            case "NOTE":
                return (commands.AddText(text),)
            case "SAY":
                return (commands.AddText(text), commands.Respond())
            case "COMMIT":
                return (commands.Commit(),)
            case "STOP":
                return (commands.Cancel(),)
            case "ECHO":
                return (Echo(text),)
            case "LANGUAGE":
                style = replace(self._config.style, language="en" if text == "en" else "ar")
                return (commands.Configure(replace(self._config, style=style)),)
        raise UnknownMessageError(word)

    def write(self, event: events.Event | Reply) -> Iterator[Frame]:
        match event:
            case events.AudioChunk(_, data):
                for at in range(0, len(data), 640):
                    yield data[at : at + 640]
            case events.SentenceStarted(_, index):
                yield f"BEGIN {index}"
            case events.SentenceEnded(_, index):
                yield f"END {index}"
            case events.TurnDone(turn):
                yield f"DONE {turn}"
            case events.Interrupted(turn):
                yield f"STOPPED {turn}"
            case events.Configured(config):
                self._config = config
                yield f"LANGUAGE {config.style.language}"
            case events.Failed(error):
                yield f"REFUSED {error.code}"
            case Echo(text):
                yield f"ECHO {text}"


@asynccontextmanager
async def line_gateway(
    components: PipelineComponents, session_limits: SessionLimits | None = None
) -> AsyncIterator[str]:
    """Serve the protocol, with these components, on a free port; yield its URL."""
    endpoint = VoiceEndpoint(
        components,
        STYLE,
        InputLimits(utterance_bytes=100_000, text_chars=100),
        LineTranslator,
        access=AccessControl(AccessOptions()),
        usage=Usage(UsageLimits()),
        session_limits=session_limits,
    )

    async def serve(websocket: WebSocket) -> None:
        await endpoint.serve(websocket)

    app = Starlette(routes=[WebSocketRoute("/lines", serve)])
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="websockets-sansio"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/lines"
    finally:
        server.should_exit = True
        await task
        listener.close()
