"""Failures of HTTP requests, as httpx names them.

`failure_of` maps the exceptions of aiohttp, TLS and sockets. The texts name no address: a URL may
hold a secret, and they end in logs.

ConnectTimeout        no connection in time
ConnectError          no connection, or the server's certificate is not trusted
ProxyError            the proxy refused to connect
WriteError            the connection was lost while the request was being sent
ReadError             the connection was lost, or the response was reset
RemoteProtocolError   the server ended early, or sent something that HTTP does not allow
LocalProtocolError    the request cannot be sent as HTTP
"""

import os
import socket
import ssl

import aiohttp
import httpx

from app.net.http1_protocol import TooManyInformationalError


class NotProcessedError(httpx.RemoteProtocolError):
    """The server says that it has not processed the request: it is safe to send it again."""


NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)
"""What means that no connection was to be had, so that nothing was sent."""


def failure_of(error: Exception) -> httpx.TransportError:
    """Return the exception of httpx that means the same as `error`."""
    match error:
        case aiohttp.ConnectionTimeoutError() | TimeoutError():
            return httpx.ConnectTimeout("timed out")
        case aiohttp.ClientConnectorError():
            return httpx.ConnectError(_reason(error))
        case aiohttp.ClientHttpProxyError(status=status):
            return httpx.ProxyError(f"the proxy answered HTTP {status}")
        case aiohttp.ServerDisconnectedError():
            return httpx.RemoteProtocolError("the server closed the connection without a response")
        case aiohttp.ClientResponseError():
            return httpx.RemoteProtocolError("the response is not HTTP")
        case TooManyInformationalError():
            return httpx.RemoteProtocolError(str(error))
        case aiohttp.ClientPayloadError():
            return httpx.RemoteProtocolError("the response ended early")
        case aiohttp.ClientConnectionError():
            return httpx.ReadError("connection lost")
        case OSError():
            return httpx.ReadError(_reason(error))
        case _:
            return httpx.LocalProtocolError(type(error).__name__)


def connect_failure_of(error: OSError) -> httpx.ConnectError:
    """Return the exception of httpx for a connection that could not be opened."""
    return httpx.ConnectError(_reason(error))


def _reason(error: Exception) -> str:
    """Describe an error of the operating system or of TLS in plain words, without an address."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return "the certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorDNSError | socket.gaierror):
        return "the host name was not found (DNS)"
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or 'no reason given'})"
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number else type(error).__name__
