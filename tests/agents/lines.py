"""Lines as n8n writes them."""

import json


def line(kind: str, content: str | None = None, node: str = "Agent", item: int = 0) -> bytes:
    value: dict[str, object] = {"type": kind}
    if content is not None:
        value["content"] = content
    if kind != "keepalive":
        value["metadata"] = {"nodeId": "n", "nodeName": node, "itemIndex": item, "runIndex": 0}
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def delta(content: str | None = None, finish: str | None = None, **more: object) -> bytes:
    """A chunk as OpenAI writes it, without its line's end."""
    choice = {"index": 0, "delta": {"content": content, **more}, "finish_reason": finish}
    value = {"object": "chat.completion.chunk", "choices": [choice]}
    return json.dumps(value, ensure_ascii=False).encode()


def data(*values: bytes | str) -> bytes:
    """Server-sent events, one for each value."""
    texts = (value.encode() if isinstance(value, str) else value for value in values)
    return b"".join(b"data: " + text + b"\n\n" for text in texts)


def run(*pieces: str, node: str = "Agent", item: int = 0) -> bytes:
    """One whole run of a node."""
    items = (line("item", piece, node, item) for piece in pieces)
    return line("begin", node=node, item=item) + b"".join(items) + line("end", node=node, item=item)
