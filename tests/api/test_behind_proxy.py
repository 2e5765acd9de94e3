"""A gateway behind a proxy: under a path, and with handshakes that lost their `Upgrade`."""

from ipaddress import ip_network
from pathlib import Path

import httpx
import orjson
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from websockets.exceptions import InvalidStatus

from app.api.access import is_in
from app.api.root_path import RootPath
from app.simulator import Simulator
from tests.gateway import calling, running_gateway, settings_for
from tests.net.nginx import EXECUTABLE, MISSING, nginx_of

PROXIED = """\
proxy_http_version 1.1;
location /voice/ {{
    proxy_pass {gateway}/;
    proxy_set_header X-Forwarded-Prefix /voice;
    proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;
}}
location /page/ {{
    proxy_pass {gateway}/;
    proxy_set_header X-Forwarded-Prefix /page;
    proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;
}}
location /kept/ {{
    proxy_pass {gateway};
    proxy_set_header X-Forwarded-Prefix /kept;
    proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;
}}
location /forgetful/ {{
    proxy_pass {gateway}/;
}}
"""

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
    assert await get(path, root_path="/voice", forwarded="/voice/") == "/voice /voice/about.json"


async def test_what_a_proxy_says_it_has_removed_is_not_removed_again() -> None:
    assert await get("/about.json", forwarded="/voice/") == "/voice /voice/about.json"
    assert await get("/voice/metrics", forwarded="/voice") == "/voice /voice/voice/metrics"
    assert await get("/page/main.js", forwarded="/page") == "/page /page/page/main.js"
    assert await get("/voice", forwarded="/voice") == "/voice /voice/voice"


@pytest.mark.parametrize("path", ["/about.json", "/voice/about.json"])
async def test_a_proxy_that_removes_its_path_may_stand_before_one_that_passes_its_own_on(
    path: str,
) -> None:
    removed = "/apps" if path.startswith("/voice") else "/apps/voice"
    seen = await get(path, root_path="/voice", forwarded=removed)
    assert seen == "/apps/voice /apps/voice/about.json"
    assert await get("/voice", root_path="/voice", forwarded="/apps") == "308 /apps/voice/"


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


@pytest.mark.skipif(EXECUTABLE is None, reason=MISSING)
async def test_behind_a_real_nginx_and_one_that_forgets_the_upgrade(
    simulator: Simulator, tmp_path: Path
) -> None:
    settings = settings_for(simulator, trusted_proxies=("127.0.0.0/8",), root_path="/kept")
    async with running_gateway(settings) as endpoint:
        gateway = endpoint.replace("ws:", "http:").removesuffix("/ws/agent/")
        async with nginx_of(tmp_path, PROXIED.format(gateway=gateway)) as url:
            for path in ("/voice", "/page", "/kept"):
                async with httpx.AsyncClient(base_url=url, follow_redirects=True) as client:
                    page = await client.get(path)
                    assert (page.status_code, page.url.path) == (200, f"{path}/")
                    assert (await client.get(f"{path}/about.json")).json()["root_path"] == path
                    assert (await client.get(f"{path}/page/main.js")).status_code == 200
                async with calling(url.replace("http:", "ws:") + f"{path}/ws/agent/") as caller:
                    await caller.send({"type": "text", "text": "أين شحنتي؟"})
                    await caller.until("done")
            with pytest.raises(InvalidStatus) as refused:
                async with calling(url.replace("http:", "ws:") + "/forgetful/ws/agent/x/"):
                    pass
    response = refused.value.response
    body = orjson.loads(response.body)
    assert (response.status_code, response.headers["Upgrade"]) == (426, "websocket")
    assert body["code"] == "upgrade-required"
    assert "proxy" in body["message"]
