"""A gateway behind a proxy that serves it under a path."""

from ipaddress import ip_network

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from app.api.access import is_in
from app.api.root_path import RootPath
from app.simulator import Simulator
from tests.gateway import calling, running_gateway, settings_for

TRUSTED = [ip_network("127.0.0.0/8")]


async def seen_path(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers with what it was told."""
    text = f"{scope.get('root_path', '')} {Request(scope).url.path}"
    await PlainTextResponse(text)(scope, receive, send)


async def get(path: str, *, root_path: str = "", forwarded: str = "", trusted: bool = True) -> str:
    networks = TRUSTED if trusted else []
    app = RootPath(
        seen_path, root_path=root_path, is_trusted=lambda address: is_in(address, networks)
    )
    headers = {"X-Forwarded-Prefix": forwarded} if forwarded else {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        response = await client.get(f"http://gateway.test{path}", headers=headers)
    return response.text or f"{response.status_code} {response.headers['Location']}"


@pytest.mark.parametrize("path", ["/about.json", "/voice/about.json"])
async def test_a_proxy_may_remove_the_path_or_pass_it_on(path: str) -> None:
    assert await get(path, root_path="/voice") == "/voice /voice/about.json"
    assert await get(path, forwarded="/voice/") == "/voice /voice/about.json"


async def test_a_path_that_only_begins_alike_is_another_one() -> None:
    assert await get("/voices", root_path="/voice") == "/voice /voice/voices"


async def test_the_path_itself_leads_to_where_relative_addresses_work() -> None:
    assert await get("/voice", root_path="/voice") == "308 /voice/"


@pytest.mark.parametrize(
    "forwarded", ["//evil.test", "/a b", "/../x", "evil", "/" + "x" * 65, "/a" * 9, "/a\\b"]
)
async def test_a_prefix_that_is_no_path_of_names_is_not_believed(forwarded: str) -> None:
    assert await get("/", forwarded=forwarded) == " /"


async def test_only_trusted_proxies_are_believed() -> None:
    assert await get("/", forwarded="/voice", trusted=False) == " /"
    assert await get("/", forwarded="/other", root_path="/voice", trusted=False) == "/voice /voice/"
    assert await get("/", forwarded="/other", root_path="/voice") == "/other /other/"


async def test_page_library_and_socket_are_served_under_the_path(simulator: Simulator) -> None:
    async with running_gateway(settings_for(simulator, root_path="/voice")) as url:
        for prefix in ("", "/voice"):
            base = url.replace("ws:", "http:").replace("/ws/agent/", prefix)
            async with httpx.AsyncClient() as client:
                page = await client.get(f"{base}/")
                assert (page.status_code, "<!doctype html>" in page.text) == (200, True)
                for name in ("nabra.js", "page/main.js", "healthz"):
                    assert (await client.get(f"{base}/{name}")).status_code == 200, name
                about = (await client.get(f"{base}/about.json")).json()
                assert about["root_path"] == "/voice"
                assert (await client.get(f"{base}/ws/agent/x/")).status_code == 426
                assert (await client.get(f"{base}/absent.js")).status_code == 404
            async with calling(url.replace("/ws/agent/", f"{prefix}/ws/agent/")) as caller:
                await caller.send({"type": "text", "text": "أين شحنتي؟"})
                await caller.until("done")
