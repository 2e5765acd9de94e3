"""The path under which a proxy serves the gateway, such as `/voice`.

The page and its library use relative addresses only. So all that has to be known here is which part
of a path is not ours: `ROOT_PATH`, or what a trusted proxy says in `X-Forwarded-Prefix`.

By convention that header names what the proxy has removed. So nothing is removed for it here: a
path below it that begins alike, as `/page/main.js` does below `/page`, stays whole. `ROOT_PATH`
alone does not tell whether the proxy removes it, so a path may begin with it or not.
"""

import re
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

ROOT_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,63}){1,8}")
"""The prefixes of proxies that are believed: names, and nothing that could lead elsewhere."""


class RootPath:
    """Middleware that tells the application under which path the client sees it.

    A proxy may remove `root_path`, as nginx does for `proxy_pass http://…/;`, or pass it on. One
    that says what it has removed may stand before one that passes `root_path` on.
    """

    def __init__(self, app: ASGIApp, *, root_path: str, is_trusted: Callable[[str], bool]) -> None:
        self._app = app
        self._root_path = root_path
        self._is_trusted = is_trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; the root itself is redirected to where relative addresses work."""
        if scope["type"] in ("http", "websocket"):
            root, path = self._seen_by_client(scope)
            if root and path == root and scope["type"] == "http":
                await RedirectResponse(f"{root}/", 308)(scope, receive, send)
                return
            scope = {**scope, "root_path": root, "path": path}
        await self._app(scope, receive, send)

    def _seen_by_client(self, scope: Scope) -> tuple[str, str]:
        """Return the root, and the whole path with it."""
        path: str = scope["path"]
        removed = self._removed_prefix(scope)
        is_passed_on = f"{path}/".startswith(f"{self._root_path}/")
        if not is_passed_on:
            root = removed or self._root_path
            return root, root + path
        if removed == self._root_path:  # what the proxy names, it has not removed
            return removed, path
        return removed + self._root_path, removed + path

    def _removed_prefix(self, scope: Scope) -> str:
        """Return what a trusted proxy says it has removed; empty for nothing."""
        forwarded = Headers(scope=scope).get("x-forwarded-prefix", "").rstrip("/")
        address = (scope.get("client") or ("",))[0]
        is_believed = ROOT_PATH.fullmatch(forwarded) and self._is_trusted(address)
        return forwarded if is_believed else ""
