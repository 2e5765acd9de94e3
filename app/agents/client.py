"""The connections to the agent, which all sessions share."""

from app.http1 import Http1Client

_KEEP_ALIVE_S = 4.0  # n8n drops idle connections after about 5 s
_MAX_CONNECTIONS = 200  # one for each response; a wait for one counts as unreachable


def make_client(url: str, *, connect_timeout_s: float) -> Http1Client:
    """Create the client; close it when the gateway stops.

    Raises `ConfigurationError` for an address that is not valid.
    """
    return Http1Client(
        url,
        connect_timeout_s=connect_timeout_s,
        keep_alive_s=_KEEP_ALIVE_S,
        max_connections=_MAX_CONNECTIONS,
    )
