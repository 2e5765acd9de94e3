"""A client of the gateway: send a turn, follow its events, measure it."""

import asyncio
import base64
import binascii
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from app.audio import AudioFormat, decode_mulaw, wav

Event = Mapping[str, Any]
EventHandler = Callable[[Event], None]

_HEADER_VALUE = re.compile(r"[!-~]+")
_MAX_REFUSAL_CHARS = 300


class ClientError(Exception):
    """The session cannot continue; the message is one line for people."""


@dataclass(slots=True)
class TurnResult:
    """What the gateway sent in one turn."""

    text: str = ""
    """The agent's response."""
    audio: bytearray = field(default_factory=bytearray)
    format: AudioFormat = field(default_factory=AudioFormat)
    first_audio_ms: float | None = None
    """From message sent to first audio received, measured by the client."""
    metrics: Event = field(default_factory=dict)
    """What the gateway measured: `done.metrics`."""
    errors: list[Event] = field(default_factory=list)

    def wav(self) -> bytes:
        """Return the audio as a WAVE file of PCM16."""
        pcm = bytes(self.audio)
        if self.format.encoding == "mulaw":
            pcm = decode_mulaw(pcm)
        return wav(pcm, AudioFormat(sample_rate_hz=self.format.sample_rate_hz))


class Client:
    """One session with a gateway, one turn at a time.

    Every method sends a turn, calls `handler` with each of its events, and returns when the turn is
    over. It raises `ClientError` if the session cannot continue.
    """

    def __init__(self, connection: ClientConnection, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._finished_turn = -1
        self._message_count = 0

    async def send_text(self, text: str, handler: EventHandler) -> TurnResult:
        """Send a typed turn."""
        return await self._send({"type": "text", "text": text}, handler)

    async def send_recording(self, recording: bytes, handler: EventHandler) -> TurnResult:
        """Send a spoken turn: a whole recording, in any format that the gateway decodes."""
        return await self._send({"audio_base64": base64.b64encode(recording).decode()}, handler)

    async def _send(self, message: Event, handler: EventHandler) -> TurnResult:
        self._message_count += 1
        message_id = str(self._message_count)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._connection.send(json.dumps({**message, "id": message_id}))
            return await self._receive(message_id, handler)
        except ConnectionClosed as error:
            raise ClientError(_closed(error)) from None
        except binascii.Error:
            raise ClientError("the gateway sent audio that is not base64") from None
        except TimeoutError:
            raise ClientError(f"the gateway was silent for {self._timeout_s:g} s") from None

    async def _receive(self, message_id: str, handler: EventHandler) -> TurnResult:
        """Collect the events of a turn; skip late events of the turns before it."""
        loop = asyncio.get_running_loop()
        sent_at = loop.time()
        result = TurnResult()
        while True:
            event = await self._next_event()
            if self._is_of_earlier_turn(event):
                continue
            _collect(event, result)
            if result.audio and result.first_audio_ms is None:
                result.first_audio_ms = (loop.time() - sent_at) * 1000
            handler(event)
            if _is_last_event(event, message_id):
                self._finished_turn = max(self._finished_turn, _turn_number(event))
                return result

    async def _next_event(self) -> Event:
        async with asyncio.timeout(self._timeout_s):
            frame = await self._connection.recv()
        if isinstance(frame, bytes):
            return {"type": "audio", "audio": frame}
        try:
            event = json.loads(frame)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise ClientError("the gateway sent a frame that is not an event: check the address")
        return event

    def _is_of_earlier_turn(self, event: Event) -> bool:
        return 0 <= _turn_number(event) <= self._finished_turn


class _NoRedirects(connect):
    """Connects without following redirects: the token must not be sent to another host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


@asynccontextmanager
async def connect_client(
    url: str, *, session_id: str | None = None, timeout_s: float = 60.0, token: str | None = None
) -> AsyncIterator[Client]:
    """Open a session, and close it on leaving.

    `timeout_s` limits connecting, and the time without any event of the gateway. Without a
    `session_id` the gateway chooses one. `token` is a token or a client key. Raises `ClientError`.
    """
    public_url = _without_secrets(url)
    headers = _authorization(token)
    try:
        address = _address(url, session_id)
        connection = await _NoRedirects(
            address,
            additional_headers=headers,
            compression=None,
            max_size=None,
            proxy=None,
            open_timeout=timeout_s,
        )
    except (InvalidURI, ValueError):
        raise ClientError(f"address must begin with ws:// or wss://, got {public_url}") from None
    except InvalidStatus as error:
        raise ClientError(f"{public_url} refused: {_refusal(error, token)}") from None
    except (InvalidHandshake, ConnectionClosed):
        raise ClientError(f"{public_url} does not speak WebSocket") from None
    except TimeoutError:
        raise ClientError(f"{public_url} did not respond within {timeout_s:g} s") from None
    except OSError as error:
        raise ClientError(f"cannot connect to {public_url}: {_reason(error)}") from None
    try:
        yield Client(connection, timeout_s)
    finally:
        await connection.close()


def _address(url: str, session_id: str | None) -> str:
    if session_id is None:
        return url
    parts = urlsplit(url)
    path = f"{parts.path.rstrip('/')}/{quote(session_id, safe='')}/"
    return urlunsplit(parts._replace(path=path))


def _without_secrets(url: str) -> str:
    """Remove the query, which may hold a token, and user and password."""
    scheme, mark, rest = url.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


def _authorization(token: str | None) -> dict[str, str]:
    if not token:
        return {}
    if not _HEADER_VALUE.fullmatch(token):
        raise ClientError("the token must be ASCII without blanks: copy it again")
    return {"Authorization": f"Bearer {token}"}


def _refusal(error: InvalidStatus, token: str | None) -> str:
    """Describe a refused handshake in one line; the gateway's words never show the token."""
    status = error.response.status_code
    code, message = _denial(bytes(error.response.body or b""))
    if code == "invalid-session-id":
        return "session id must have 1 to 128 of the characters A-Z a-z 0-9 . _ ~ : @ -"
    if not code:
        is_elsewhere = status in (403, 404)
        return f"HTTP {status}: the path must be /ws/agent/" if is_elsewhere else f"HTTP {status}"
    retry_after = error.response.headers.get("Retry-After", "")
    advice = f"; try again in {retry_after} s" if retry_after.isdecimal() else ""
    text = f"{code}: {message}"
    if token:
        text = text.replace(token, "…")
    return f"HTTP {status}, {_one_line(text)}{advice}"


def _denial(body: bytes) -> tuple[str, str]:
    """Return code and message of the gateway's refusal; both are empty if it is not one."""
    try:
        found = json.loads(body)
    except ValueError:
        return "", ""
    if not isinstance(found, dict) or not isinstance(found.get("code"), str):
        return "", ""
    return found["code"], str(found.get("message", ""))


def _one_line(text: str) -> str:
    """Remove what could steer a terminal, and what is too long for a line."""
    return "".join(char if char.isprintable() else " " for char in text)[:_MAX_REFUSAL_CHARS]


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return "connection refused (is `nabra serve` running?)"
    return error.strerror or str(error)


def _closed(error: ConnectionClosed) -> str:
    if error.rcvd is None:
        return "connection to the gateway lost"
    reason = f", {error.rcvd.reason}" if error.rcvd.reason else ""
    return f"the gateway closed the connection ({error.rcvd.code}{reason})"


def _collect(event: Event, result: TurnResult) -> None:
    """Add what an event brings; unknown events, of a later protocol, bring nothing."""
    match event:
        case {"type": "token", "content": str(content)}:
            result.text += content
        case {"type": "agent_response", "text": str(text)}:
            result.text = text
        case {"type": "tts_start"}:
            result.format = _format(event)
        case {"type": "tts_chunk", "audio_base64": str(audio)}:
            result.audio += base64.b64decode(audio)
        case {"type": "audio", "audio": bytes(audio)}:
            result.audio += audio
        case {"type": "error"}:
            result.errors.append(event)
        case {"type": "done", "metrics": dict(metrics)}:
            result.metrics = metrics


def _format(event: Event) -> AudioFormat:
    encoding, rate_hz = event.get("encoding", "pcm_s16le"), event.get("sample_rate", 16_000)
    if encoding not in ("pcm_s16le", "mulaw") or not isinstance(rate_hz, int):
        raise ClientError(f"this client cannot play {encoding} at {rate_hz} Hz")
    return AudioFormat(encoding, rate_hz)


def _is_last_event(event: Event, message_id: str) -> bool:
    """Return whether the turn is over: done, interrupted, or rejected before it began."""
    if event.get("type") == "error":
        return event.get("in_reply_to") == message_id and "turn" not in event
    return event.get("type") in ("done", "interrupted")


def _turn_number(event: Event) -> int:
    turn = event.get("turn")
    return turn if isinstance(turn, int) else -1
