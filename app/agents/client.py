"""The connections to the agent, which all sessions share."""

import httpx

from app.net.client import client_over, http1_transport
from app.net.limits import DEFAULT_LIMITS, HttpLimits

_KEEP_ALIVE_S = 4.0  # n8n drops idle connections after about 5 s
_MAX_CONNECTIONS = 200  # one for each response; a wait for one counts as unreachable


def make_client(
    url: str, *, connect_timeout_s: float, limits: HttpLimits = DEFAULT_LIMITS
) -> httpx.AsyncClient:
    """Create the client; close it when the gateway stops.

    Raises `ConfigurationError` for an address that is not valid.
    """
    transport = http1_transport(
        url, keep_alive_s=_KEEP_ALIVE_S, max_connections=_MAX_CONNECTIONS, limits=limits
    )
    return client_over(transport, connect_timeout_s=connect_timeout_s)
