"""Bodies of responses, and what `ResponseParser` makes of them."""

from pathlib import Path

from app.agents.parser_options import ParserOptions
from app.agents.response_parser import ResponseParser
from app.errors import AgentError, AgentFailedError

CAPTURES = Path(__file__).parent.parent / "data" / "n8n"
GREETING = (
    "أهلاً وسهلاً بك في خدمة العملاء. شحنتك وصلت إلى مدينة الرياض صباح اليوم. "
    "سيتصل بك المندوب قبل التسليم بساعة واحدة. هل تحتاج أي مساعدة أخرى؟"
)

EXPERT = "رأي الخبير: الشحنة في المستودع. وستصل غداً."

Failure = type[AgentError] | None


def read(body: bytes, size: int, node: str | None = None) -> tuple[str, AgentError | None]:
    """Return the text and the final error of a body that arrives in chunks of `size` bytes."""
    return read_chunks([body[at : at + size] for at in range(0, len(body), size)], node)


def read_cut_at(body: bytes, sizes: list[int]) -> tuple[str, AgentError | None]:
    """Return the text and the final error of a body that arrives in chunks of these sizes."""
    chunks, start = [], 0
    for size in [*sizes, len(body)]:
        chunks.append(body[start : start + size])
        start += size
    return read_chunks(chunks)


def read_chunks(chunks: list[bytes], node: str | None = None) -> tuple[str, AgentError | None]:
    parser = ResponseParser(ParserOptions(nodes=(node,) if node else ()))
    pieces: list[str] = []
    for chunk in chunks:
        pieces += parser.feed(chunk)
    pieces += parser.finish()
    assert all(pieces), "a piece was empty"
    return "".join(pieces), parser.final_error()


def check(body: bytes, text: str, failure: Failure, node: str | None = None) -> None:
    """Compare text and kind of error, however large the chunks are."""
    for size in (1, 3, 7, 64, len(body) or 1):
        received, error = read(body, size, node)
        assert received == text
        assert type(error) is (failure or type(None))


CAPTURED: list[tuple[str, str | None, str, Failure]] = [
    ("voice-stream", None, GREETING, None),
    ("demo-shape", None, GREETING, None),
    ("demo-shape", "Conversation Agent", GREETING, None),
    ("demo-shape", "Respond to Webhook", GREETING, None),
    ("demo-shape", "Absent Node", GREETING, None),
    ("voice-json", None, GREETING, None),
    ("tools-calculator", None, "لحظة من فضلك، سأتحقق. " + GREETING, None),
    ("two-agents", None, f"{GREETING}\n{EXPERT}", None),
    ("two-agents", "Voice Agent", GREETING, None),
    ("two-agents", "Second Agent", EXPERT, None),
    ("two-agents", "Third Agent", EXPERT, None),
    ("fail500", None, "", AgentFailedError),
    (
        "keepalive-30s",
        None,
        "أهلاً وسهلاً بك في خدمة العملاء. شحنتك وصلت ",
        AgentFailedError,
    ),
    (
        "newlines",
        None,
        'سطر أول.\nسطر ثانٍ مع "اقتباس" و\\شرطة.\n\n- بند 😀\u2028نهاية.\r\nتم.',
        None,
    ),
]
"""Bodies that n8n sent: name of the file, configured node, text, and failure."""
