"""n8n's streaming answer: lines from several nodes, of which one is spoken."""

from app.agents.json_response import answer_in, parse, whole_characters
from app.agents.text_assembler import TextAssembler
from app.errors import AgentCutError, AgentEmptyError, AgentError, AgentFailedError

_MAX_REASON_CHARS = 200  # of the agent's own words in an error's text
_TYPES = ("begin", "item", "end", "error", "keepalive")


def is_stream_line(value: object) -> bool:
    """Tell whether `value` is a line of a stream."""
    return isinstance(value, dict) and value.get("type") in _TYPES


class N8nStreamParser:
    """Pick out what one node says, and judge at the end whether it is whole.

    Speaks `node`, or the first node that sends text. An error of another node, after the spoken
    node has ended its run, leaves the answer whole: the caller heard all of it, so it is for the
    log alone. Any other error means failure; what was said before stays said.
    """

    def __init__(self, node: str | None) -> None:
        self.progress = 0
        """Signs of work so far; `keepalive` and empty items are none."""
        self.error: str | None = None
        """What the last `error` line said."""
        self.failing = False
        """Whether no sign of work came since that line."""
        self._node = node
        self._own_error = False
        self._open = False
        self._item_index: object = None
        self._joiner = TextAssembler()
        self._spare: str | None = None

    def feed(self, line: dict[str, object]) -> str:
        """Take one line in, and return what it adds to the answer; an unknown type adds nothing."""
        metadata = line.get("metadata")
        if not isinstance(metadata, dict):
            metadata = {}
        node, content = metadata.get("nodeName", ""), line.get("content")
        match line.get("type"):
            case "begin":
                self._bound(node, opened=True)
            case "end":
                self._bound(node, opened=False)
            case "item" if isinstance(content, str) and content:
                return self._item(node, content, metadata.get("itemIndex"))
            case "error":
                self.error, self.failing = _reason(content), True
                self._own_error = self._own_error or node == self._node
        return ""

    def finish(self) -> str:
        """Return what is said only if the spoken node said nothing: the answer in JSON."""
        return "" if self._joiner.said else self._spare or ""

    def verdict(self) -> AgentError | None:
        """Say what the answer lacks now that the body has ended; None when it is whole."""
        said = self._joiner.said
        if self.error is not None and (
            self._own_error or (self._open if said else not self._spare)
        ):
            return AgentFailedError(self.error)
        if said:
            return AgentCutError("the stream ended before the agent did") if self._open else None
        if self._spare:
            return None
        return AgentEmptyError(f"node {self._node!r} wrote nothing" if self._node else "no answer")

    def _work(self) -> None:
        self.progress += 1
        self.failing = False

    def _bound(self, node: object, *, opened: bool) -> None:
        self._work()
        if node == self._node:
            self._open = opened
            self._joiner.part()

    def _item(self, node: object, content: str, item_index: object) -> str:
        self._work()
        # Respond to Webhook repeats the whole answer as JSON in one item.
        repeated = answer_in(parse(content)) if content[0] in "{[" else ""
        if repeated and node != self._node:
            self._spare = self._spare or whole_characters(repeated)
            return ""
        if self._node is None and content.strip() and isinstance(node, str):
            self._node = node
        if node != self._node:
            return ""
        return self._speak(repeated or content, item_index)

    def _speak(self, content: str, item_index: object) -> str:
        if item_index != self._item_index:
            self._joiner.part()
        text = self._joiner.add(content)
        if text:
            self._open, self._item_index = True, item_index
        return text


def _reason(content: object) -> str:
    if isinstance(content, str) and content.strip():
        return whole_characters(content.strip()[:_MAX_REASON_CHARS])
    return "the agent gave no reason"
