"""The connections to the agent that all conversations share."""

from app.http1 import Http1Client

_KEEP_ALIVE_S = 4.0  # n8n drops idle connections after about 5 s
_MAX_CONNECTIONS = 200  # one an answer being written; a wait for one counts as unreachable


def make_client(url: str, *, connect_timeout_s: float) -> Http1Client:
    """Make the client; close it when the gateway stops.

    Raises `ConfigurationError` for an address that is none.
    """
    return Http1Client(
        url,
        connect_timeout_s=connect_timeout_s,
        keep_alive_s=_KEEP_ALIVE_S,
        max_connections=_MAX_CONNECTIONS,
    )
