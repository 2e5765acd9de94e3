"""What the gateway serves to browsers, and under which policy."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from app.api import page
from app.api.page import read_assets

ASSETS = read_assets()
LARGEST_FIRST_LOAD = 100_000

NAMES_AT_ONCE = r'(?:from |^import |src=|href=)"([^"#]+)"'
NAMES = r'(?:from |^import |import\(|src=|href=)"([^"#]+)"'


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Starlette(routes=page.make_router(ASSETS).routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        yield client


def path_of(name: str) -> str:
    return "/" if name == "index.html" else f"/{name}"


@pytest.mark.parametrize("name", ASSETS)
async def test_every_file_comes_as_what_it_is_and_under_the_policy(
    browser: httpx.AsyncClient, name: str
) -> None:
    answer = await browser.get(path_of(name))
    assert answer.status_code == 200
    assert answer.content == (page.WEB / name).read_bytes()
    kind = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    assert answer.headers["content-type"].startswith(kind[name.rpartition(".")[2]])
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "microphone=(self)" in answer.headers["permissions-policy"]


async def test_a_browser_that_has_a_file_is_told_so_and_nothing_more(
    browser: httpx.AsyncClient,
) -> None:
    first = await browser.get("/")
    assert first.headers["cache-control"] == "no-cache"
    again = await browser.get("/", headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    assert (await browser.get("/", headers={"If-None-Match": '"other"'})).status_code == 200


async def test_files_are_packed_for_those_who_can_unpack(browser: httpx.AsyncClient) -> None:
    packed = await browser.get("/", headers={"Accept-Encoding": "gzip"})
    plain = await browser.get("/", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])
    assert packed.content == plain.content
    assert packed.headers["vary"] == "Accept-Encoding"


def test_a_changed_file_has_another_tag(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("1")
    before = read_assets(tmp_path)["a.js"].etag
    (tmp_path / "a.js").write_text("2")
    assert read_assets(tmp_path)["a.js"].etag != before


@pytest.mark.parametrize(
    "path",
    ["/../settings.py", "/%2e%2e/settings.py", "/..%2fsettings.py", "/page/../../main.py",
     "/page", "/index.html/", "//etc/passwd", "/nothing.js"],
)  # fmt: skip
async def test_nothing_else_can_be_asked_for(browser: httpx.AsyncClient, path: str) -> None:
    assert (await browser.get(path)).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_files_are_only_read(browser: httpx.AsyncClient, method: str) -> None:
    assert (await browser.request(method, "/")).status_code == 405


def test_all_that_the_page_names_is_there() -> None:
    """Modules, styles and icons are files of ours, and none is fetched from elsewhere."""
    named = set()
    for name in ASSETS:
        folder = (page.WEB / name).parent
        found = re.findall(NAMES, text(name), re.MULTILINE)
        for target in found:
            assert "//" not in target, f"{name} names {target}"
            named.add((folder / target.lstrip("/")).resolve().relative_to(page.WEB).as_posix())
    assert named
    assert named <= ASSETS.keys()


def test_the_page_needs_no_exception_from_its_policy() -> None:
    html = text("index.html")
    assert not re.findall(r"\s(?:style|on[a-z]+)=", html)
    assert not re.findall(r"<style|<script(?![^>]*src=)", html)


def test_the_first_load_is_small() -> None:
    """The page, all that it names, and the modules that these import, before anyone begins."""
    waiting, loaded = ["index.html"], set[str]()
    while waiting:
        if (name := waiting.pop()) in loaded:
            continue
        loaded.add(name)
        folder = (page.WEB / name).parent
        named = re.findall(NAMES_AT_ONCE, text(name), re.MULTILINE)
        waiting += [(folder / each).resolve().relative_to(page.WEB).as_posix() for each in named]
    assert "page/conversation.js" in loaded
    assert sum(len(ASSETS[name].body) for name in loaded) < LARGEST_FIRST_LOAD


def text(name: str) -> str:
    return ASSETS[name].body.decode()
