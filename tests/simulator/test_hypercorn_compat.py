"""The seam to hypercorn, where a client is faster than the simulator."""

from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection

from app.simulator.hypercorn_compat import reset_stream


class Buffer:
    """Drains slowly: the client resets its stream meanwhile."""

    def __init__(self, client: H2Connection, server: H2Connection) -> None:
        self._client = client
        self._server = server

    async def drain(self) -> None:
        self._client.reset_stream(1)
        self._server.receive_data(self._client.data_to_send())
        assert self._server.open_inbound_streams == 0


class Protocol:
    """As much of hypercorn's protocol object as the seam touches."""

    def __init__(self, client: H2Connection, server: H2Connection) -> None:
        self.connection = server
        self.stream_buffers = {1: Buffer(client, server)}
        self.flushed = 0

    async def stream_send(self, event: Any) -> None: ...

    async def _flush(self) -> None:
        self.flushed += 1


class Stream:
    """As much of its stream."""

    def __init__(self, protocol: Protocol) -> None:
        self.stream_id = 1
        self.send = protocol.stream_send

    async def app_send(self, message: Any) -> None: ...


async def test_a_stream_that_the_client_has_given_up_is_not_reset_again() -> None:
    client = H2Connection(H2Configuration(client_side=True))
    server = H2Connection(H2Configuration(client_side=False))
    client.initiate_connection()
    server.initiate_connection()
    client.send_headers(
        1, [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "a")]
    )
    server.receive_data(client.data_to_send())
    protocol = Protocol(client, server)
    await reset_stream(Stream(protocol).app_send)
    assert protocol.flushed == 1
