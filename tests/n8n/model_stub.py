"""A model behind OpenAI's chat completions, as n8n asks it, that keeps what it is sent."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HEARD = "هذه هي الجملة الأولى من الجواب الطويل."
UNHEARD = "وهذه جملة أخيرة لا يسمعها من يقاطع."


def answer_to(question: str) -> str:
    """What the model answers, in the words of the question."""
    return f"{HEARD} سؤالك كان: {question}. {UNHEARD}"


@dataclass
class ModelStub:
    """Listens on loopback, and keeps the messages of every request."""

    token_s: float = 0.005
    requests: list[list[dict[str, Any]]] = field(default_factory=list)
    url: str = ""

    def __enter__(self) -> "ModelStub":
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                stub._respond(self, json.loads(self.rfile.read(length)))

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _respond(self, handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
        messages = request["messages"]
        self.requests.append(messages)
        if not request.get("stream"):
            choice = {"index": 0, "finish_reason": "stop", "message": _message(request)}
            body = json.dumps(_completion("chat.completion", choice)).encode()
            _send_head(handler, "application/json", len(body))
            handler.wfile.write(body)
            return
        _send_head(handler, "text/event-stream", None)
        for delta, reason in _deltas(request):
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            data = json.dumps(_completion("chat.completion.chunk", choice))
            _send_chunk(handler, f"data: {data}\n\n".encode())
            time.sleep(self.token_s)
        _send_chunk(handler, b"data: [DONE]\n\n")
        _send_chunk(handler, b"")


def _send_head(handler: BaseHTTPRequestHandler, kind: str, length: int | None) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    if length is None:
        handler.send_header("Transfer-Encoding", "chunked")
    else:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()


def _send_chunk(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
    handler.wfile.flush()


def _completion(kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    body = {"id": "c1", "object": kind, "created": 1, "model": "stub", "choices": [choice]}
    return body | ({"usage": usage} if kind == "chat.completion" else {})


def _message(request: dict[str, Any]) -> dict[str, Any]:
    if call := _tool_call(request):
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"role": "assistant", "content": answer_to(_question(request))}


def _deltas(request: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Yield what each chunk adds, and the reason with which the model ends."""
    if call := _tool_call(request):
        yield {"role": "assistant", "tool_calls": [{"index": 0, **call}]}, None
        yield {}, "tool_calls"
        return
    for word in answer_to(_question(request)).split(" "):
        yield {"content": f"{word} "}, None
    yield {}, "stop"


def _question(request: dict[str, Any]) -> str:
    texts = [each["content"] for each in request["messages"] if each["role"] == "user"]
    return str(texts[-1])


def _tool_call(request: dict[str, Any]) -> dict[str, Any] | None:
    """Call a tool once, before the answer, where there is one."""
    if not request.get("tools") or request["messages"][-1]["role"] == "tool":
        return None
    function = {"name": request["tools"][0]["function"]["name"], "arguments": '{"input": "6*7"}'}
    return {"id": "call_1", "type": "function", "function": function}
