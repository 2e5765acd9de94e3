"""The page at `/` and its files: Starlette's static files under a strict content policy."""

import os
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path, PurePath

from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

WEB = Path(__file__).parent.parent / "web"

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""The types of file that are served, and no others.

Named here because Python asks the system's table, where JavaScript may have a type that browsers
refuse to run."""

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",  # audio worklets are scripts
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",  # includes WebSockets of the same host
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",  # no string becomes markup or code
}

HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    # Revalidated on every load and mostly answered by a 304, so modules of two releases never mix.
    "Cache-Control": "no-cache",
}


class PageFiles(StaticFiles):
    """Serves the page's files with our headers."""

    def __init__(self, directories: Sequence[Path] = (WEB,)) -> None:
        super().__init__(directory=directories[0])
        self.all_directories = list(directories)

    def get_path(self, scope: Scope) -> str:
        """Return the path of the file; `/` is `index.html`."""
        path = super().get_path(scope)  # normalized: without a final slash, "." for nothing
        asked: str = scope["path"]
        if not asked.endswith("/"):
            return path
        # Keep any other final slash: a file has none, and its links would lead to another folder.
        return "index.html" if path == "." and not asked.endswith("//") else f"{path}/"

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Find a file by its path; hidden files and files of other types are not found."""
        is_hidden = any(part.startswith(".") for part in PurePath(path).parts)
        if is_hidden or path.endswith("/") or PurePath(path).suffix not in MEDIA_TYPES:
            return "", None
        return super().lookup_path(path)

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Respond with a file, or with 304 where the browser has it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(HEADERS)
        # Weak, because one tag stands for the compressed body and for the plain one.
        response.headers["ETag"] = f"W/{response.headers['ETag']}"
        if response.status_code == HTTPStatus.NOT_MODIFIED:
            response.headers["Vary"] = "Accept-Encoding"  # of a 200 the middleware says it
        else:
            response.headers["Content-Type"] = MEDIA_TYPES[PurePath(full_path).suffix]
        return response


def make_page(directories: Sequence[Path] = (WEB,)) -> ASGIApp:
    """Build the application that serves the page; of two files of one name the first is served."""
    return GZipMiddleware(PageFiles(directories))
