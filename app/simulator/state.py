"""SimulatorState: what all channels of one simulator share."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from app.simulator.config import SimulatorConfig
from app.simulator.faults import Channel, FaultInjector, FaultName, Operation, force_truncation
from app.simulator.profiles import Timing
from app.simulator.request_log import RequestLog, RequestRecord
from app.simulator.throttle import ThrottleWindow
from app.simulator.transcripts import Transcripts, canned_response
from app.simulator.tts import FaultDelays, StreamStep, TTSRequest, plan
from app.simulator.voice import SimulatedVoice, choose


class SimulatorState:
    """Hold the live configuration, the faults, the script, the voice and the ledger."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.faults = FaultInjector(config.seed, config.faults)
        self.script = Transcripts(config.script)
        self.voice = SimulatedVoice(choose(config.voice))
        self.throttle_window = ThrottleWindow()
        self.request_log = RequestLog()

    @property
    def timing(self) -> Timing:
        """Give the figures in force."""
        return self.config.effective_timing

    def configure(self, patch: Mapping[str, Any]) -> None:
        """Change the configuration while running; raises `ValueError` that names the field.

        Only what is named begins anew: a patched fault its count of times, a patched throttle its
        window, a patched seed all draws.
        """
        before, self.config = self.config, self.config.patched(patch)
        if "seed" in patch:
            self.faults = FaultInjector(self.config.seed, self.config.faults)
        if "script" in patch:
            self.script = Transcripts(self.config.script)
        if "throttle" in patch:
            self.throttle_window.clear()
        if "faults" in patch:
            named = before.faults if patch["faults"] is None else patch["faults"]
            for name in named:
                self._rearm(name)

    def clear_faults(self) -> None:
        """Take all faults away, and the throttle with them."""
        self.configure({"faults": None, "throttle": None})

    def draw(self, channel: Channel, operation: Operation, text: str = "") -> tuple[FaultName, ...]:
        """Draw the faults of one request and count them."""
        faults = self.faults.draw(channel, operation, text)
        self.request_log.stats.fired(faults)
        return faults

    @contextmanager
    def request(
        self,
        kind: Operation,
        channel: Channel,
        text: str = "",
        *,
        socket: int | None = None,
        throttled: bool = False,
    ) -> Iterator[RequestRecord]:
        """Keep a record of a request while it is served, with the faults that struck it."""
        with self.request_log.request(kind, channel, text, socket) as record:
            record.faults = self.draw(channel, kind, text)
            if throttled and kind == "tts":
                record.faults = force_truncation(record.faults)
            yield record

    async def speech(self, request: TTSRequest, faults: tuple[FaultName, ...]) -> list[StreamStep]:
        """Speak a text and lay out the answer."""
        audio = await self.voice.spoken(request.text, request.format)
        delays = FaultDelays(self.config.stall_ms / 1000, self.config.late_ms / 1000)
        return plan(audio, request.format, self.timing, faults, delays)

    def listening_s(self, faults: tuple[FaultName, ...]) -> float:
        """Give how long an utterance is listened to."""
        stalls = "stall" in faults or "stall_first" in faults
        return (self.timing.stt_ms + stalls * self.config.stall_ms) / 1000

    def transcript(self, record: RequestRecord, *, speech: bool) -> str:
        """Hear the next line of the script; silence has no words and uses up no line."""
        record.text = self.script.next_transcript() if speech else ""
        return record.text

    def answer(self, text: str) -> str:
        """Give the agent's whole answer to what a caller said."""
        return self.config.answers.get(text.strip()) or canned_response(text)

    def _rearm(self, name: FaultName) -> None:
        spec = self.config.faults.get(name)
        if spec is None:
            self.faults.disarm(name)
        else:
            self.faults.arm(name, spec)


class RequestClock:
    """Keep the time since one request came in, so that pacing errors do not add up."""

    def __init__(self) -> None:
        self._start = asyncio.get_running_loop().time()

    async def sleep_until(self, at_s: float) -> None:
        """Sleep until `at_s` seconds after the start; when that is past, only let others run."""
        await asyncio.sleep(max(0.0, self._start + at_s - asyncio.get_running_loop().time()))
