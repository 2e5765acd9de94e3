"""The components of the voice pipeline that all sessions share."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from app.agents.base import Agent
from app.audio.decoding import Decoder, RecordingDecoder
from app.audio.preload import preload
from app.pipeline.conversation_metrics import ConversationMetrics
from app.pipeline.interruptions import UntoldInterruptions
from app.stt.base import Transcriber
from app.telemetry.tracing import Tracer
from app.text.sentence_splitter import FIRST_CHARS, MAX_CHARS
from app.transports.base import SpeechSynthesizer
from app.vad.base import CreateDetector


@dataclass(frozen=True, slots=True)
class PipelineComponents:
    """The strategies of the pipeline and their limits."""

    transcriber: Transcriber
    agent: Agent
    transport: SpeechSynthesizer
    """The default transport."""
    max_utterance_s: float
    """Longest utterance that is transcribed."""
    decoder: RecordingDecoder = field(default_factory=Decoder)
    """Decodes recordings; by default WAV alone."""
    max_response_chars: int = 20_000
    """Longest response of the agent that is spoken; the rest is cut."""
    max_sentence_chars: int = MAX_CHARS
    """Longest text of one synthesis request."""
    lookahead: int = 1
    """Sentences that are prefetched while one is played."""
    first_chunk_min_chars: int = FIRST_CHARS
    """Shortest clause that the speech of a response may begin with; 0: only a whole sentence."""
    create_detector: CreateDetector | None = None
    """Creates an utterance detector for a client that asks for `server_vad`; None: no VAD."""
    stt_early: bool = False
    """Whether a pause is transcribed speculatively, before it is known to end the utterance."""
    log_transcripts: bool = False
    """Whether log lines may hold the texts of the user and of the agent."""
    transports: Mapping[str, SpeechSynthesizer] = field(default_factory=dict)
    """Transports that a client may choose in place of the default, by name."""
    interruptions: UntoldInterruptions = field(default_factory=UntoldInterruptions)
    """What sessions have left untold."""
    metrics: ConversationMetrics = field(default_factory=ConversationMetrics)
    """Counts the turns of all sessions."""
    tracer: Tracer | None = None
    """Records a trace of each turn; None: traces are off."""

    async def warm_up(self) -> None:
        """Import and open what the first turn needs."""
        with ThreadPoolExecutor(1) as thread:  # of its own: it ends with its work
            await asyncio.get_running_loop().run_in_executor(thread, preload)
        await self.transcriber.warm_up()
        await self.transport.warm_up()
