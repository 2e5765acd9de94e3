"""Fault injection: the page's workbench sets the embedded simulator's faults and timing.

It does not exist where real providers are used. Whoever may open the page may use it, but no other
page may: see `_is_same_origin`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

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

    def about(self) -> dict[str, Any]:
        """Return what the page shows before the first turn."""
        simulates = {"speech": self.simulates_speech, "agent": self.simulates_agent}
        return {"simulates": simulates, "workbench": self.control is not None}


def make_router() -> APIRouter:
    """Serve `/about.json` and `/workbench` from `app.state.fault_injection`."""
    router = APIRouter()
    router.add_route("/about.json", _about, methods=["GET"])
    router.add_route("/workbench", _fault_injection, methods=["GET", "PATCH"])
    return router


async def _about(request: Request) -> Response:
    injection: FaultInjection = request.app.state.fault_injection
    return JSONResponse(injection.about(), headers={"Cache-Control": "no-store"})


async def _fault_injection(request: Request) -> Response:
    """Return the simulator's state, for PATCH after the change.

    This is the HTTP boundary: what `SimulatorControl` raises becomes a status here.
    """
    injection: FaultInjection = request.app.state.fault_injection
    if injection.control is None:
        return _refusal(404, "this gateway has no simulator")
    if not _is_same_origin(request, loopback=injection.listens_on_loopback):
        return _refusal(403, "only this gateway's own page may use this")
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


def _is_same_origin(request: Request, *, loopback: bool) -> bool:
    """Return whether a request may come from our own page, or from no page at all.

    With every PATCH a browser sends the page's origin in `Origin`. A foreign page whose name was
    resolved to this machine (DNS rebinding) has our host in it: on loopback no name but localhost
    can be ours.
    """
    host = request.headers.get("host", "")
    try:
        name = urlsplit(f"//{host}").hostname or ""
        origin = request.headers.get("origin")
        origin_host = host if origin is None else urlsplit(origin).netloc
    except ValueError:  # a bracket that is not closed, or no address in it
        return False
    if loopback and not _is_local(name):
        return False
    return origin_host.lower() == host.lower()


def _is_local(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


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
