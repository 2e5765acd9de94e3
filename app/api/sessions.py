"""Sessions over plain HTTP: tokens for one session each, and why a handshake is refused.

A page cannot see the HTTP status of a refused WebSocket handshake. A GET of the same URL is
answered by the same status and body.
"""

import uuid
from typing import Annotated

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.api.access import AccessControl
from app.api.drain import Drain
from app.api.token_claims import TokenClaims
from app.api.usage import Usage
from app.errors import AccessDeniedError

MAX_BODY_BYTES = 4096
"""Largest request for a token; all its fields take 400 bytes."""

NO_STORE = {"Cache-Control": "no-store"}


class TokenRequest(BaseModel):
    """What a server asks for on behalf of one client."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    session_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._~:@-]{1,128}$")] | None = None
    """The session that the token opens; a new one by default."""
    ttl_s: Annotated[int, Field(ge=10, le=3600)] = 300
    """How long the token opens it, in seconds; a session that is open may last longer."""
    max_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    """Longest session, in seconds."""
    speaker: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """The only voice of the session."""
    transport: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """The only transport of the session."""


def make_router() -> APIRouter:
    """Serve `/v1/sessions`, and GET of the WebSocket's paths, from `app.state.access`."""
    router = APIRouter()
    router.add_route("/v1/sessions", _mint, methods=["POST"])
    for path in (
        *("/ws/agent", "/ws/agent/", "/ws/agent/{session_id}", "/ws/agent/{session_id}/"),
        "/ws/agent/{session_id:path}",  # last: an id with a slash, which is refused
    ):
        router.add_route(path, _explain, methods=["GET"])
    return router


def denial(error: AccessDeniedError) -> JSONResponse:
    """Return the HTTP response that a refused client gets."""
    headers = dict(NO_STORE)
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = {"type": "error", "code": error.code, "message": str(error)}
    return JSONResponse(body, status_code=error.status, headers=headers)


async def _explain(request: Request) -> Response:
    """Say why a handshake at this URL is refused, or that it needs to be one."""
    access: AccessControl = request.app.state.access
    try:
        usage: Usage = request.app.state.usage
        drain: Drain = request.app.state.drain
        grant = await access.admit(request, request.path_params.get("session_id"))
        drain.check()
        usage.check(grant)
    except AccessDeniedError as error:
        return denial(error)
    body = {
        "type": "error",
        "code": "upgrade-required",
        "message": "this address takes WebSocket handshakes; a proxy in front of the gateway must "
        "pass on Upgrade and Connection",
    }
    return JSONResponse(
        body, status_code=426, headers={**NO_STORE, "Upgrade": "websocket", "Connection": "Upgrade"}
    )


async def _mint(request: Request) -> Response:
    """Mint a token for one session; needs a client key."""
    access: AccessControl = request.app.state.access
    try:
        access.check_origin(request)
        if (key := access.key_name(request)) is None or access.mint is None:
            raise AccessDeniedError(
                "a key of CLIENT_KEYS is needed, as Authorization: Bearer …",
                status=401,
                code="credential-missing",
            )
        wanted = TokenRequest.model_validate(await _body(request))
    except AccessDeniedError as error:
        return denial(error)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        text = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        return denial(AccessDeniedError(text, status=422, code="invalid-request"))
    session_id = wanted.session_id or str(uuid.uuid4())
    claims = TokenClaims(key, session_id, wanted.max_s, wanted.speaker, wanted.transport)
    token, expires_at = access.mint.mint(claims, ttl_s=wanted.ttl_s)
    body = {"session_id": session_id, "token": token, "expires_at": expires_at}
    return JSONResponse(body, status_code=201, headers=NO_STORE)


async def _body(request: Request) -> object:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            text = f"more than {MAX_BODY_BYTES} bytes"
            raise AccessDeniedError(text, status=413, code="invalid-request")
    try:
        return orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        text = "the body is not JSON"
        raise AccessDeniedError(text, status=400, code="invalid-request") from None
