"""What the gateway serves to browsers, and under which content policy."""

import gzip
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Message

from app.api import page

FILES = sorted(
    path.relative_to(page.WEB).as_posix()
    for path in page.WEB.rglob("*")
    if path.suffix in page.MEDIA_TYPES
)
MAX_FIRST_LOAD_BYTES = 100_000
MAX_FIRST_LOAD_PACKED_BYTES = 36_000

STATIC_NAMES = r'(?:from |^import |src=|href=)"([^"#]+)"'
ALL_NAMES = r'(?:from |^import |import\(|src=|href=)"([^"#]+)"'


def app_for(directories: Sequence[Path]) -> Starlette:
    return Starlette(routes=[Mount("/", page.make_page(directories))])


@asynccontextmanager
async def browser_for(directories: Sequence[Path]) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app_for(directories))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        yield client


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    async with browser_for([page.WEB]) as client:
        yield client


def path_of(name: str) -> str:
    return "/" if name == "index.html" else f"/{name}"


def text(name: str) -> str:
    """Return a file without its comments, which name types for the type checker only."""
    return re.sub(r"/\*.*?\*/", "", (page.WEB / name).read_text("utf-8"), flags=re.DOTALL)


def names_in(name: str, pattern: str) -> list[str]:
    return re.findall(pattern, text(name), re.MULTILINE)


def resolve(name: str, target: str) -> str:
    """Return the path under the page's folder that a file means by a name."""
    return ((page.WEB / name).parent / target).resolve().relative_to(page.WEB).as_posix()


@pytest.mark.parametrize("name", FILES)
async def test_every_file_has_its_media_type_and_the_policy(
    browser: httpx.AsyncClient, name: str
) -> None:
    response = await browser.get(path_of(name))
    assert response.status_code == 200
    assert response.content == (page.WEB / name).read_bytes()
    kind = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    assert response.headers["content-type"].startswith(kind[name.rpartition(".")[2]])
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "microphone=(self)" in response.headers["permissions-policy"]


async def test_a_file_that_the_browser_has_is_not_sent_again(browser: httpx.AsyncClient) -> None:
    first = await browser.get("/")
    assert first.headers["cache-control"] == "no-cache"
    etag = first.headers["etag"]
    again = await browser.get("/", headers={"If-None-Match": f'"other", {etag}'})
    assert (again.status_code, again.content) == (304, b"")
    for name in ("content-security-policy", "cache-control", "etag", "vary"):
        assert again.headers[name] == first.headers[name]
    assert (await browser.get("/", headers={"If-None-Match": '"other"'})).status_code == 200


async def test_files_are_compressed_for_clients_that_accept_it(browser: httpx.AsyncClient) -> None:
    packed = await browser.get("/", headers={"Accept-Encoding": "gzip"})
    plain = await browser.get("/", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])
    assert packed.content == plain.content
    assert packed.headers["vary"] == "Accept-Encoding"
    assert packed.headers["etag"] == plain.headers["etag"]


async def test_a_head_request_gets_the_headers_only(browser: httpx.AsyncClient) -> None:
    response = await browser.head("/nabra.js")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"].startswith("text/javascript")


async def test_a_changed_file_has_another_tag(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("1")
    async with browser_for([tmp_path]) as browser:
        before = (await browser.get("/a.js")).headers["etag"]
        (tmp_path / "a.js").write_text("2")
        os.utime(tmp_path / "a.js", (1, 1))  # a coarse clock may give both writes one time
        response = await browser.get("/a.js", headers={"If-None-Match": before})
    assert (response.status_code, response.text) == (200, "2")
    assert response.headers["etag"] != before


@pytest.mark.parametrize(
    "path",
    ["/../settings.py", "/page/../../main.py", "/../web-of-others/a.js", "/..\\settings.py",
     "//etc/passwd", "/page/\0.js", "/page", "/page/", "/index.html/", "//",
     "/nabra.js/", "/nothing.js", f"/{'long' * 100}.js"],
)  # fmt: skip
async def test_nothing_outside_the_page_is_served(path: str) -> None:
    """Asked without an HTTP client, which would tidy such paths up."""
    statuses: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    await app_for([page.WEB])(scope, receive, send)
    assert statuses == [404]


@pytest.mark.parametrize(
    "name",
    [".env", ".hidden.js", ".git/config.js", "jsconfig.json", "types.d.ts", "page.py", "js",
     "outside.js"],
)  # fmt: skip
async def test_files_of_other_kinds_are_not_served(tmp_path: Path, name: str) -> None:
    """Nor are hidden files, and links that lead out of the folder."""
    web = tmp_path / "web"
    (web / ".git").mkdir(parents=True)
    if name == "outside.js":
        (tmp_path / name).write_text("secret")
        (web / name).symlink_to(tmp_path / name)
    else:
        (web / name).write_text("secret")
    (web / "shown.js").write_text("shown")
    async with browser_for([web]) as browser:
        assert (await browser.get("/shown.js")).status_code == 200
        assert (await browser.get(f"/{name}")).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_files_are_read_only(browser: httpx.AsyncClient, method: str) -> None:
    assert (await browser.request(method, "/")).status_code == 405


def test_every_file_that_the_page_names_exists() -> None:
    """Modules, styles and icons are our own files, and none is fetched from elsewhere."""
    named = set()
    for name in FILES:
        for target in names_in(name, ALL_NAMES):
            assert "//" not in target, f"{name} names {target}"
            named.add(resolve(name, target.lstrip("/")))
    assert named
    assert named <= set(FILES)


def test_the_page_needs_no_exception_from_its_policy() -> None:
    html = text("index.html")
    assert not re.findall(r"\s(?:style|on[a-z]+)=", html)
    assert not re.findall(r"<style|<script(?![^>]*src=)", html)


def needed_by(name: str) -> set[str]:
    """Return a file and all that it names statically, directly or not."""
    waiting, found = [name], set[str]()
    while waiting:
        if (each := waiting.pop()) in found:
            continue
        found.add(each)
        waiting += [resolve(each, target) for target in names_in(each, STATIC_NAMES)]
    return found


def test_the_first_load_is_small() -> None:
    """It is the page, all that it names, and what these import, before a conversation starts."""
    loaded = needed_by("index.html")
    bodies = [(page.WEB / name).read_bytes() for name in loaded]
    assert "nabra.js" in loaded
    assert sum(map(len, bodies)) < MAX_FIRST_LOAD_BYTES
    assert sum(len(gzip.compress(body)) for body in bodies) < MAX_FIRST_LOAD_PACKED_BYTES


def test_the_documents_name_the_files_of_the_library() -> None:
    """Those who serve it from elsewhere copy them."""
    worklets = {"capture.js", "playback.js"}
    files = set[str]().union(*map(needed_by, ("nabra.js", *worklets)))
    loaded = re.findall(r'addWorklet\(\w+, "([^"]+)"', "".join(map(text, files)))
    assert set(loaded) == worklets
    document = (page.WEB.parent.parent / "docs/clients.md").read_text("utf-8")
    [sentence] = re.findall(r"^.*copy the files.*$", document, re.MULTILINE)
    assert set(re.findall(r"`([\w-]+\.js)`", sentence)) == files
