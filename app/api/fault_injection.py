"""Fault injection: the page's workbench sets the embedded simulator's faults and timing.

It does not exist where real providers are used. Whoever may open the page may use it, but no other
page may: see `_is_same_origin`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.api.access import AccessControl
from app.errors import AccessDeniedError

PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""Headers that show that a request came through a proxy."""

MAX_BODY_BYTES = 16 * 1024
"""A change of all faults and all timing is smaller than 4 KiB."""


class SimulatorControl(Protocol):
    """Reads and changes the state of a simulator."""

    async def read(self) -> dict[str, Any]:
        """Return the state. Raises `OSError` when the simulator cannot be reached."""

    async def change(self, patch: Mapping[str, Any]) -> dict[str, Any]:
        """Change the state; return the new one. Raises `ValueError` that names the field."""


class Change(BaseModel):
    """What the page may change; the simulator itself validates the values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    profile: str | None = None
    faults: dict[str, Any] | None = None
    timing: dict[str, Any] | None = None
    throttle: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class FaultInjection:
    """Which providers are simulated, and the control of the simulator if there is one."""

    control: SimulatorControl | None
    simulates_speech: bool
    simulates_agent: bool
    listens_on_loopback: bool
    strategies: Mapping[str, Any] = field(default_factory=dict)
    """Who transcribes, answers and speaks, by name."""

    def about(self) -> dict[str, Any]:
        """Return what the page shows before the first turn."""
        simulates = {"speech": self.simulates_speech, "agent": self.simulates_agent}
        return {"simulates": simulates, "workbench": self.control is not None, **self.strategies}


def make_router() -> APIRouter:
    """Serve `/about.json` and `/workbench` from `app.state.fault_injection`."""
    router = APIRouter()
    router.add_route("/about.json", _about, methods=["GET"])
    router.add_route("/workbench", _fault_injection, methods=["GET", "PATCH"])
    return router


async def _about(request: Request) -> Response:
    injection: FaultInjection = request.app.state.fault_injection
    access: AccessControl = request.app.state.access
    about = {
        **injection.about(),
        "needs_token": access.needs_token,
        "root_path": request.scope.get("root_path", ""),
    }
    return JSONResponse(about, headers={"Cache-Control": "no-store"})


async def _fault_injection(request: Request) -> Response:
    """Return the simulator's state, for PATCH after the change.

    This is the HTTP boundary: what `SimulatorControl` raises becomes a status here.
    """
    injection: FaultInjection = request.app.state.fault_injection
    if injection.control is None:
        return _refusal(404, "this gateway has no simulator")
    try:
        _check_access(request, loopback=injection.listens_on_loopback)
    except AccessDeniedError as error:
        return _refusal(error.status, str(error))
    try:
        if request.method != "PATCH":
            state = await injection.control.read()
        elif (body := await _body(request)) is None:
            return _refusal(413, f"more than {MAX_BODY_BYTES} bytes")
        else:
            state = await injection.control.change(_patch(body))
    except ValueError as error:
        return _refusal(422, str(error))
    except OSError:
        return _refusal(503, "the simulator cannot be reached")
    shown = {name: state[name] for name in ("config", "timing", "voice", "stats")}
    return JSONResponse(shown, headers={"Cache-Control": "no-store"})


def _check_access(request: Request, *, loopback: bool) -> None:
    """Raise `AccessDeniedError` unless the request may change the simulator for everybody.

    On loopback our own page may, and programs; not what a proxy passes on from elsewhere. On other
    interfaces a client key is needed.
    """
    access: AccessControl = request.app.state.access
    access.check_origin(request)
    if access.key_name(request) is not None:
        return
    if not loopback or any(name in request.headers for name in PROXY_HEADERS):
        raise AccessDeniedError(
            "off loopback the workbench needs a key of CLIENT_KEYS",
            status=403,
            code="credential-missing",
        )


async def _body(request: Request) -> bytes | None:
    """Return the body; None if it is longer than `MAX_BODY_BYTES`."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


def _patch(body: bytes) -> dict[str, Any]:
    """Decode a change. Raises `ValueError` that names the field."""
    try:
        change = Change.model_validate(orjson.loads(body))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{field}: {first['msg']}") from None
    return change.model_dump(exclude_unset=True)


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"code": status, "message": message}, status_code=status)
