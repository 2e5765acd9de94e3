"""n8n's streamed response: lines from several nodes, of which one or more answer the user."""

from app.agents.base import NodeText, ResponseObserver
from app.agents.json_response import NO_TEXT, parse, shortened_reason
from app.agents.n8n_node import N8nNode
from app.agents.parser_options import DEFAULT_OPTIONS, ParserOptions
from app.agents.repetition import repeats
from app.agents.response_data import decoded, is_data, payload_of
from app.agents.segment_reader import NOT_AN_ANSWER
from app.agents.text_assembler import TextAssembler
from app.errors import AgentCutError, AgentEmptyError, AgentError, AgentFailedError

_TYPES = ("begin", "item", "end", "error", "keepalive", "data")

MAX_NODES = 64
"""Nodes that are told apart: many times what a workflow lets speak. Those beyond count as one."""

_OTHER_NODES = "…"


def is_n8n_line(value: object) -> bool:
    """Return whether `value` is a line of n8n's stream."""
    return isinstance(value, dict) and value.get("type") in _TYPES


class N8nStreamParser:
    """Pick out the text of the nodes that answer, and decide at the end whether it is complete.

    These are the nodes of the options, and the last one that sent text where none of them did.
    Without such options it is the first node that sends text, and after it the one that ends the
    run; unless that repeats what was said.

    An error of another node after the end of an answering node's run leaves the response complete,
    and is only logged. Any other error means that the response failed; text that came before it
    remains valid.
    """

    def __init__(
        self, options: ParserOptions = DEFAULT_OPTIONS, observer: ResponseObserver | None = None
    ) -> None:
        self.progress = 0
        """Count of lines that show progress: neither `keepalive` nor empty items."""
        self.error_reason: str | None = None
        """The reason in the last `error` line."""
        self.error_is_latest = False
        """Whether no progress came after the last `error` line."""
        self.held_chars = 0
        """Size of the text that is held back."""
        self._options = options
        self._observer = observer or ResponseObserver()
        self._nodes: dict[str, N8nNode] = {}
        self._has_first = bool(options.nodes)
        """Whether it is known which node speaks first."""
        self._text = TextAssembler()
        self._spoken: list[str] = []
        self._last: N8nNode | None = None
        """The node that sent the last text, if that is not spoken: it may end the run."""

    @property
    def is_used(self) -> bool:
        """Return whether any line but keep-alives has come."""
        return self.progress > 0 or self.error_reason is not None

    @property
    def node_texts(self) -> list[NodeText]:
        """Return what each node sent, but for data and repetitions; complete after `finish`."""
        return [
            NodeText(node.name, node.chars, node.is_spoken)
            for node in self._nodes.values()
            if node.chars and not (node.is_data or node.is_repetition)
        ]

    def feed(self, line: dict[str, object]) -> str:
        """Take one line, and return the text that it adds; an unknown type adds none."""
        metadata = line.get("metadata")
        if not isinstance(metadata, dict):
            metadata = {}
        content = line.get("content")
        match line.get("type"):
            case "item" if isinstance(content, str) and content:
                self._on_progress()
                node = self._node(metadata)
                return self._on_item(node, content, metadata.get("itemIndex"))
            case "begin":
                return self._on_run(self._node(metadata), begins=True)
            case "end":
                return self._on_run(self._node(metadata), begins=False)
            case "data":
                self._on_progress()
                self._observer.on_data(payload_of(line), self._node(metadata).name)
            case "error":
                self.error_reason = shortened_reason(content if isinstance(content, str) else "")
                self.error_is_latest = True
                self._node(metadata).has_failed = True
        return ""

    def finish(self) -> str:
        """Return what was held back, and the text of the node that ended the run."""
        text = "".join(map(self._end_segment, tuple(self._nodes.values())))
        if (last := self._last) is None:
            return text
        last.is_repetition = repeats(last.held_text, "".join(self._spoken))
        if self._text.has_text and (last.is_repetition or self._options.nodes):
            return text
        last.is_spoken, last.is_repetition = True, False
        self._text.start_segment()
        return text + self._text.add(last.held_text)

    def final_error(self) -> AgentError | None:
        """Return why the response is not complete at the end of the body; None if it is."""
        has_text, nodes = self._text.has_text, self._nodes.values()
        spoken = [node for node in nodes if node.is_spoken]
        is_open = any(node.run_open for node in spoken)
        if self.error_reason is not None and (
            not has_text or is_open or any(node.has_failed for node in spoken)
        ):
            return AgentFailedError(self.error_reason)
        problems = [node.problem for node in (spoken if has_text else nodes) if node.problem]
        if cut := next((each for each in problems if each != NOT_AN_ANSWER), None):
            return AgentCutError(cut)
        if has_text:
            return AgentCutError("stream ended before the node's run did") if is_open else None
        if reason := next((node.failure for node in nodes if node.failure), None):
            return AgentFailedError(shortened_reason(reason))
        return AgentEmptyError(problems[0] if problems else self._no_text())

    def _no_text(self) -> str:
        names = ", ".join(map(repr, self._options.nodes))
        return f"node {names} sent no text" if names else NO_TEXT

    def _on_progress(self) -> None:
        self.progress += 1
        self.error_is_latest = False

    def _node(self, metadata: dict[str, object]) -> N8nNode:
        """Return the node of a line."""
        name = metadata.get("nodeName")
        if not isinstance(name, str):
            name = ""
        node = self._nodes.get(name)
        return self._add_node(name) if node is None else node

    def _add_node(self, name: str) -> N8nNode:
        options = self._options
        is_known = name in options.nodes or name in options.data_nodes
        if len(self._nodes) >= MAX_NODES and not is_known:
            name = _OTHER_NODES
        if name not in self._nodes:
            self._nodes[name] = N8nNode(
                name,
                options.answer_path,
                is_spoken=name in options.nodes,
                is_data=name in options.data_nodes,
            )
        return self._nodes[name]

    def _on_run(self, node: N8nNode, *, begins: bool) -> str:
        self._on_progress()
        text = self._end_segment(node)
        node.run_open = begins
        return text

    def _on_item(self, node: N8nNode, content: str, item_index: object) -> str:
        before = "" if item_index == node.item_index else self._end_segment(node)
        node.item_index = item_index
        if content[0] == "{" and content[-1] == "}" and is_data(value := parse(content)):
            assert isinstance(value, dict)
            self._observer.on_data(payload_of(value), node.name)
            return before
        text = self._pass_on(node, node.reader.feed(content))
        if text:
            node.run_open = True
        else:
            self._count_held()
        return before + text

    def _end_segment(self, node: N8nNode) -> str:
        """Return what a node has held back at the end of a run, or before another item."""
        reader = node.end_segment()
        rest = reader.finish()
        if reader.problem is not None:
            node.problem, node.failure = reader.problem, reader.failure
        if node.is_data:
            self._send_data(node, rest if reader.value is None else reader.value)
            return ""
        is_repeated = reader.value is not None and self._text.has_text and node.is_spoken
        if is_repeated and repeats(rest, "".join(self._spoken)):
            return ""
        text = self._pass_on(node, rest)
        if node.is_spoken:
            self._text.start_segment()
        self._count_held()
        return text

    def _send_data(self, node: N8nNode, rest: object) -> None:
        data = decoded(node.held_text + rest) if isinstance(rest, str) else rest
        node.drop_held()
        if data:
            self._observer.on_data(data, node.name)

    def _pass_on(self, node: N8nNode, text: str) -> str:
        """Return text of a node that is spoken; keep that of another one."""
        if not text:
            return ""
        node.chars += len(text)
        if not self._has_first and not node.is_data and not text.isspace():
            node.is_spoken = self._has_first = True
        if not node.is_spoken:
            self._hold(node, text)
            return ""
        text = self._text.add(text)
        self._spoken.append(text)
        if self._last is not None and not text.isspace():
            self._last.drop_held()
            self._last = None
        return text

    def _hold(self, node: N8nNode, text: str) -> None:
        """Keep the text of a node that may end the run, and of no other one but for data."""
        if node is not self._last and not node.is_data:
            if text.isspace():
                return
            if self._last is not None:
                self._last.drop_held()
            self._last = node
        node.hold(text)

    def _count_held(self) -> None:
        self.held_chars = sum(node.held_chars for node in self._nodes.values())
