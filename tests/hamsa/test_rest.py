"""The REST client: its key, its errors, its bounds. No socket is needed for that."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import pytest
import respx
from structlog.testing import capture_logs

from app import errors
from app.hamsa import rest
from app.hamsa.rest import HamsaClient

KEY = "secret-key-of-the-test"
URL = "https://hamsa.test"


@pytest.fixture
def router() -> respx.MockRouter:
    return respx.MockRouter()


@pytest.fixture
async def client(router: respx.MockRouter) -> AsyncIterator[HamsaClient]:
    transport = httpx.MockTransport(router.async_handler)
    client = HamsaClient(URL, KEY, connect_timeout_s=5, transport=transport)
    yield client
    await client.aclose()


class Body(httpx.AsyncByteStream):
    """A body that comes in these chunks, and then ends, fails, or does neither."""

    def __init__(self, *chunks: bytes, then: str = "end") -> None:
        self._chunks = chunks
        self._then = then
        self.sent = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.sent += 1
            yield chunk
        if self._then == "fail":
            raise httpx.ReadError("connection lost")
        if self._then == "hang":
            await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed = True


def answers(router: respx.MockRouter, status: int, body: Body, **headers: str) -> respx.Route:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return router.post(f"{URL}/v1/x").respond(status, headers=names, stream=body)


async def whole(client: HamsaClient, max_bytes: int = 100) -> bytes:
    return await client.post_whole("/v1/x", {"text": "مرحبا"}, max_bytes)


async def test_the_key_travels_in_one_header_and_nowhere_else(
    router: respx.MockRouter, client: HamsaClient
) -> None:
    route = answers(router, 200, Body(b"ans", b"wer"))
    assert await whole(client) == b"answer"
    request = route.calls[0].request
    headers = dict(request.headers)
    assert headers.pop("authorization") == f"Token {KEY}"
    assert headers == {
        "host": "hamsa.test",
        "content-type": "application/json",
        "accept-encoding": "identity",
        "content-length": str(len(request.content)),
    }
    assert request.content == '{"text":"مرحبا"}'.encode()
    assert KEY not in repr(client)


async def test_a_name_in_the_address_takes_not_the_place_of_the_key() -> None:
    router = respx.MockRouter()
    route = answers(router, 200, Body())
    transport = httpx.MockTransport(router.async_handler)
    url = "https://some:body@hamsa.test"
    client = HamsaClient(url, KEY, connect_timeout_s=5, transport=transport)
    await whole(client)
    await client.aclose()
    request = route.calls[0].request
    assert request.headers["authorization"] == f"Token {KEY}"
    assert request.url == f"{URL}/v1/x"


@pytest.mark.parametrize("status", [302, 401, 500])
async def test_the_key_is_in_no_error_and_in_no_log_line(
    router: respx.MockRouter, client: HamsaClient, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    answers(router, status, Body(b"{}"))
    with capture_logs() as lines, pytest.raises(errors.ProviderError) as caught:
        await whole(client)
    assert lines
    assert KEY not in str(lines)
    assert KEY not in caplog.text
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert KEY not in repr(vars(caught.value))


STATUSES: list[tuple[int, str, type[errors.ProviderError]]] = [
    (400, '{"code":400,"message":"text is too long"}', errors.RefusedError),
    (401, '{"code":401,"message":"bad key"}', errors.AuthenticationError),
    (403, "", errors.AuthenticationError),
    (403, '{"code":403,"message":"insufficient funds"}', errors.QuotaExceededError),
    (404, "<html>", errors.RefusedError),
    (429, '{"code":429,"message":"slow down"}', errors.RateLimitedError),
    (429, '{"code":10429,"message":"usage limit reached"}', errors.QuotaExceededError),
    (500, "", errors.ProviderUnavailableError),
    (503, '{"code":503,"message":"later"}', errors.ProviderUnavailableError),
]


@pytest.mark.parametrize(("status", "body", "kind"), STATUSES)
async def test_each_status_is_the_error_that_it_means(
    router: respx.MockRouter,
    client: HamsaClient,
    status: int,
    body: str,
    kind: type[errors.ProviderError],
) -> None:
    sent = Body(body.encode())
    answers(router, status, sent)
    with pytest.raises(errors.ProviderError) as caught:
        await whole(client)
    assert type(caught.value) is kind
    assert str(status) in str(caught.value)
    assert sent.closed


async def test_retry_after_comes_with_the_rate_limit(
    router: respx.MockRouter, client: HamsaClient
) -> None:
    answers(router, 429, Body(), retry_after="7")
    with pytest.raises(errors.RateLimitedError) as caught:
        await whole(client)
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(
    router: respx.MockRouter, client: HamsaClient, status: int
) -> None:
    answers(router, status, Body(), location="https://elsewhere.test/")
    elsewhere = router.route(host="elsewhere.test").respond(200)
    with pytest.raises(errors.ConnectError, match=str(status)):
        await whole(client)
    assert not elsewhere.called


@pytest.mark.parametrize("then", ["hang", "fail"])
async def test_an_error_body_that_never_ends_is_read_for_a_bounded_time(
    router: respx.MockRouter, client: HamsaClient, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "ERROR_BODY_TIMEOUT_S", 0.02)
    body = Body(b'{"code":10429,"message":"usage limit reached"}', then=then)
    answers(router, 429, body)
    with pytest.raises(errors.QuotaExceededError):
        await whole(client)
    assert body.closed


async def test_an_error_body_that_pours_is_read_to_a_bounded_length(
    router: respx.MockRouter, client: HamsaClient
) -> None:
    body = Body(*[bytes(1024)] * 100)
    answers(router, 503, body)
    with pytest.raises(errors.ProviderUnavailableError):
        await whole(client)
    assert body.sent == 4
    assert body.closed


async def test_a_response_longer_than_allowed_is_not_read_to_its_end(
    router: respx.MockRouter, client: HamsaClient
) -> None:
    body = Body(b"x" * 50, b"x" * 51, b"x")
    answers(router, 200, body)
    with pytest.raises(errors.ProtocolError):
        await whole(client)
    assert (body.sent, body.closed) == (2, True)
    answers(router, 200, Body(b"x" * 100))
    assert await whole(client) == b"x" * 100


NOT_SENT = [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.ProxyError("x")]
LOST = [httpx.ReadError("x"), httpx.WriteError("x"), httpx.RemoteProtocolError("x")]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        *((failure, errors.ConnectError) for failure in NOT_SENT),
        *((failure, errors.ConnectionLostError) for failure in LOST),
    ],
)
async def test_each_failure_on_the_way_is_the_error_that_it_means(
    router: respx.MockRouter,
    client: HamsaClient,
    failure: httpx.TransportError,
    kind: type[errors.ProviderError],
) -> None:
    router.post(f"{URL}/v1/x").mock(side_effect=failure)
    with pytest.raises(kind) as caught:
        await whole(client)
    assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_a_body_that_is_cut_is_a_lost_connection_after_what_came(
    router: respx.MockRouter, client: HamsaClient
) -> None:
    body, got = Body(b"half", then="fail"), b""
    answers(router, 200, body)
    with pytest.raises(errors.ConnectionLostError):
        async with client.post("/v1/x", {}) as response, aclosing(response.chunks()) as chunks:
            async for chunk in chunks:
                got += chunk
    assert got == b"half"
    assert body.closed


async def test_leaving_a_response_closes_it(router: respx.MockRouter, client: HamsaClient) -> None:
    body = Body(b"half", then="hang")
    answers(router, 200, body)
    async with client.post("/v1/x", {}) as response, aclosing(response.chunks()) as chunks:
        assert await anext(chunks) == b"half"
    assert body.closed


async def test_a_transport_that_cannot_open_ahead_is_left_alone(
    router: respx.MockRouter, client: HamsaClient
) -> None:
    with capture_logs() as lines:
        await client.warm_up()
    assert not lines
    assert not router.calls
