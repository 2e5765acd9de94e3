"""SimulatorState: what all channels of one simulator share."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from app.simulator.agent_plan import AgentStep, plan_response
from app.simulator.config import SimulatorConfig
from app.simulator.faults import Channel, FaultInjector, FaultName, Operation, force_truncation
from app.simulator.profiles import Timing
from app.simulator.request_log import RequestLog, RequestRecord
from app.simulator.throttle import ThrottleWindow
from app.simulator.transcripts import Transcripts, canned_response
from app.simulator.tts import FaultDelays, StreamStep, TTSRequest, plan_stream
from app.simulator.voice import SimulatedVoice, choose_synthesizer


class SimulatorState:
    """Hold the live configuration, the faults, the transcripts, the voice and the request log."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.faults = FaultInjector(config.seed, config.faults)
        self.transcripts = Transcripts(config.script)
        self.voice = SimulatedVoice(choose_synthesizer(config.voice))
        self.throttle_window = ThrottleWindow()
        self.request_log = RequestLog()

    @property
    def timing(self) -> Timing:
        """The timing in force."""
        return self.config.effective_timing

    def configure(self, patch: Mapping[str, Any]) -> None:
        """Change the configuration while running. Raises `ValueError` that names the field.

        Only what the patch names starts afresh: a fault its count of times, the throttle its
        window, the seed all draws, the script its first line.
        """
        before, self.config = self.config, self.config.patched(patch)
        if "seed" in patch:
            self.faults = FaultInjector(self.config.seed, self.config.faults)
        if "script" in patch:
            self.transcripts = Transcripts(self.config.script)
        if "throttle" in patch:
            self.throttle_window.clear()
        if "faults" in patch:
            named = before.faults if patch["faults"] is None else patch["faults"]
            for name in named:
                self._rearm(name)

    def clear_faults(self) -> None:
        """Remove all faults, and the throttle with them."""
        self.configure({"faults": None, "throttle": None})

    def draw_faults(
        self, channel: Channel, operation: Operation, text: str = ""
    ) -> tuple[FaultName, ...]:
        """Draw the faults of one request, and count them."""
        faults = self.faults.draw(channel, operation, text)
        self.request_log.stats.faults.update(faults)
        return faults

    @contextmanager
    def record_request(
        self,
        kind: Operation,
        channel: Channel,
        text: str = "",
        *,
        socket: int | None = None,
        throttled: bool = False,
    ) -> Iterator[RequestRecord]:
        """Keep a record open while a request is served, with the faults that fire on it.

        `throttled` says that its socket was opened beyond the limit.
        """
        with self.request_log.record(kind, channel, text, socket) as record:
            record.faults = self.draw_faults(channel, kind, text)
            if throttled and kind == "tts":
                record.faults = force_truncation(record.faults)
            yield record

    async def plan_speech(
        self, request: TTSRequest, faults: tuple[FaultName, ...]
    ) -> list[StreamStep]:
        """Synthesize a text, and plan the audio stream."""
        audio = await self.voice.synthesize(request.text, request.format)
        delays = FaultDelays(self.config.stall_ms / 1000, self.config.late_ms / 1000)
        return plan_stream(audio, request.format, self.timing, faults, delays)

    def plan_agent_response(self, user_text: str, faults: tuple[FaultName, ...]) -> list[AgentStep]:
        """Plan the agent's response to what a user said."""
        text = self.config.answers.get(user_text.strip()) or canned_response(user_text)
        return plan_response(text, self.timing, faults, slow_s=self.config.agent_slow_ms / 1000)

    def transcription_delay_s(self, faults: tuple[FaultName, ...]) -> float:
        """Return how long a transcript takes, in seconds; a stall adds to it."""
        stalls = "stall" in faults or "stall_first" in faults
        return (self.timing.stt_ms + stalls * self.config.stall_ms) / 1000

    def transcribe(self, record: RequestRecord, *, has_speech: bool) -> str:
        """Return the next transcript; for silence an empty one, which uses up no line."""
        record.text = self.transcripts.next_transcript() if has_speech else ""
        return record.text

    def _rearm(self, name: FaultName) -> None:
        spec = self.config.faults.get(name)
        if spec is None:
            self.faults.disarm(name)
        else:
            self.faults.arm(name, spec)
