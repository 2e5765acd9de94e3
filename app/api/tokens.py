"""Tokens that let a client in: JSON Web Tokens, minted here or by an identity provider.

Imported where tokens are configured: PyJWT loads all of `cryptography`, 40 ms of a start.
"""

import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import jwt

from app.api.token_claims import TokenClaims
from app.errors import AccessDeniedError

ISSUER = "nabra"
"""`iss` of the tokens that are minted here."""

SECRET_ALGORITHM = "HS256"  # noqa: S105 - a name
KEY_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Pinned by what is configured: a public key must never serve as a shared secret."""

LEEWAY_S = 10
"""How far the clocks of two machines may differ."""

MAX_TOKEN_CHARS = 4096
"""Longest token that is looked at; one with ten claims has 400 characters."""

JWKS_INTERVAL_S = 60.0
"""At most one request for keys in this time, whatever unknown key ids strangers name."""


class TokenMint:
    """Signs tokens for one session each, and verifies them."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    @classmethod
    def from_keys(cls, keys: Mapping[str, str]) -> "TokenMint":
        """Derive the secret from the client keys, so that all replicas have the same one."""
        material = "\n".join(sorted(keys.values())).encode()
        return cls(hashlib.blake2b(material, key=b"nabra session tokens").hexdigest())

    def mint(self, claims: TokenClaims, *, ttl_s: float) -> tuple[str, int]:
        """Return a token, and when it expires in seconds of the Unix clock."""
        expires_at = int(time.time() + ttl_s)
        limits = {"seconds": claims.max_s, "speaker": claims.speaker, "transport": claims.transport}
        payload = {
            "iss": ISSUER,
            "sub": claims.subject,
            "sid": claims.session_id,
            "exp": expires_at,
            "jti": secrets.token_urlsafe(9),
            "limits": {name: value for name, value in limits.items() if value is not None},
        }
        return jwt.encode(payload, self._secret, algorithm=SECRET_ALGORITHM), expires_at

    def verify(self, token: str, audience: str | None) -> TokenClaims:
        """Return what a token says. Raises `AccessDeniedError`."""
        return _claims(_decode(token, self._secret, [SECRET_ALGORITHM]), audience)


class KeySet:
    """Verifies tokens of an identity provider by the public keys that it publishes."""

    def __init__(self, fetch: Callable[[], Awaitable[bytes]]) -> None:
        self._fetch = fetch
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")

    async def verify(self, token: str, audience: str | None) -> TokenClaims:
        """Return what a token says. Raises `AccessDeniedError`."""
        try:
            key_id = str(jwt.get_unverified_header(token).get("kid", ""))
        except jwt.PyJWTError:
            raise _invalid("the token cannot be read") from None
        key = await self._key(key_id)
        return _claims(_decode(token, key, list(KEY_ALGORITHMS)), audience)

    async def _key(self, key_id: str) -> jwt.PyJWK:
        if key_id not in self._keys and time.monotonic() - self._fetched_at >= JWKS_INTERVAL_S:
            self._fetched_at = time.monotonic()
            await self._refresh()
        if key_id not in self._keys:
            raise _invalid("the token is signed with an unknown key")
        return self._keys[key_id]

    async def _refresh(self) -> None:
        try:
            keys = jwt.PyJWKSet.from_json((await self._fetch()).decode()).keys
        except (OSError, ValueError, jwt.PyJWTError):
            return  # the keys that are known still serve
        self._keys = {key.key_id: key for key in keys if key.key_id is not None}


def _decode(token: str, key: Any, algorithms: list[str]) -> dict[str, Any]:
    if len(token) > MAX_TOKEN_CHARS:
        raise _invalid("the token is too long")
    try:
        return jwt.decode(
            token,
            key,
            algorithms=algorithms,
            leeway=LEEWAY_S,
            # the audience is checked below: it is optional, which PyJWT does not know
            options={"require": ["exp", "sub"], "verify_aud": False},
        )
    except jwt.ExpiredSignatureError:
        raise AccessDeniedError("the token has expired", status=401, code="token-expired") from None
    except (jwt.PyJWTError, ValueError):
        raise _invalid("the token is not valid") from None


def _claims(payload: dict[str, Any], audience: str | None) -> TokenClaims:
    if audience is not None and audience not in _listed(payload.get("aud")):
        raise _invalid(f"the token is not for {audience!r}")
    limits = payload.get("limits")
    limits = limits if isinstance(limits, dict) else {}
    seconds = limits.get("seconds")
    return TokenClaims(
        subject=str(payload["sub"])[:128],
        session_id=_text(payload.get("sid")),
        max_s=float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None,
        speaker=_text(limits.get("speaker")),
        transport=_text(limits.get("transport")),
    )


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _text(value: object) -> str | None:
    return value[:128] if isinstance(value, str) and value else None


def _invalid(reason: str) -> AccessDeniedError:
    return AccessDeniedError(reason, status=401, code="token-invalid")
