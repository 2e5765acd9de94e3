"""DecoderProcess: a child that decodes strangers' recordings, and is killed when in doubt."""

import asyncio
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.decoder.frames import MAX_ERROR_BYTES, READY, REQUEST, RESPONSE, Kind
from app.errors import (
    BadInputError,
    EmptyAudioError,
    InternalError,
    UndecodableAudioError,
    UtteranceTooLongError,
)

START_TIMEOUT_S = 20.0
"""Longest wait for a child to be ready; it takes 0.1 s on an idle machine."""

BYTES_PER_SECOND = 32_000
"""Of PCM16 at 16 kHz."""

_ERRORS: dict[int, type[BadInputError]] = {
    Kind.EMPTY: EmptyAudioError,
    Kind.UNDECODABLE: UndecodableAudioError,
    Kind.TOO_LONG: UtteranceTooLongError,
}
_ROOT = Path(__file__).parents[2]
_INHERITED = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PYTHONHOME", "TZ")
"""All that a child gets of the environment: what Python needs, and no secret."""


class DecoderDiedError(UndecodableAudioError):
    """The child ended over a recording: it crashed, or went over a limit."""


class DecoderTimeoutError(UndecodableAudioError):
    """The child took too long over a recording."""


@dataclass(frozen=True, slots=True)
class DecoderLimits:
    """What a child may use for one recording."""

    timeout_s: float = 5.0
    """Time, and CPU time."""
    max_input_bytes: int = 10 * 1024 * 1024
    max_s: float = 120.0
    """Longest recording."""

    @property
    def max_output_bytes(self) -> int:
        """Most PCM16 that comes back; a filter may ring for some milliseconds more."""
        return math.ceil((self.max_s + 1) * BYTES_PER_SECOND)

    @property
    def max_growth_bytes(self) -> int:
        """Most memory that the child may map beyond what it starts with."""
        return _WORKING_BYTES + 2 * self.max_input_bytes + 2 * self.max_output_bytes


_WORKING_BYTES = 16 * 1024 * 1024
"""For FFmpeg's buffers and Python's own."""


class DecoderProcess:
    """Runs the child when it is needed; decodes one recording at a time."""

    def __init__(self, limits: DecoderLimits, command: Sequence[str] = ()) -> None:
        self._limits = limits
        self._command = command or (
            sys.executable, "-P", "-m", "app.decoder",
            str(limits.max_growth_bytes), str(math.ceil(limits.timeout_s)),
        )  # fmt: skip
        self._child: asyncio.subprocess.Process | None = None
        self._is_ready = False

    @property
    def is_running(self) -> bool:
        """Whether a child waits for a recording, or decodes one."""
        return self._is_ready and self._child is not None and self._child.returncode is None

    async def decode(self, data: bytes) -> bytes:
        """Return the PCM16 in a recording. Whatever goes wrong, or is cancelled, kills the child.

        Raises `EmptyAudioError`, `UndecodableAudioError` (also when the child took too long, used
        too much or crashed), `UtteranceTooLongError`, or `InternalError` when no child starts.
        """
        is_answered = False
        try:
            child = await self._started()
            async with asyncio.timeout(self._limits.timeout_s):
                kind, is_last, body = await self._exchange(child, data)
            is_answered = not is_last
        except TimeoutError:
            raise DecoderTimeoutError("it takes too long to decode") from None
        except (EOFError, ConnectionError) as error:
            raise DecoderDiedError("the decoder gave up on it") from error
        finally:
            if not is_answered:
                self.kill()
        if kind == Kind.PCM:
            return body
        raise _ERRORS[kind](body.decode(errors="replace"))

    def kill(self) -> None:
        """End the child at once; the next recording gets another."""
        self._is_ready = False
        if self._child is not None and self._child.returncode is None:
            self._child.kill()

    async def wait_ended(self) -> None:
        """Wait until a child that was killed is gone."""
        if self._child is not None:
            await self._child.wait()
            self._child = None

    async def _started(self) -> asyncio.subprocess.Process:
        """Return a child that is ready. Raises `InternalError`."""
        if self._child is not None and self.is_running:
            return self._child
        self.kill()
        await self.wait_ended()
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                self._child = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    env=_environment(),
                    limit=self._limits.max_output_bytes,
                    start_new_session=True,  # Ctrl-C is for the gateway
                )
                assert self._child.stdout is not None
                await self._child.stdout.readuntil(READY)
        except (OSError, EOFError) as error:  # OSError: TimeoutError, too
            raise InternalError("no decoder starts") from error
        self._is_ready = True
        return self._child

    async def _exchange(
        self, child: asyncio.subprocess.Process, data: bytes
    ) -> tuple[Kind, bool, bytes]:
        """Send a recording and take the response; one that cannot be is the end of the child."""
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(REQUEST.pack(self._limits.max_s, len(data)))
        child.stdin.write(data)
        await child.stdin.drain()
        number, is_last, size = RESPONSE.unpack(await child.stdout.readexactly(RESPONSE.size))
        if number not in list(Kind) or size > self._most_bytes(Kind(number)):
            raise EOFError("the decoder does not keep to its protocol")
        return Kind(number), is_last, await child.stdout.readexactly(size)

    def _most_bytes(self, kind: Kind) -> int:
        return self._limits.max_output_bytes if kind == Kind.PCM else MAX_ERROR_BYTES


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**kept, "PYTHONPATH": str(_ROOT)}
