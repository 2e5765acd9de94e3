"""The methods of uvicorn that are overridden: an upgrade that drops one must not go unnoticed."""

import pytest
from uvicorn import Server
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode

from app.serving.http_protocol import BoundedHttpProtocol
from app.serving.server import DrainingServer
from app.serving.websocket_protocol import BoundedWebSocketProtocol

HTTP = (
    *("connection_made", "connection_lost", "data_received", "handle_events", "shutdown"),
    *("on_response_complete", "handle_websocket_upgrade", "send_400_response"),
)
WEBSOCKET = (
    *("connection_lost", "data_received", "receive", "send", "handle_text", "handle_bytes"),
    *("handle_cont", "send_receive_event_to_app", "handle_ping", "handle_pong"),
    *("on_task_complete", "shutdown"),
)


SERVER = ("handle_exit", "on_tick", "shutdown")


@pytest.mark.parametrize(
    ("ours", "theirs", "names"),
    [
        (DrainingServer, Server, SERVER),
        (BoundedHttpProtocol, H11Protocol, HTTP),
        (BoundedWebSocketProtocol, WebSocketsSansIOProtocol, WEBSOCKET),
    ],
)
def test_what_is_overridden_is_there(ours: type, theirs: type, names: tuple[str, ...]) -> None:
    for name in names:
        assert name in vars(ours), f"{name} is no longer overridden"
        assert callable(getattr(theirs, name)), f"uvicorn has no {name} any more"


def test_a_frame_can_be_emptied() -> None:
    frame = Frame(Opcode.TEXT, b"data")
    frame.data = b""
    assert frame.data == b""
