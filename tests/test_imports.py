"""The rooms of the house, and the directions in which they may know each other."""

import ast
from pathlib import Path

import pytest

APP = Path(__file__).parent.parent / "app"

BOTTOM = {"app.errors", "app.audio", "app.spoken", "app.watchdog"}
BASES = {"app.stt.base", "app.agent.base", "app.transports.base", "app.listening.base"}

ALLOWED = {
    "app.errors": set(),
    "app.spoken": set(),
    "app.watchdog": set(),
    "app.audio": {"app.errors"},
    "app.settings": {"app.errors", "app.transports.base"},
    "app.logs": set(),
    "app.port": set(),
    "app.net": {"app.errors"},
    "app.hamsa": BOTTOM | {"app.net"},
    "app.stt.base": {"app.audio", "app.errors", "app.transports.base"},
    "app.agent.base": {"app.errors"},
    "app.transports.base": {"app.audio", "app.errors"},
    "app.listening.base": {"app.audio"},
    "app.listening": {"app.audio"},
    "app.listening.registry": {"app.listening", "app.settings"},
    "app.stt": BOTTOM | BASES | {"app.hamsa"},
    "app.agent": BOTTOM | BASES | {"app.net"},
    "app.agent.registry": BOTTOM | BASES | {"app.agent", "app.settings"},
    "app.transports": BOTTOM | BASES | {"app.hamsa"},
    "app.transports.registry": BOTTOM | BASES | {"app.hamsa", "app.settings", "app.transports"},
    "app.transports.composition": {"app.errors", "app.settings", "app.transports"},
    "app.pipeline": BOTTOM | BASES,
    "app.api": BOTTOM | BASES | {"app.pipeline"},
    "app.simulator": {"app.audio"},
    "app.talk": {"app.audio"},
    "app.console": {"app.talk"},
    "app.providers": {"app.errors", "app.net", "app.settings", "app.simulator"},
    "app.cli": {"app.main", "app.simulator", "app.talk", "app.console"},
    "app.main": {"app"},
}
"""What each room may import besides itself; the longest name that fits a module counts."""

FOREIGN = {
    "app.pipeline": {"fastapi", "starlette", "websockets", "httpx", "uvicorn", "pydantic"},
    "app.hamsa": {"fastapi", "starlette", "uvicorn", "pydantic_settings"},
    "app.api": {"websockets", "httpx", "uvicorn", "pydantic_settings"},
    "app.net": {"fastapi", "starlette", "websockets", "uvicorn", "pydantic"},
}
"""Libraries that a room must not know."""

ONLY_IN = {
    "aiohttp": "app.net",
    "multidict": "app.net",
    "yarl": "app.net",
    "h2": "app.net",
    "hyperframe": "app.net",
    "httpcore": "app.net",
}
"""Libraries that one room alone knows: all others see `httpx`, which stands before them."""


def _module(path: Path) -> str:
    parts = path.relative_to(APP.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _is_in(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def _room(module: str) -> str | None:
    rooms = [room for room in ALLOWED if _is_in(module, room)]
    return max(rooms, key=len, default=None)


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module is not None
            # `from app import errors` imports the module app.errors
            found |= (
                {f"app.{alias.name}" for alias in node.names}
                if node.module == "app"
                else {node.module}
            )
    return found


MODULES = sorted(
    path for path in APP.rglob("*.py") if path.parent != APP or path.stem != "__init__"
)


@pytest.mark.parametrize("path", MODULES, ids=_module)
def test_a_module_imports_only_what_its_room_may_know(path: Path) -> None:
    module = _module(path)
    room = _room(module)
    assert room is not None, f"{module} is in no room; give it one in ALLOWED"
    allowed = ALLOWED[room] | {room}
    ours = {name for name in _imports(path) if _is_in(name, "app")}
    wrong = {name for name in ours if not any(_is_in(name, permitted) for permitted in allowed)}
    assert not wrong


@pytest.mark.parametrize("path", MODULES, ids=_module)
def test_a_module_knows_no_library_that_is_foreign_to_its_room(path: Path) -> None:
    module = _module(path)
    for room, foreign in FOREIGN.items():
        if _is_in(module, room):
            assert not {name.partition(".")[0] for name in _imports(path)} & foreign


@pytest.mark.parametrize("path", MODULES, ids=_module)
def test_a_library_that_one_room_hides_is_imported_nowhere_else(path: Path) -> None:
    module = _module(path)
    hidden = {library for library, room in ONLY_IN.items() if not _is_in(module, room)}
    assert not {name.partition(".")[0] for name in _imports(path)} & hidden


def test_only_main_and_what_composes_see_the_settings() -> None:
    seeing = {_module(path) for path in MODULES if "app.settings" in _imports(path)}
    assert seeing == {
        "app.main",
        "app.providers",
        "app.agent.registry",
        "app.listening.registry",
        "app.transports.registry",
        "app.transports.composition",
    }
