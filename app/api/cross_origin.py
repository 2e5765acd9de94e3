"""What pages of other origins may read by HTTP: the library, and why a handshake is refused."""

from collections.abc import Collection

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send


class CrossOriginReads:
    """Answers pages of `allowed_origins` with the headers that let them read (CORS).

    Only GET, without cookies, of what the library for browsers asks for. Tokens are minted by
    servers, and metrics and the workbench are for operators: to these no page gets access.
    WebSockets pass by: `AccessControl` checks their origin.
    """

    def __init__(self, app: ASGIApp, allowed_origins: Collection[str]) -> None:
        self._app = app
        self._cors = CORSMiddleware(
            app,
            allow_origins=allowed_origins,
            allow_methods=("GET",),
            allow_headers=("Authorization",),
            expose_headers=("Retry-After",),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, through Starlette's middleware where a page may read the response."""
        is_readable = scope["type"] == "http" and _is_for_pages(_path_below_root(scope))
        await (self._cors if is_readable else self._app)(scope, receive, send)


def _path_below_root(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _is_for_pages(path: str) -> bool:
    return path == "/about.json" or path.startswith("/ws/agent") or path.endswith(".js")
