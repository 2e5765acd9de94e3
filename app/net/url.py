"""URLs of web servers, checked before anything is sent, and their hosts in errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx

from app.errors import ConfigurationError, NabraError


def web_url(url: str) -> httpx.URL:
    """Parse the URL of a web server. Raises `ConfigurationError`, whose text does not quote it."""
    try:
        parsed = httpx.URL(url)
        # Resolvers encode a host by IDNA, TLS decodes it: what fails there must fail here.
        parsed.host.encode("idna").decode("idna")
    except (httpx.InvalidURL, ValueError):
        raise ConfigurationError("the address is not a valid URL") from None
    if parsed.scheme not in ("http", "https") or not _has_valid_host(parsed):
        raise ConfigurationError("the address is not a URL of a web server")
    return parsed


def host_of(url: str) -> str:
    """Return `host:port`, or the host alone, of any URL: never what stands before an `@`."""
    return urlsplit(url).netloc.rpartition("@")[2]


@contextmanager
def at_host(host: str) -> Iterator[None]:
    """Name the host in a `NabraError` that is raised here, unless it names one."""
    try:
        yield
    except NabraError as error:
        error.host = error.host or host
        raise


def _has_valid_host(url: httpx.URL) -> bool:
    """Tell whether host and port can be connected to: httpx is more lenient than sockets are.

    It percent-encodes what a name cannot hold; an IPv6 address has a colon, and may have a zone.
    """
    host = url.host
    is_name = "%" not in host or ":" in host
    return bool(host) and is_name and "\\" not in host and 0 <= (url.port or 0) <= 65535
