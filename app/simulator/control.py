"""ControlEndpoints: look at a running simulator and change it, over HTTP."""

from dataclasses import asdict

from app.simulator.exchange import HTTPExchange
from app.simulator.state import SimulatorState

PATH = "/simulator"


class ControlEndpoints:
    """Serve `/simulator`, `/simulator/faults` and `/simulator/requests`."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state

    async def show(self, exchange: HTTPExchange) -> None:
        """Serve `GET /simulator`: the configuration without its key, and the totals."""
        config = self._state.config.model_dump(mode="json", exclude={"key"})
        stats = self._state.request_log.stats.as_dict()
        timing = asdict(self._state.timing)
        voice = self._state.voice.name
        content = {"config": config, "timing": timing, "voice": voice, "stats": stats}
        await exchange.answer(200, content)

    async def change(self, exchange: HTTPExchange) -> None:
        """Serve `PATCH /simulator`: answer with the new state, or 422 naming the field."""
        try:
            self._state.configure(exchange.json())
        except ValueError as error:
            await exchange.answer(422, {"code": 422, "message": str(error)})
        else:
            await self.show(exchange)

    async def clear_faults(self, exchange: HTTPExchange) -> None:
        """Serve `DELETE /simulator/faults`."""
        self._state.clear_faults()
        await self.show(exchange)

    async def requests(self, exchange: HTTPExchange) -> None:
        """Serve `GET /simulator/requests`: the timeline, oldest first."""
        timeline = [asdict(record) for record in self._state.request_log.timeline]
        await exchange.answer(200, {"requests": timeline})
