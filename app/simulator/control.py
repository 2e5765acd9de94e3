"""ControlEndpoints: look at a running simulator and change it, over HTTP."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response

from app.simulator.http_messages import UTF8JSONResponse, read_json_object
from app.simulator.state import SimulatorState

PATH = "/simulator"


class ControlEndpoints:
    """Serve `/simulator`, `/simulator/faults` and `/simulator/requests`."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state

    async def show(self, _: Request) -> Response:
        """Serve `GET /simulator`: return the configuration without its key, and the totals."""
        return self._current()

    async def change(self, request: Request) -> Response:
        """Serve `PATCH /simulator`: return the new state, or a 422 that names the field."""
        try:
            self._state.configure(await read_json_object(request))
        except ValueError as error:
            return UTF8JSONResponse({"code": 422, "message": str(error)}, 422)
        return self._current()

    async def clear_faults(self, _: Request) -> Response:
        """Serve `DELETE /simulator/faults`: return the state without faults and throttle."""
        self._state.clear_faults()
        return self._current()

    async def requests(self, _: Request) -> Response:
        """Serve `GET /simulator/requests`: return the last 1,000 requests, oldest first."""
        records = [asdict(record) for record in self._state.request_log.records]
        return UTF8JSONResponse({"requests": records})

    def _current(self) -> Response:
        return UTF8JSONResponse(
            {
                "config": self._state.config.model_dump(mode="json", exclude={"key"}),
                "timing": asdict(self._state.timing),
                "voice": self._state.voice.name,
                "stats": self._state.request_log.stats.as_dict(),
            }
        )
