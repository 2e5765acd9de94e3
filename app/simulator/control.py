"""Control: look at a running simulator and change it, over HTTP."""

from dataclasses import asdict

from app.simulator.exchange import Exchange
from app.simulator.world import World

PATH = "/simulator"


class Control:
    """Serve `/simulator`, `/simulator/faults` and `/simulator/requests`."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def show(self, exchange: Exchange) -> None:
        """Serve `GET /simulator`: the configuration without its key, and the totals."""
        config = self._world.config.model_dump(mode="json", exclude={"key"})
        stats = self._world.ledger.stats.as_dict()
        timing = asdict(self._world.timing)
        voice = self._world.voice.name
        content = {"config": config, "timing": timing, "voice": voice, "stats": stats}
        await exchange.answer(200, content)

    async def change(self, exchange: Exchange) -> None:
        """Serve `PATCH /simulator`: answer with the new state, or 422 naming the field."""
        try:
            self._world.configure(exchange.json())
        except ValueError as error:
            await exchange.answer(422, {"code": 422, "message": str(error)})
        else:
            await self.show(exchange)

    async def clear_faults(self, exchange: Exchange) -> None:
        """Serve `DELETE /simulator/faults`."""
        self._world.clear_faults()
        await self.show(exchange)

    async def requests(self, exchange: Exchange) -> None:
        """Serve `GET /simulator/requests`: the timeline, oldest first."""
        timeline = [asdict(record) for record in self._world.ledger.timeline]
        await exchange.answer(200, {"requests": timeline})
