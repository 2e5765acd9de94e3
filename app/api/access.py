"""Who may open a session: origin, credential, and whose session it is.

On loopback everything is open to programs, and to pages of the gateway's own origin. On another
interface a client brings a key (servers) or a token (browsers and phones).
"""

import hmac
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from app.api.origins import check_local_host, check_origin
from app.api.token_claims import TokenClaims
from app.errors import AccessDeniedError

if TYPE_CHECKING:
    from app.api.tokens import KeySet, TokenMint

SESSION_ID = re.compile(r"[A-Za-z0-9._~:@-]{1,128}")
"""Agents key their memory by it, so it is kept to what is safe in any store."""

SUBPROTOCOL = "nabra"
TOKEN_SUBPROTOCOL = "nabra.token."  # noqa: S105 - a prefix
"""A browser can set no header on a WebSocket: its token comes as a subprotocol beside `nabra`,
which is the one that is answered."""

MAX_OWNED_SESSIONS = 10_000
"""Sessions whose owner is remembered; beyond them the longest unused is forgotten."""

ANONYMOUS = "anonymous"

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class AccessOptions:
    """Who may come in; the settings of the same names explain each."""

    client_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Keys of servers, by the name that stands for each in logs and metrics."""
    jwt_secret: str | None = field(default=None, repr=False)
    jwt_audience: str | None = None
    uses_jwks: bool = False
    anonymous: bool = True
    """Whether a client may come without a credential."""
    allowed_origins: frozenset[str] = frozenset()
    """Origins of pages other than the gateway's own; `*` allows all."""
    trusted_proxies: tuple[Network, ...] = ()
    loopback: bool = True
    """Whether the gateway listens on loopback only."""
    metrics_token: str | None = field(default=None, repr=False)
    """What a scraper of `/metrics` brings as `Authorization: Bearer …`."""
    open_metrics: bool = True
    """Whether `/metrics` may be read without a token."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to open a session."""

    subject: str
    """Who it is: the name of a key, the subject of a token, or `anonymous`."""
    address: str
    """Where the client is, as far as trusted proxies say."""
    session_id: str | None = None
    """The only session that may be opened; None for any."""
    max_s: float | None = None
    speaker: str | None = None
    transport: str | None = None
    subprotocol: str | None = None
    """The subprotocol to answer."""

    @property
    def is_anonymous(self) -> bool:
        """Whether no credential was shown."""
        return self.subject == ANONYMOUS


class SessionOwners:
    """Remembers whose a session is: nobody else joins it, not even after its owner has left."""

    def __init__(self, capacity: int = MAX_OWNED_SESSIONS) -> None:
        self._capacity = capacity
        self._owners: OrderedDict[str, str] = OrderedDict()

    def claim(self, session_id: str, subject: str) -> None:
        """Make `subject` the owner of a session. Raises `AccessDeniedError` if another one is."""
        if self._owners.setdefault(session_id, subject) != subject:
            raise AccessDeniedError(
                "this session belongs to somebody else", status=403, code="session-not-yours"
            )
        self._owners.move_to_end(session_id)
        if len(self._owners) > self._capacity:
            self._owners.popitem(last=False)


class AccessControl:
    """Decides on each client before its handshake is accepted."""

    def __init__(self, options: AccessOptions, key_set: "KeySet | None" = None) -> None:
        self._options = options
        self._key_set = key_set
        self._owners = SessionOwners()
        self._keys = {
            name: sha256(key.encode()).digest() for name, key in options.client_keys.items()
        }
        self.mint = _mint_of(options)
        """Signs and verifies tokens; None where there is nothing to sign with."""

    @property
    def needs_token(self) -> bool:
        """Whether a page must bring a token."""
        return not self._options.anonymous

    async def admit(self, connection: HTTPConnection, session_id: str | None) -> Grant:
        """Return leave to open a session. Raises `AccessDeniedError` with the HTTP status."""
        self.check_origin(connection)
        if session_id is not None and not SESSION_ID.fullmatch(session_id):
            raise AccessDeniedError(
                "a session id has 1 to 128 of the characters A-Z a-z 0-9 . _ ~ : @ -",
                status=400,
                code="invalid-session-id",
            )
        grant = await self._authenticate(connection)
        if session_id is not None and grant.session_id not in (None, session_id):
            raise AccessDeniedError(
                "the token is for another session", status=403, code="session-not-yours"
            )
        owned = session_id or grant.session_id
        if owned is not None and not self._options.anonymous:
            self._owners.claim(owned, grant.subject)
        return grant

    def check_origin(self, connection: HTTPConnection) -> None:
        """Raise `AccessDeniedError` when a page asks that may not."""
        host, allowed = connection.headers.get("host", ""), self._options.allowed_origins
        if self._options.loopback and self._options.anonymous:
            check_local_host(host, allowed)
        check_origin(host, connection.headers.get("origin"), allowed)

    def key_name(self, connection: HTTPConnection) -> str | None:
        """Return the name of the client key that a request carries; None if it carries none."""
        return self._named(_bearer(connection))

    def check_scrape(self, connection: HTTPConnection) -> None:
        """Raise `AccessDeniedError` unless `/metrics` may be read."""
        token = self._options.metrics_token
        if token is None and self._options.open_metrics:
            return
        shown = _bearer(connection)
        if token is not None and hmac.compare_digest(shown.encode(), token.encode()):
            return
        if self._named(shown) is None:
            raise AccessDeniedError(
                "/metrics needs METRICS_TOKEN or a key of CLIENT_KEYS, as Authorization: Bearer …",
                status=401,
                code="credential-missing",
            )

    def address_of(self, connection: HTTPConnection) -> str:
        """Return the client's address: the last one that no trusted proxy has."""
        address = connection.client.host if connection.client else ""
        forwarded = connection.headers.getlist("x-forwarded-for")
        hops = [hop.strip() for line in forwarded for hop in line.split(",") if hop.strip()]
        while hops and is_in(address, self._options.trusted_proxies):
            address = hops.pop()
        return address[:64]

    async def _authenticate(self, connection: HTTPConnection) -> Grant:
        token, subprotocol = _credential(connection)
        address = self.address_of(connection)
        if not token:
            if self._options.anonymous:
                return Grant(ANONYMOUS, address, subprotocol=subprotocol)
            raise AccessDeniedError(
                "a key or a token is needed", status=401, code="credential-missing"
            )
        if (name := self._named(token)) is not None:
            return Grant(name, address, subprotocol=subprotocol)
        claims = await self._verified(token)
        return Grant(
            claims.subject,
            address,
            session_id=claims.session_id,
            max_s=claims.max_s,
            speaker=claims.speaker,
            transport=claims.transport,
            subprotocol=subprotocol,
        )

    async def _verified(self, token: str) -> TokenClaims:
        audience = self._options.jwt_audience
        if self.mint is not None:
            try:
                return self.mint.verify(token, audience=None)
            except AccessDeniedError:
                if self._key_set is None:
                    raise
        if self._key_set is not None:
            return await self._key_set.verify(token, audience)
        if self._options.anonymous:
            raise AccessDeniedError(
                "this gateway takes no tokens; connect without",
                status=401,
                code="token-invalid",
            )
        raise AccessDeniedError("the token is not valid", status=401, code="token-invalid")

    def _named(self, key: str) -> str | None:
        """Find a key in a time that tells nothing of how much of it was right."""
        digest = sha256(key.encode()).digest()
        found = None
        for name, known in self._keys.items():
            if hmac.compare_digest(digest, known):
                found = name
        return found


def is_in(address: str, networks: Iterable[Network]) -> bool:
    """Tell whether an address is in one of these networks."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


def parse_keys(entries: Iterable[str]) -> dict[str, str]:
    """Read `name:key` or `key`, which is named by its digest. Raises `ValueError`."""
    keys: dict[str, str] = {}
    for entry in entries:
        name, colon, key = entry.partition(":")
        if not colon:
            name, key = f"key-{sha256(entry.encode()).hexdigest()[:8]}", entry
        if name in keys:
            raise ValueError(f"two keys have the name {name!r}")
        keys[name] = key
    return keys


def _credential(connection: HTTPConnection) -> tuple[str, str | None]:
    """Return the key or token of a request, and the subprotocol to answer."""
    offered = [
        each.strip()
        for line in connection.headers.getlist("sec-websocket-protocol")
        for each in line.split(",")
    ]
    subprotocol = SUBPROTOCOL if SUBPROTOCOL in offered else None
    tokens = [each.removeprefix(TOKEN_SUBPROTOCOL) for each in offered if _is_token(each)]
    token = (
        _bearer(connection) or next(iter(tokens), "") or connection.query_params.get("token", "")
    )
    return token, subprotocol


def _is_token(subprotocol: str) -> bool:
    return subprotocol.startswith(TOKEN_SUBPROTOCOL)


def _bearer(connection: HTTPConnection) -> str:
    scheme, _, value = connection.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def _mint_of(options: AccessOptions) -> "TokenMint | None":
    if options.jwt_secret is None and not options.client_keys:
        return None
    from app.api.tokens import TokenMint  # noqa: PLC0415 - slow, and not always needed

    if options.jwt_secret is not None:
        return TokenMint(options.jwt_secret)
    return TokenMint.from_keys(options.client_keys)
