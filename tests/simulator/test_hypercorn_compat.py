"""What is particular to hypercorn, where a client is faster than the simulator."""

from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import StreamReset

from app.simulator.hypercorn_compat import HypercornStream


class FakeStreamBuffer:
    """Drains slowly: the client may reset its stream meanwhile."""

    def __init__(self, client: H2Connection, server: H2Connection, *, reset: bool) -> None:
        self._client = client
        self._server = server
        self._reset = reset

    async def drain(self) -> None:
        if self._reset:
            self._client.reset_stream(1)
            self._server.receive_data(self._client.data_to_send())
            assert self._server.open_inbound_streams == 0


class FakeHypercornProtocol:
    """As much of hypercorn's connection as is touched."""

    def __init__(self, server: H2Connection, buffer: FakeStreamBuffer) -> None:
        self.connection = server
        self.stream_buffers = {1: buffer}
        self.flushed = b""

    async def stream_send(self, event: Any) -> None: ...

    async def _flush(self) -> None:
        self.flushed += self.connection.data_to_send()


class FakeHypercornStream:
    """As much of its stream."""

    def __init__(self, protocol: FakeHypercornProtocol) -> None:
        self.stream_id = 1
        self.send = protocol.stream_send

    async def app_send(self, message: Any) -> None: ...


@pytest.mark.parametrize("reset_by_client", [False, True])
async def test_a_stream_is_reset_once(reset_by_client: bool) -> None:
    client = H2Connection(H2Configuration(client_side=True))
    server = H2Connection(H2Configuration(client_side=False))
    client.initiate_connection()
    server.initiate_connection()
    client.send_headers(
        1, [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "a")]
    )
    server.receive_data(client.data_to_send())
    client.receive_data(server.data_to_send())
    protocol = FakeHypercornProtocol(
        server, FakeStreamBuffer(client, server, reset=reset_by_client)
    )
    stream = HypercornStream({"http_version": "2"}, FakeHypercornStream(protocol).app_send)
    await stream.abort()
    resets = [e for e in client.receive_data(protocol.flushed) if isinstance(e, StreamReset)]
    assert [reset.error_code for reset in resets] == (
        [] if reset_by_client else [ErrorCodes.INTERNAL_ERROR]
    )
    assert stream.is_finished
