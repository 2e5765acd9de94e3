"""Through whom requests go."""

import base64

import httpx
import pytest

from app.errors import ConfigurationError
from app.net.client import http1_transport, http2_transport
from app.net.proxy import proxy_for
from tests.net.clients import ask, http1_client, http2_client
from tests.net.scripted_http1 import scripted_http1, whole

SECRET_URL = "http://n8n.test/webhook?secret=geheim"


async def test_a_proxy_is_used_and_told_no_secret_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scripted_http1(whole(b"ok")) as proxy:
        address = proxy.url.removeprefix("http://")
        monkeypatch.setenv("http_proxy", f"name:word@{address}")
        async with http1_client(SECRET_URL) as client:
            for _ in range(2):
                assert await ask(client, SECRET_URL) == b"ok"
    for exchange in proxy.exchanges:
        assert exchange.head.startswith(b"POST http://n8n.test/webhook?secret=geheim HTTP/1.1\r\n")
        named = "Basic " + base64.b64encode(b"name:word").decode()
        assert exchange.fields("proxy-authorization") == [named]
        assert exchange.fields("authorization") == []


@pytest.mark.parametrize("excused", ["", "127.0.0.1"])
async def test_loopback_needs_no_proxy(monkeypatch: pytest.MonkeyPatch, excused: str) -> None:
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", excused)
    async with scripted_http1(whole(b"ok")) as server, http1_client(server.url) as client:
        assert await ask(client, server.url) == b"ok"


async def test_who_is_excused_from_the_proxy_is_asked_directly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "n8n.invalid")
    async with http1_client("http://n8n.invalid/") as client:
        with pytest.raises(httpx.ConnectError, match="DNS"):
            await ask(client, "http://n8n.invalid/")


@pytest.mark.parametrize(
    "proxy", ["socks5://proxy.test:1080", "proxy.test:port", "http://[proxy", "http://proxy..test"]
)
async def test_a_proxy_that_is_not_valid_or_of_another_protocol_is_told(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    for create in (http1_transport, http2_transport):
        with pytest.raises(ConfigurationError, match="proxy"):
            create("http://n8n.test/", keep_alive_s=1, max_connections=1)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
async def test_a_proxy_is_asked_for_a_tunnel_by_http1_even_by_who_speaks_http2(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted_http1(whole(b"", "502 No")) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        async with http2_client("https://hamsa.test", prior_knowledge=False) as client:
            with pytest.raises(httpx.ProxyError, match="502") as caught:
                await ask(client, "https://hamsa.test/", headers={"authorization": "Token geheim"})
    assert proxy.exchanges[0].head.startswith(b"CONNECT hamsa.test:443 HTTP/1.1")
    assert b"geheim" not in proxy.exchanges[0].head
    assert "hamsa" not in str(caught.value)


def test_a_proxy_for_all_is_used_for_each_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "proxy.test:3128")
    monkeypatch.setenv("http_proxy", "http://other.test:3128")
    assert proxy_for("https://n8n.test/") == "http://proxy.test:3128"
    assert proxy_for("http://n8n.test/") == "http://other.test:3128"
    assert proxy_for("http://localhost/") is None
    assert proxy_for("http://[::1]:8000/") is None
