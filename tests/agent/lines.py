"""Lines as n8n writes them."""

import json


def line(kind: str, content: str | None = None, node: str = "Agent", item: int = 0) -> bytes:
    value: dict[str, object] = {"type": kind}
    if content is not None:
        value["content"] = content
    if kind != "keepalive":
        value["metadata"] = {"nodeId": "n", "nodeName": node, "itemIndex": item, "runIndex": 0}
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def run(*pieces: str, node: str = "Agent", item: int = 0) -> bytes:
    """One whole run of a node."""
    items = (line("item", piece, node, item) for piece in pieces)
    return line("begin", node=node, item=item) + b"".join(items) + line("end", node=node, item=item)
