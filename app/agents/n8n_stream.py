"""n8n's streamed response: lines from several nodes, one of which answers the user."""

from app.agents.json_response import (
    NO_TEXT,
    TOO_MANY_VALUES,
    TextReader,
    parse,
    shortened_reason,
    whole_characters,
)
from app.agents.text_assembler import TextAssembler
from app.errors import AgentCutError, AgentEmptyError, AgentError, AgentFailedError

_TYPES = ("begin", "item", "end", "error", "keepalive")


def is_n8n_line(value: object) -> bool:
    """Return whether `value` is a line of n8n's stream."""
    return isinstance(value, dict) and value.get("type") in _TYPES


class N8nStreamParser:
    """Pick out the text of one node, and decide at the end whether it is complete.

    That node is `node`, or without it the first node that sends text. An error of another node
    after the end of this node's run leaves the response complete, and is only logged. Any other
    error means that the response failed; text that came before it remains valid.
    """

    def __init__(self, node: str | None) -> None:
        self.progress = 0
        """Count of lines that show progress: neither `keepalive` nor empty items."""
        self.error_reason: str | None = None
        """The reason in the last `error` line."""
        self.error_is_latest = False
        """Whether no progress came after the last `error` line."""
        self._node = node
        self._node_failed = False
        self._run_open = False
        self._item_index: object = None
        self._text = TextAssembler()
        self._repeated_text = ""
        self._is_cut = False
        """Whether some of an item was not read."""

    @property
    def is_used(self) -> bool:
        """Return whether any line but keep-alives has come."""
        return self.progress > 0 or self.error_reason is not None

    def feed(self, line: dict[str, object]) -> str:
        """Take one line, and return the text that it adds; an unknown type adds none."""
        metadata = line.get("metadata")
        if not isinstance(metadata, dict):
            metadata = {}
        node, content = metadata.get("nodeName", ""), line.get("content")
        match line.get("type"):
            case "begin":
                self._on_run(node, begins=True)
            case "end":
                self._on_run(node, begins=False)
            case "item" if isinstance(content, str) and content:
                return self._on_item(node, content, metadata.get("itemIndex"))
            case "error":
                self.error_reason = shortened_reason(content if isinstance(content, str) else "")
                self.error_is_latest = True
                self._node_failed = self._node_failed or node == self._node
        return ""

    def finish(self) -> str:
        """Return the response that another node repeated, if the node itself sent none."""
        return "" if self._text.has_text else self._repeated_text

    def final_error(self) -> AgentError | None:
        """Return why the response is not complete at the end of the body; None if it is."""
        has_text = self._text.has_text
        if self.error_reason is not None and (
            self._node_failed or (self._run_open if has_text else not self._repeated_text)
        ):
            return AgentFailedError(self.error_reason)
        if self._is_cut:
            return AgentCutError(TOO_MANY_VALUES)
        if has_text:
            if self._run_open:
                return AgentCutError("stream ended before the node's run did")
            return None
        if self._repeated_text:
            return None
        return AgentEmptyError(f"node {self._node!r} sent no text" if self._node else NO_TEXT)

    def _on_progress(self) -> None:
        self.progress += 1
        self.error_is_latest = False

    def _on_run(self, node: object, *, begins: bool) -> None:
        self._on_progress()
        if node == self._node:
            self._run_open = begins
            self._text.start_segment()

    def _on_item(self, node: object, content: str, item_index: object) -> str:
        """Choose the node that answers by the first text, if none was configured.

        "Respond to Webhook" repeats the whole response as JSON in one item. It counts only if
        there is no other text.
        """
        self._on_progress()
        repeated_text = self._text_of_json(content) if content[0] in "{[" else ""
        if repeated_text and node != self._node:
            self._repeated_text = self._repeated_text or whole_characters(repeated_text)
            return ""
        if self._node is None and content.strip() and isinstance(node, str):
            self._node = node
        if node != self._node:
            return ""
        return self._add(repeated_text or content, item_index)

    def _text_of_json(self, content: str) -> str:
        reader = TextReader()
        text = reader.read(parse(content))
        self._is_cut = self._is_cut or reader.is_exhausted
        return text

    def _add(self, content: str, item_index: object) -> str:
        if item_index != self._item_index:
            self._text.start_segment()
        text = self._text.add(content)
        if text:
            self._run_open, self._item_index = True, item_index
        return text
