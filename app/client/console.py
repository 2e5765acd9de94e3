"""`nabra talk` at the terminal: what is typed, printed and saved."""

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

from app.client.client import Client, ClientError, Event, TurnResult, connect_client

_TURN_METRICS = {
    "stt_ms": "transcript",
    "agent_first_token_ms": "agent's first token",
    "first_sentence_ms": "first sentence",
    "first_audio_ms": "first audio",
    "agent_done_ms": "agent's last token",
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
    """Print a session while it happens."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._in_response = False

    def user(self, text: str) -> None:
        """Print what the user said."""
        self._line(f"You: {text}")

    def note(self, text: str) -> None:
        """Print a line about what this program did."""
        self._line(text)

    def show(self, event: Event) -> None:
        """Print an event of the gateway; skip those that are not for people."""
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

    def summary(self, result: TurnResult) -> None:
        """Print the latencies of a turn; print nothing for a turn that was rejected."""
        self._end_response()
        if not result.metrics and not result.audio:
            return
        self._console.print(_turn_table(result))
        if sentences := _sentences(result):
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


def _sentences(result: TurnResult) -> list[Event]:
    rows = result.metrics.get("sentences")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _turn_table(result: TurnResult) -> Table:
    table = Table(title="Turn", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("since the end of the utterance")
    table.add_column("ms", justify="right")
    for name, label in _TURN_METRICS.items():
        table.add_row(label, _cell(result.metrics.get(name)))
    table.add_row("first audio at the client", _cell(result.first_audio_ms))
    audio_ms = result.format.duration_ms(len(result.audio))
    table.add_row("length of the audio", _cell(audio_ms))
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
    token: str | None = None,
) -> bool:
    """Hold a session: the recording, then the texts, or without both what is typed.

    Returns whether every turn went without an error. Raises `ClientError`.
    """
    screen = Screen(Console())
    without_error = True
    turns = 0
    connecting = connect_client(url, session_id=session_id, timeout_s=timeout_s, token=token)
    async with connecting as client:
        async for result in _turns(client, screen, recording, texts):
            turns += 1
            screen.summary(result)
            if out:
                screen.note(_save(result, _numbered(out, turns)))
            without_error = without_error and not result.errors
    return without_error


async def _turns(
    client: Client, screen: Screen, recording: bytes | None, texts: Sequence[str]
) -> AsyncIterator[TurnResult]:
    if recording is not None:
        yield await client.send_recording(recording, screen.show)
    for text in texts:
        screen.user(text)
        yield await client.send_text(text, screen.show)
    if recording is None and not texts:
        async for text in _typed_lines():
            yield await client.send_text(text, screen.show)


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
    """Read a line; return nothing at the end of the input.

    The thread is our own: Ctrl-C would have to wait for a line if it were asyncio's.
    """
    loop = asyncio.get_running_loop()
    line: asyncio.Future[bytes] = loop.create_future()

    def deliver(data: bytes) -> None:
        if not line.done():
            line.set_result(data)

    def read() -> None:
        # Unbuffered, as the lock of a buffer would still be held when the program ends.
        with io.FileIO(sys.stdin.fileno(), closefd=False) as file:
            data = file.readline()
        with suppress(RuntimeError):  # the loop is closed, so the line is no longer awaited
            loop.call_soon_threadsafe(deliver, data)

    threading.Thread(target=read, name="read-line", daemon=True).start()
    return await line


def _numbered(path: Path, turn: int) -> Path:
    return path if turn == 1 else path.with_stem(f"{path.stem}-{turn}")


def _save(result: TurnResult, path: Path) -> str:
    if not result.audio:
        return f"no audio received; {path} not written"
    try:
        path.write_bytes(result.wav())
    except OSError as error:
        raise ClientError(f"cannot write {path}: {error.strerror}") from None
    return f"saved {path}"
