"""The page at `/` and the files it is made of, under a policy that lets nothing else in."""

import gzip
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

WEB = Path(__file__).parent.parent / "web"

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Named here, because a system's table may call JavaScript something that no browser runs."""

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",  # audio worklets are scripts
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",  # the same host's sockets too
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",  # no text becomes markup
}

HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    # Asked for each time and answered by a 304: the page and its modules never disagree.
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it was when the process started."""

    body: bytes
    packed: bytes
    media_type: str
    etag: str
    """Weak: it stands for both forms of the body."""

    @classmethod
    def read(cls, path: Path) -> "Asset":
        """Read it into memory."""
        body = path.read_bytes()
        digest = blake2b(body, digest_size=12).hexdigest()
        packed = gzip.compress(body, mtime=0)
        return cls(body, packed, MEDIA_TYPES[path.suffix], f'W/"{digest}"')

    def answer(self, request: Request) -> Response:
        """Answer a request, with nothing if the browser has it."""
        headers = {**HEADERS, "ETag": self.etag}
        known = request.headers.get("if-none-match", "")
        if self.etag in (tag.strip() for tag in known.split(",")):
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(self.packed, headers=headers, media_type=self.media_type)
        return Response(self.body, headers=headers, media_type=self.media_type)


def read_assets(root: Path = WEB) -> dict[str, Asset]:
    """Read all files of the page, by their paths under `root`."""
    return {
        path.relative_to(root).as_posix(): Asset.read(path)
        for path in sorted(root.rglob("*"))
        if path.suffix in MEDIA_TYPES
    }


def make_router(assets: dict[str, Asset]) -> APIRouter:
    """Serve the files, each by a route of its own: what is not among them cannot be asked for."""
    router = APIRouter()
    for name, asset in assets.items():

        async def serve(request: Request, asset: Asset = asset) -> Response:
            return asset.answer(request)

        path = "/" if name == "index.html" else f"/{name}"
        router.add_route(path, serve, methods=["GET", "HEAD"])
    return router
