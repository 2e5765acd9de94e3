"""The path under which a proxy serves the gateway, such as `/voice`.

The page and its library use relative addresses only. So all that has to be known here is which part
of a path is not ours: `ROOT_PATH`, or what a trusted proxy says in `X-Forwarded-Prefix`.
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

    A proxy may remove the prefix, as nginx does for `proxy_pass http://…/;`, or pass it on.
    """

    def __init__(self, app: ASGIApp, *, root_path: str, is_trusted: Callable[[str], bool]) -> None:
        self._app = app
        self._root_path = root_path
        self._is_trusted = is_trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; the root itself is redirected to where relative addresses work."""
        if scope["type"] in ("http", "websocket") and (root := self._root_of(scope)):
            path: str = scope["path"]
            if path == root and scope["type"] == "http":
                await RedirectResponse(f"{root}/", 308)(scope, receive, send)
                return
            if not path.startswith(f"{root}/"):
                path = root + path
            scope = {**scope, "root_path": root, "path": path}
        await self._app(scope, receive, send)

    def _root_of(self, scope: Scope) -> str:
        forwarded = Headers(scope=scope).get("x-forwarded-prefix", "").rstrip("/")
        address = (scope.get("client") or ("",))[0]
        if forwarded and self._is_trusted(address) and ROOT_PATH.fullmatch(forwarded):
            return forwarded
        return self._root_path
