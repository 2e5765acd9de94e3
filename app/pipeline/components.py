"""The strategies that all sessions share, and how they are used."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.agents.base import Agent
from app.audio.decoding import Decoder, RecordingDecoder
from app.stt.base import Transcriber
from app.telemetry.speech_metrics import SpeechMetrics
from app.text.sentence_splitter import FIRST_CHARS
from app.transports.base import TTSTransport
from app.vad.base import CreateDetector


@dataclass(frozen=True, slots=True)
class PipelineComponents:
    """The strategies of a conversation, shared by all sessions."""

    transcriber: Transcriber
    agent: Agent
    transport: TTSTransport
    max_utterance_s: float
    """Longest recording that is taken out of a stream."""
    decoder: RecordingDecoder = field(default_factory=Decoder)
    """Decodes recordings; by default WAV alone."""
    lookahead: int = 1
    """Sentences that are made ahead of the one that is played."""
    first_chunk_min_chars: int = FIRST_CHARS
    """Shortest clause that an answer's speech begins with; 0: only a whole sentence."""
    create_detector: CreateDetector | None = None
    """Opens a listener for clients that leave turn detection to the gateway."""
    stt_early: bool = False
    """Whether speech to text begins at a pause that may turn out not to be the end."""
    log_transcripts: bool = False
    """Whether a turn's log line may hold what was said."""
    transports: Mapping[str, TTSTransport] = field(default_factory=dict)
    """Those that a client may choose instead, by name."""

    metrics: SpeechMetrics = field(default_factory=SpeechMetrics)
    """Where attempts at speech are counted."""

    async def warm_up(self) -> None:
        """Open what the first turn would otherwise wait for."""
        await self.transcriber.warm_up()
        await self.transport.warm_up()
