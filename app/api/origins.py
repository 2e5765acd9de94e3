"""Pages and hosts: which may reach the gateway through somebody's browser."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from app.errors import AccessDeniedError


def check_origin(host: str, origin: str | None, allowed: frozenset[str]) -> None:
    """Raise `AccessDeniedError` for a page of another origin than ours and the allowed ones.

    Browsers name the page in `Origin`; programs send none. `*` allows all.
    """
    if origin is None:
        return
    origin = origin.lower()
    if origin in allowed or "*" in allowed or _netloc(origin) == host.lower():
        return
    raise _foreign("pages of this origin may not connect (ALLOWED_ORIGINS)")


def check_local_host(host: str, allowed: frozenset[str]) -> None:
    """Raise `AccessDeniedError` when a browser reaches this machine by a name that is not its own.

    A foreign page whose name was pointed at this machine (DNS rebinding) has our host in its
    origin: behind loopback, no name but localhost can be ours, or that of a proxy in `allowed`.
    """
    if is_local_name(_hostname(host)) or host.lower() in map(_netloc, allowed):
        return
    raise _foreign(
        "this gateway listens on loopback and is reached as localhost only; "
        "name the address of its proxy in ALLOWED_ORIGINS"
    )


def is_local_name(name: str) -> bool:
    """Tell whether a host's name can be this machine's: `localhost`, or any address."""
    if name == "localhost":
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Tell whether an address to listen on is open to this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # such as `[::1`
        return ""


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _foreign(reason: str) -> AccessDeniedError:
    return AccessDeniedError(reason, status=403, code="origin-not-allowed")
