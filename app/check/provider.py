"""The provider: has one word spoken by socket and one by REST, and concludes what works."""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from app import errors
from app.audio import PCM16_16K
from app.check.report import Finding, Mark
from app.endpoints import Endpoints
from app.hamsa import wire
from app.hamsa.connection import Connection
from app.hamsa.rest import HamsaClient
from app.hamsa.tts_rest import PATH
from app.text.speakable import speakable_chars
from app.transports.completeness import max_expected_duration_ms, min_expected_duration_ms
from app.types import Voice

WORD = "نعم"
"""What is spoken: as little as possible, since it is paid for."""

AUDIO_TIMEOUT_S = 10.0
"""Longest wait for the word once connected; its first audio takes 0.3 to 1.7 s (`docs/hamsa.md`,
Timing)."""

MAX_AUDIO_S = max_expected_duration_ms(speakable_chars(WORD)) / 1000
"""More audio than this is no answer to one word."""


@dataclass(slots=True)
class SpokenWord:
    """What came of one word by one transport."""

    error: errors.ProviderError | None = None
    took_s: float = 0.0
    """Seconds until the last audio, with the time to connect."""
    audio_bytes: int = 0
    http_version: str | None = None

    @property
    def is_truncated(self) -> bool:
        """Return whether the audio is too short for the word, in spite of a regular end."""
        duration_ms = PCM16_16K.duration_ms(self.audio_bytes)
        return self.error is None and duration_ms < min_expected_duration_ms(speakable_chars(WORD))

    def add(self, audio: bytes) -> None:
        """Count audio. Raises `ProtocolError` where it goes on and on."""
        self.audio_bytes += len(audio)
        if PCM16_16K.duration_ms(self.audio_bytes) > MAX_AUDIO_S * 1000:
            raise errors.ProtocolError(f"more than {MAX_AUDIO_S:.0f} s of audio for one word")


async def check_provider(
    endpoints: Endpoints, client: HamsaClient, voice: Voice, *, connect_timeout_s: float
) -> list[Finding]:
    """Speak a word by each transport at once. Ends after both timeouts at the latest."""
    by_socket, by_rest = SpokenWord(), SpokenWord()
    timeout_s = connect_timeout_s + AUDIO_TIMEOUT_S
    speaking = (
        (by_socket, _speak_by_socket(endpoints, voice, by_socket, connect_timeout_s)),
        (by_rest, _speak_by_rest(client, voice, by_rest)),
    )
    async with asyncio.TaskGroup() as group:
        for word, work in speaking:
            group.create_task(_finish(word, work, timeout_s), name="check-word")
    findings = [
        _transport_finding("socket", "HAMSA_WS_URL", by_socket),
        _transport_finding("REST", "HAMSA_REST_URL", by_rest),
        _http2_finding(by_rest),
    ]
    if endpoints.simulated_voice is not None:
        return findings  # the simulator has no accounts
    words = (by_socket, by_rest)
    return [_key_finding(words), _balance_finding(words), *findings]


async def _finish(word: SpokenWord, work: Awaitable[None], timeout_s: float) -> None:
    """Wait for a word, and note what became of it."""
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    try:
        async with asyncio.timeout(timeout_s):
            await work
    except TimeoutError:
        word.error = errors.ProviderTimeoutError(f"no word within {timeout_s:g} s")
    except errors.ProviderError as error:
        word.error = error
    word.took_s = loop.time() - began_at


async def _speak_by_socket(
    endpoints: Endpoints, voice: Voice, word: SpokenWord, connect_timeout_s: float
) -> None:
    connection = await Connection.open(
        endpoints.ws_url, endpoints.key, connect_timeout_s=connect_timeout_s
    )
    try:
        request = wire.tts_request(
            WORD, speaker=voice.speaker, dialect=voice.dialect, language="ar", format=PCM16_16K
        )
        await connection.send(request, max_audio_s=MAX_AUDIO_S)
        while not isinstance(frame := await connection.receive(), wire.End):
            if isinstance(frame, wire.Failure):
                raise frame.error
            if isinstance(frame, wire.Audio):
                word.add(frame.data)
    finally:
        await connection.close()


async def _speak_by_rest(client: HamsaClient, voice: Voice, word: SpokenWord) -> None:
    payload = wire.tts_payload(WORD, speaker=voice.speaker, dialect=voice.dialect, format=PCM16_16K)
    async with client.post(PATH, payload) as response, aclosing(response.chunks()) as chunks:
        word.http_version = response.http_version
        async for chunk in chunks:
            word.add(chunk)


def _key_finding(words: Sequence[SpokenWord]) -> Finding:
    for word in words:
        if isinstance(word.error, errors.AuthenticationError):
            advice = "write the key of your account into HAMSA_API_KEY"
            return Finding(Mark.FAILED, f"key: {word.error}: {advice}")
    if any(_has_accepted_key(word.error) for word in words):
        return Finding(Mark.OK, "key: accepted")
    return Finding(Mark.UNKNOWN, "key: not known, as nothing was answered that tells")


def _has_accepted_key(error: errors.ProviderError | None) -> bool:
    return error is None or isinstance(error, errors.QuotaExceededError | errors.RefusedError)


def _balance_finding(words: Sequence[SpokenWord]) -> Finding:
    for word in words:
        if isinstance(word.error, errors.QuotaExceededError):
            advice = "top up the account, or raise its limit"
            return Finding(Mark.FAILED, f"balance: {word.error}: {advice}")
    if any(word.error is None for word in words):
        return Finding(Mark.OK, "balance: enough for a word; the provider tells no more")
    return Finding(Mark.UNKNOWN, "balance: not known, as nothing was answered that tells")


def _transport_finding(name: str, setting: str, word: SpokenWord) -> Finding:
    match word.error:
        case None if word.is_truncated:
            return Finding(
                Mark.WARNING,
                f"{name}: the audio was truncated to {word.audio_bytes} bytes, as happens where "
                "sockets are opened quickly. The gateway repeats such attempts; check again in a "
                "minute",
            )
        case None:
            return Finding(Mark.OK, f"{name}: spoke a word in {word.took_s:.1f} s")
        case errors.AuthenticationError():
            return Finding(Mark.UNKNOWN, f"{name}: not known, as the key was refused")
        case errors.QuotaExceededError():
            return Finding(Mark.UNKNOWN, f"{name}: not known, as the account has no funds")
        case error:
            return Finding(Mark.FAILED, f"{name}: {error}: {_advice(error, setting)}")


def _advice(error: errors.ProviderError, setting: str) -> str:
    """Return what to do about a transport that fails; `setting` names its address."""
    match error:
        case errors.RefusedError():
            return "check TTS_SPEAKER and TTS_DIALECT"
        case errors.ConnectError() | errors.ProviderTimeoutError():
            return f"check {setting}, the address of its name (DNS), the firewall and the proxy"
        case _:
            return "check again; if it stays, ask the provider"


def _http2_finding(word: SpokenWord) -> Finding:
    match word.http_version:
        case None:
            return Finding(Mark.UNKNOWN, "HTTP/2: not known, as REST failed before")
        case "HTTP/2":
            return Finding(Mark.OK, "HTTP/2: spoken")
        case version:
            return Finding(
                Mark.WARNING,
                f"HTTP/2: REST speaks {version}, as through a proxy. It works, with a connection "
                "for each sentence at a time; a server without TLS needs "
                "HAMSA_REST_HTTP2=prior_knowledge",
            )
