"""Stand-in for the Hamsa speech provider and for the agent's webhook, on real sockets."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.simulator.config import SimulatorConfig, Throttle
    from app.simulator.faults import FaultSpec
    from app.simulator.simulator import Simulator, Urls

__all__ = ["FaultSpec", "Simulator", "SimulatorConfig", "Throttle", "Urls"]

_HOMES = {
    "FaultSpec": "faults",
    "Simulator": "simulator",
    "SimulatorConfig": "config",
    "Throttle": "config",
    "Urls": "simulator",
}


def __getattr__(name: str) -> object:
    """Import on first use: the gateway only starts us as a child and needs no server here."""
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
