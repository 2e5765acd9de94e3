"""A stand-in for the Hamsa speech provider and for the agent, on real sockets, with faults."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.simulator.config import SimulatorConfig
    from app.simulator.faults import FaultSpec
    from app.simulator.simulator import Simulator, Urls
    from app.simulator.throttle import Throttle

__all__ = ["FaultSpec", "Simulator", "SimulatorConfig", "Throttle", "Urls"]

_MODULES = {
    "FaultSpec": "faults",
    "Simulator": "simulator",
    "SimulatorConfig": "config",
    "Throttle": "throttle",
    "Urls": "simulator",
}


def __getattr__(name: str) -> object:
    """Import on first use: the gateway starts the simulator as a child, and needs no server."""
    if name not in _MODULES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
