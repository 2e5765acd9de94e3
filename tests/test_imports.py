"""The rooms of `app/`, and the direction in which they may import each other."""

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

APP = Path(__file__).parent.parent / "app"

ROOMS = (
    "__main__",
    "cli",
    "check",
    "serving",
    "main",
    "strategies",
    "options",
    "endpoints",
    "openai",
    "plugins",
    "resources",
    "settings",
    "access_settings",
    "agent_settings",
    "limit_settings",
    "setting_checks",
    "setting_errors",
    "env_file",
    "api",
    "pipeline",
    "hamsa",
    "stt",
    "agents",
    "transports",
    "vad",
    "pool",
    "net",
    "client",
    "simulator",
    "text",
    "audio",
    "decoder",
    "telemetry",
    "timeouts",
    "types",
    "errors",
)
"""From top to bottom: a room imports only rooms below it, so that no cycle can be."""

LEAVES = {"audio", "telemetry", "text", "timeouts", "types", "errors"}
"""Rooms that any room above may import."""

ALLOWED = {
    "api": {"pipeline", "stt", "transports", "vad"} | LEAVES,
    "pipeline": {"stt", "agents", "transports", "vad"} | LEAVES,
    "openai": {"plugins", "setting_checks", "stt", "transports", "net"} | LEAVES,
    "hamsa": {"stt", "transports", "pool", "net"} | LEAVES,
    "stt": LEAVES,
    "agents": {"net"} | LEAVES,
    "transports": {"pool"} | LEAVES,
    "vad": LEAVES,
    "pool": LEAVES,
    "plugins": {"resources", "setting_errors", "env_file", "errors"},
    "resources": {"pool", "net"},
    "net": {"errors", "timeouts"},
    "client": {"audio"},
    "simulator": {"audio"},
    "text": {"errors"},
    "audio": {"decoder", "errors"},
    "decoder": {"errors"},
    "telemetry": {"errors"},
    "settings": {
        *(
            "access_settings",
            "agent_settings",
            "limit_settings",
            "setting_checks",
            "setting_errors",
        ),
        *("env_file", "errors", "types"),
    },
    "access_settings": {"setting_checks"},
    "agent_settings": {"setting_checks", "setting_errors"},
    "limit_settings": {"setting_checks"},
    "setting_checks": {"setting_errors"},
    "setting_errors": set(),
    "env_file": {"errors"},
}
"""Where more than the order binds a room: the rooms that it may import."""

STRATEGIES = {"stt", "agents", "transports", "vad"}

FOREIGN = {
    "pool": {"fastapi", "starlette", "uvicorn", "websockets", "httpx", "pydantic"},
    "transports": {"fastapi", "starlette", "uvicorn", "websockets", "httpx", "pydantic"},
    "pipeline": {"fastapi", "starlette", "websockets", "httpx", "uvicorn", "pydantic"},
    "hamsa": {"fastapi", "starlette", "uvicorn", "pydantic_settings"},
    "api": {"websockets", "httpx", "uvicorn", "pydantic_settings"},
}
"""Libraries that a room must not import."""

ONLY_IN = {
    "aiohttp": "net",
    "multidict": "net",
    "yarl": "net",
    "h2": "net",
    "hyperframe": "net",
    "httpcore": "net",
    "av": "decoder",
    "opentelemetry": "telemetry",
    "requests": "telemetry",
}
"""Libraries that one room hides from all others."""

PURE = {
    "app.agents.response_parser",
    "app.pipeline.turn_taking",
    "app.text.sentence_splitter",
    "app.text.tts_text",
}
"""Modules that decide without I/O and without a clock, with all that they import of ours."""

IMPURE = {"asyncio", "concurrent", "httpx", "io", "os", "socket", "structlog", "threading", "time"}

MODULES = sorted(path for path in APP.rglob("*.py"))


def _name(path: Path) -> str:
    parts = path.relative_to(APP.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def _imports(path: Path) -> set[str]:
    """Return the absolute names that a module imports; `from app import x` is `app.x`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module is not None
            found |= {_resolved(node.module, alias.name) for alias in node.names}
    return found


def _resolved(module: str, name: str) -> str:
    """Return the module that `from module import name` needs."""
    path = APP.parent.joinpath(*module.split("."), name)
    return f"{module}.{name}" if path.with_suffix(".py").exists() or path.is_dir() else module


@cache
def graph() -> dict[str, set[str]]:
    """Return what each module imports; read on demand, as all workers collect this file."""
    return {_name(path): _imports(path) for path in MODULES}


@cache
def ours() -> dict[str, set[str]]:
    """Return what each module imports of `app`."""
    return {
        module: {name for name in names if name.startswith("app.")}
        for module, names in graph().items()
    }


def test_the_list_of_rooms_is_the_folder() -> None:
    assert set(ROOMS) == {_room(module) for module in graph()} - {""}


def test_a_module_imports_only_rooms_below_its_own() -> None:
    wrong: dict[str, set[str]] = {}
    for module, names in ours().items():
        if room := _room(module):
            below = set(ROOMS[ROOMS.index(room) + 1 :])
            allowed = ALLOWED.get(room, below)
            assert allowed <= below, room
            wrong[module] = {name for name in names if _room(name) not in {room, *allowed}}
    assert not _of_some(wrong)


def test_no_module_imports_the_public_face() -> None:
    wrong = {
        module: {name for name in names if name.partition(".")[0] == "nabra"}
        for module, names in graph().items()
    }
    assert not _of_some(wrong)


def test_no_modules_import_each_other() -> None:
    try:
        tuple(TopologicalSorter(ours()).static_order())
    except CycleError as error:
        pytest.fail(f"cycle: {' -> '.join(error.args[1])}")


def test_the_conversation_knows_strategies_by_their_interface_alone() -> None:
    interfaces = {f"app.{room}.base" for room in STRATEGIES}
    wrong = {
        module: {name for name in names if _room(name) in STRATEGIES} - interfaces
        for module, names in ours().items()
        if _room(module) in ("pipeline", "api")
    }
    assert not _of_some(wrong)


def test_a_module_imports_no_library_that_is_foreign_to_its_room() -> None:
    wrong: dict[str, set[str]] = {}
    for module, names in graph().items():
        hidden = {library for library, room in ONLY_IN.items() if _room(module) != room}
        foreign = hidden | FOREIGN.get(_room(module), set())
        wrong[module] = {name for name in names if name.partition(".")[0] in foreign}
    assert not _of_some(wrong)


def _of_some(wrong: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the modules with a wrong import, and all of these."""
    assert len(wrong) > 20, "modules were looked at"
    return {module: names for module, names in wrong.items() if names}


def test_a_client_protocol_is_known_to_nobody_but_who_builds() -> None:
    protocol = "app.api.clients.native"
    seeing = {
        module
        for module, names in ours().items()
        if any(name.startswith(protocol) for name in names)
    }
    assert {module for module in seeing if not module.startswith(protocol)} == {"app.main"}


def test_the_connection_parses_nothing() -> None:
    assert not graph()["app.api.connection"] & {"json", "orjson", "base64", "pydantic"}


@pytest.mark.parametrize("module", sorted(PURE))
def test_a_decision_does_no_io_and_knows_no_clock(module: str) -> None:
    names, pending = set[str](), [module]
    while pending:
        new = graph()[pending.pop()] - names
        names |= new
        pending += [name for name in new if name.startswith("app.")]
    assert not {name.partition(".")[0] for name in names} & IMPURE


def test_only_those_who_build_see_the_settings() -> None:
    seeing = {module for module, names in ours().items() if "app.settings" in names}
    builders = {"app.main", "app.check.command", "app.strategies", "app.options", "app.endpoints"}
    serving = {"process", "start_checks", "start_log"}
    assert seeing == builders | {f"app.serving.{module}" for module in serving}


def test_the_document_lists_the_same_rooms_in_the_same_order() -> None:
    document = (APP.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    _, _, section = document.partition("\n## The rooms\n")
    table = section.partition("\n## ")[0].partition("\n| room |")[2].partition("\n\n")[0]
    rooms = re.findall(r"^\| `(\w+)(?:/|\.py)` \|", table, flags=re.MULTILINE)
    assert rooms == [*ROOMS, "web"], "`web` has no Python"
