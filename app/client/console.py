"""The terminal's side of a conversation: what is typed, what is printed, what is saved."""

import asyncio
import io
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from app.client.client import Client, ClientError, Event, Reply, connect_client

_TURN_METRICS = {
    "stt_ms": "speech to text",
    "agent_first_token_ms": "agent, first word",
    "first_sentence_ms": "first sentence",
    "first_audio_ms": "first audio",
    "agent_done_ms": "agent, last word",
    "total_ms": "whole turn",
}
_SENTENCE_COLUMNS = {
    "index": "#",
    "chars": "chars",
    "transport": "transport",
    "attempts": "attempts",
    "connection": "connection",
    "ttfb_ms": "ttfb ms",
    "audio_ms": "audio ms",
    "faults": "faults",
}


class Screen:
    """Print a conversation as it happens."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._in_response = False

    def user(self, text: str) -> None:
        """Print what the user said."""
        self._line(f"You: {text}")

    def note(self, text: str) -> None:
        """Print a remark of this program."""
        self._line(text)

    def show(self, event: Event) -> None:
        """Print an event of the gateway; those that are not for people are left out."""
        match event:
            case {"type": "transcription", "text": str(text)}:
                self.user(text)
            case {"type": "token", "content": str(content)}:
                self._show_response(content)
            case {"type": "agent_response", "text": str(text)} if not self._in_response:
                self._show_response(text)
            case {"type": "interrupted"}:
                self._line("(interrupted)")
            case {"type": "error"}:
                self._line(f"error {event.get('code', '?')}: {event.get('message', '')}")

    def summary(self, reply: Reply) -> None:
        """Print how long everything took; nothing for a turn that never began."""
        self._end_response()
        if not reply.metrics and not reply.audio:
            return
        self._console.print(_turn_table(reply))
        if sentences := _sentences(reply):
            self._console.print(_sentence_table(sentences))

    def _show_response(self, text: str) -> None:
        if not self._in_response:
            self._in_response = True
            text = f"Agent: {text}"
        self._print(text, end="")

    def _end_response(self) -> None:
        if self._in_response:
            self._in_response = False
            self._print("")

    def _line(self, text: str) -> None:
        self._end_response()
        self._print(text)

    def _print(self, text: str, end: str = "\n") -> None:
        self._console.print(text, end=end, markup=False, highlight=False, soft_wrap=True)


def _sentences(reply: Reply) -> list[Event]:
    rows = reply.metrics.get("sentences")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _turn_table(reply: Reply) -> Table:
    table = Table(title="Turn", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("since the end of the utterance")
    table.add_column("ms", justify="right")
    for name, label in _TURN_METRICS.items():
        table.add_row(label, _cell(reply.metrics.get(name)))
    table.add_row("first audio, measured here", _cell(reply.first_audio_ms))
    audio_ms = reply.format.duration_ms(len(reply.audio))
    table.add_row("length of the reply", _cell(audio_ms))
    return table


def _sentence_table(sentences: Sequence[Event]) -> Table:
    table = Table(title="Sentences", title_justify="left", box=SIMPLE_HEAD)
    for label in tuple(_SENTENCE_COLUMNS.values())[:-1]:
        table.add_column(label, justify="right", no_wrap=True)
    table.add_column(_SENTENCE_COLUMNS["faults"], overflow="fold")
    for sentence in sentences:
        table.add_row(*(_cell(sentence.get(name)) for name in _SENTENCE_COLUMNS))
    return table


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        return f"{value:,.0f}"
    if isinstance(value, list):
        counts = Counter(str(item) for item in value)
        return ", ".join(f"{n} × {item}" if n > 1 else item for item, n in counts.items()) or "–"
    return "–" if value is None else str(value)


async def converse(
    url: str,
    *,
    session_id: str | None,
    timeout_s: float,
    recording: bytes | None,
    texts: Sequence[str],
    out: Path | None,
) -> bool:
    """Hold a conversation; tell whether it went without an error. Raises `TalkError`."""
    screen = Screen(Console())
    clean = True
    replies = 0
    async with connect_client(url, session_id=session_id, timeout_s=timeout_s) as session:
        async for reply in _replies(session, screen, recording, texts):
            replies += 1
            screen.summary(reply)
            if out:
                screen.note(_save(reply, _numbered(out, replies)))
            clean = clean and not reply.errors
    return clean


async def _replies(
    session: Client, screen: Screen, recording: bytes | None, texts: Sequence[str]
) -> AsyncIterator[Reply]:
    if recording is not None:
        yield await session.send_recording(recording, screen.show)
    for text in texts:
        screen.user(text)
        yield await session.send_text(text, screen.show)
    if recording is None and not texts:
        async for text in _typed_lines():
            yield await session.send_text(text, screen.show)


async def _typed_lines() -> AsyncIterator[str]:
    prompt = "> " if sys.stdin.isatty() else ""
    while True:
        sys.stdout.write(prompt)
        sys.stdout.flush()
        line = await _read_line()
        if not line:
            return
        if text := line.decode(errors="replace").strip():
            yield text


async def _read_line() -> bytes:
    """Read a line; empty at the end.

    A thread of our own, because asyncio's would keep Ctrl-C waiting for another line.
    """
    loop = asyncio.get_running_loop()
    line: asyncio.Future[bytes] = loop.create_future()

    def deliver(data: bytes) -> None:
        if not line.done():
            line.set_result(data)

    def read() -> None:
        # Unbuffered: a lock on a buffer would still be held when the program ends.
        with io.FileIO(sys.stdin.fileno(), closefd=False) as file:
            data = file.readline()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(deliver, data)

    threading.Thread(target=read, name="read-line", daemon=True).start()
    return await line


def _numbered(path: Path, turn: int) -> Path:
    return path if turn == 1 else path.with_stem(f"{path.stem}-{turn}")


def _save(reply: Reply, path: Path) -> str:
    if not reply.audio:
        return f"no audio came, so {path} was not written"
    try:
        path.write_bytes(reply.wav())
    except OSError as error:
        raise ClientError(f"cannot write {path}: {error.strerror}") from None
    return f"saved {path}"
