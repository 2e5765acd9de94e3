"""Requests from a template are those that httpx would build."""

import httpx

from app.net.request import RequestTemplate
from tests.net.clients import ask, http1_client, http2_client
from tests.net.scripted_http1 import scripted_http1, whole
from tests.net.scripted_http2 import echo, scripted_http2

HEADERS = {"Content-Type": "application/json", "X-Token": "geheim"}


def test_a_request_is_the_one_that_httpx_builds() -> None:
    url = httpx.URL("https://بيت.test:8443/a%2Fb?c=d")
    template = RequestTemplate("POST", url, httpx.Headers(HEADERS))
    for body in (b"", b'{"n":1}', bytes(100_000)):
        ours = template.build(body)
        theirs = httpx.Request("POST", url, headers=HEADERS, content=body)
        assert (ours.method, ours.url, ours.content) == (theirs.method, theirs.url, body)
        assert ours.headers == theirs.headers


async def test_it_arrives_by_both_versions_of_http() -> None:
    async with scripted_http2(echo) as server, http2_client(server.url) as client:
        template = RequestTemplate("POST", httpx.URL(server.url), httpx.Headers(HEADERS))
        for body in (b"one", b"three"):
            response = await client.send(template.build(body))
            assert response.content == body
        assert await ask(client, server.url, b"two") == b"two"
    async with scripted_http1(whole()) as served, http1_client(served.url) as client:
        template = RequestTemplate("POST", httpx.URL(served.url), httpx.Headers(HEADERS))
        await client.send(template.build(b"one"))
        (exchange,) = served.exchanges
    assert (exchange.body, exchange.fields("x-token")) == (b"one", ["geheim"])
    assert exchange.fields("host") == [served.url.removeprefix("http://")]
