"""Who may open a session, decided from the headers of a request."""

import json
import time
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from starlette.requests import HTTPConnection

from app.api.access import AccessControl, AccessOptions, Grant, SessionOwners, parse_keys
from app.api.token_claims import TokenClaims
from app.api.tokens import KeySet, TokenMint
from app.errors import AccessDeniedError

KEY = "a-key-of-a-server-000"
SECRET = "a secret of at least thirty-two bytes"


def request(
    headers: Mapping[str, str] | None = None, *, query: str = "", client: str = "203.0.113.9"
) -> HTTPConnection:
    values = {"host": "voice.example.com", **(headers or {})}
    return HTTPConnection(
        {
            "type": "http",
            "headers": [(name.encode(), value.encode()) for name, value in values.items()],
            "query_string": query.encode(),
            "client": (client, 1234),
        }
    )


def control(**options: Any) -> AccessControl:
    values: dict[str, Any] = {"anonymous": False, "loopback": False, "client_keys": {"acme": KEY}}
    return AccessControl(AccessOptions(**{**values, **options}))


async def refused(
    access: AccessControl, connection: HTTPConnection, session_id: str | None = None
) -> tuple[int, str]:
    with pytest.raises(AccessDeniedError) as caught:
        await access.admit(connection, session_id)
    assert KEY not in str(caught.value)
    return caught.value.status, caught.value.code


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_a_key_opens_any_session() -> None:
    grant = await control().admit(request(bearer(KEY)), "s1")
    assert grant == Grant("acme", "203.0.113.9")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "credential-missing"),
        (bearer(""), "credential-missing"),
        ({"authorization": KEY}, "credential-missing"),
        (bearer("wrong"), "token-invalid"),
        (bearer(KEY + "x"), "token-invalid"),
        (bearer(KEY[:-1]), "token-invalid"),
        (bearer("a.b.c"), "token-invalid"),
        (bearer("x" * 5000), "token-invalid"),
        (bearer("e30.e30."), "token-invalid"),
    ],
)
async def test_without_a_good_credential_nobody_comes_in(
    headers: dict[str, str], code: str
) -> None:
    assert await refused(control(), request(headers)) == (401, code)


@pytest.mark.parametrize("how", ["header", "subprotocol", "query"])
async def test_a_token_comes_in_three_ways(how: str) -> None:
    access = control()
    assert access.mint is not None
    token, _ = access.mint.mint(TokenClaims("acme", "s1", 60, "Majd", "rest"), ttl_s=60)
    connection = {
        "header": request(bearer(token)),
        "subprotocol": request({"sec-websocket-protocol": f"nabra, nabra.token.{token}"}),
        "query": request(query=f"token={token}"),
    }[how]
    grant = await access.admit(connection, "s1")
    assert (grant.subject, grant.session_id, grant.max_s) == ("acme", "s1", 60)
    assert (grant.speaker, grant.transport) == ("Majd", "rest")
    assert grant.subprotocol == ("nabra" if how == "subprotocol" else None)


async def test_a_token_opens_its_own_session_only() -> None:
    access = control()
    assert access.mint is not None
    token, _ = access.mint.mint(TokenClaims("acme", "s1"), ttl_s=60)
    assert await refused(access, request(bearer(token)), "s2") == (403, "session-not-yours")
    assert (await access.admit(request(bearer(token)), None)).session_id == "s1"


async def test_a_session_belongs_to_whom_it_was_first() -> None:
    access = control(client_keys={"acme": KEY, "other": "another-key-000000"})
    await access.admit(request(bearer(KEY)), "s1")
    other = request(bearer("another-key-000000"))
    assert await refused(access, other, "s1") == (403, "session-not-yours")
    assert (await access.admit(other, "s2")).subject == "other"


async def test_an_expired_token_is_told_as_such() -> None:
    access = control(jwt_secret=SECRET)
    token = jwt.encode({"sub": "u", "exp": time.time() - 60}, SECRET, algorithm="HS256")
    assert await refused(access, request(bearer(token))) == (401, "token-expired")


@pytest.mark.parametrize(
    ("payload", "secret", "algorithm"),
    [
        ({"sub": "u"}, SECRET, "HS256"),
        ({"exp": 2e9}, SECRET, "HS256"),
        ({"sub": "u", "exp": 2e9}, SECRET + "!", "HS256"),
        ({"sub": "u", "exp": 2e9}, SECRET * 2, "HS512"),
        ({"sub": "u", "exp": "soon"}, SECRET, "HS256"),
        ({"sub": 7, "exp": 2e9}, SECRET, "HS256"),
        ({"sub": "u", "exp": 2e9, "nbf": 1.9e9}, SECRET, "HS256"),
    ],
)
async def test_a_token_that_lacks_anything_is_refused(
    payload: dict[str, Any], secret: str, algorithm: str
) -> None:
    token = jwt.encode(payload, secret, algorithm=algorithm)
    access = control(jwt_secret=SECRET)
    assert await refused(access, request(bearer(token))) == (401, "token-invalid")


async def test_an_unsigned_token_is_refused() -> None:
    token = jwt.encode({"sub": "u", "exp": 2e9}, "", algorithm="none")
    access = control(jwt_secret=SECRET)
    assert await refused(access, request(bearer(token))) == (401, "token-invalid")


async def test_an_identity_providers_token_is_verified_by_its_published_keys() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    public = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    fetched = 0

    async def fetch() -> bytes:
        nonlocal fetched
        fetched += 1
        return json.dumps({"keys": [{**public, "kid": "k1"}]}).encode()

    options = AccessOptions(anonymous=False, loopback=False, uses_jwks=True, jwt_audience="nabra")
    access = AccessControl(options, KeySet(fetch))

    def token(kid: str = "k1", **claims: Any) -> str:
        payload = {"sub": "user-7", "exp": 2e9, "aud": "nabra", **claims}
        return jwt.encode(payload, private, algorithm="ES256", headers={"kid": kid})

    assert (await access.admit(request(bearer(token())), "s1")).subject == "user-7"
    assert await refused(access, request(bearer(token(aud="else")))) == (401, "token-invalid")
    assert await refused(access, request(bearer(token(kid="k2")))) == (401, "token-invalid")
    assert await refused(access, request(bearer(token(kid="k3")))) == (401, "token-invalid")
    assert fetched == 1, "unknown key ids cause no flood of requests"
    confused = jwt.encode({"sub": "u", "exp": 2e9}, "x" * 32, headers={"kid": "k1"})
    assert await refused(access, request(bearer(confused))) == (401, "token-invalid")


async def test_replicas_with_the_same_keys_accept_each_others_tokens() -> None:
    one, other = (TokenMint.from_keys({"a": KEY, "b": "second"}) for _ in range(2))
    token, _ = one.mint(TokenClaims("a", "s1"), ttl_s=60)
    assert other.verify(token, None).session_id == "s1"
    with pytest.raises(AccessDeniedError):
        TokenMint.from_keys({"a": KEY}).verify(token, None)


LOCAL = {"anonymous": True, "loopback": True, "client_keys": {}}


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:8000", None, 200),
        ("localhost:8000", "http://localhost:8000", 200),
        ("[::1]:8000", "http://[::1]:8000", 200),
        ("127.0.0.1:8000", "http://127.0.0.1:8000", 200),
        ("127.0.0.1:8000", "http://LOCALHOST:8000", 403),
        ("127.0.0.1:8000", "https://evil.example", 403),
        ("127.0.0.1:8000", "http://127.0.0.1:9000", 403),
        ("127.0.0.1:8000", "null", 403),
        ("rebound.example:8000", "http://rebound.example:8000", 403),
        ("rebound.example:8000", None, 403),
        ("[::1", None, 403),
        ("", None, 403),
        ("voice.example.com", "https://voice.example.com", 403),
    ],
)
async def test_on_loopback_only_own_pages_and_programs(
    host: str, origin: str | None, status: int
) -> None:
    headers = {"host": host, **({"origin": origin} if origin else {})}
    access = control(**LOCAL)
    if status == 200:
        assert (await access.admit(request(headers), None)).is_anonymous
    else:
        assert await refused(access, request(headers)) == (403, "origin-not-allowed")


@pytest.mark.parametrize(
    ("allowed", "origin", "ok"),
    [
        ({"https://shop.example"}, "https://shop.example", True),
        ({"https://shop.example"}, "https://SHOP.example", True),
        ({"https://shop.example"}, "http://shop.example", False),
        ({"https://shop.example"}, "https://shop.example.evil", False),
        ({"*"}, "https://any.example", True),
        (set(), "https://voice.example.com", True),
    ],
)
async def test_other_origins_must_be_allowed(allowed: set[str], origin: str, ok: bool) -> None:
    access = control(allowed_origins=frozenset(allowed))
    connection = request({**bearer(KEY), "origin": origin})
    if ok:
        assert (await access.admit(connection, None)).subject == "acme"
    else:
        assert await refused(access, connection) == (403, "origin-not-allowed")


@pytest.mark.parametrize("session_id", ["", "a b", "x" * 129, "../etc", "a/b", "é"])
async def test_a_session_id_is_kept_to_what_is_safe(session_id: str) -> None:
    assert await refused(control(), request(bearer(KEY)), session_id) == (
        400,
        "invalid-session-id",
    )


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.2", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.2", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.2", "198.51.100.1, 10.0.0.3", "198.51.100.1"),
        ("10.0.0.2", "", "10.0.0.2"),
        ("10.0.0.2", None, "10.0.0.2"),
    ],
)
def test_an_address_is_believed_from_trusted_proxies_alone(
    client: str, forwarded: str | None, address: str
) -> None:
    access = control(trusted_proxies=(ip_network("10.0.0.0/8"),))
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    assert access.address_of(request(headers, client=client)) == address


async def test_behind_a_proxy_on_loopback_its_address_is_named_once() -> None:
    access = control(**LOCAL, allowed_origins=frozenset({"https://voice.example.com"}))
    for origin in ({}, {"origin": "https://voice.example.com"}):
        assert (await access.admit(request(origin), None)).is_anonymous
    assert await refused(access, request({"host": "other.example"})) == (403, "origin-not-allowed")


def test_the_owners_of_sessions_are_remembered_up_to_a_bound() -> None:
    owners = SessionOwners(capacity=2)
    for session_id in ("s1", "s2", "s1", "s3"):
        owners.claim(session_id, "acme")
    with pytest.raises(AccessDeniedError):
        owners.claim("s1", "other")
    owners.claim("s2", "other")


def test_keys_have_names() -> None:
    assert parse_keys(["acme:secret-1"]) == {"acme": "secret-1"}
    (name,) = parse_keys(["secret-1"])
    assert name.startswith("key-")
    assert "secret" not in name
    with pytest.raises(ValueError, match="acme"):
        parse_keys(["acme:a", "acme:b"])
