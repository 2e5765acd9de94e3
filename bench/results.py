"""Result: what a scenario measured, where and with which command; printed and stored as JSON."""

import json
import os
import platform
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Self

from rich.console import Console
from rich.table import Table as PrintedTable

ROOT = Path(__file__).parent.parent
DIRECTORY = Path(__file__).parent / "results"

Cell = str | int | float | None
"""A cell of a table; None means not measured and is printed as a dash."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table. The note says what a reader must know to understand it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a plot, or its bars of one colour."""

    name: str
    x: Sequence[float] | Sequence[str]
    y: Sequence[float]


@dataclass(frozen=True, slots=True)
class Reference:
    """A level to compare the series with, drawn as a dashed line."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Plot:
    """The data of one picture. `name` is unique within the result, because it names a file."""

    name: str
    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    kind: Literal["lines", "bars"] = "lines"
    reference: Reference | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What one scenario measured. `name` is the name of its module."""

    name: str
    tables: Sequence[Table]
    plots: Sequence[Plot] = field(default_factory=tuple)

    def print(self) -> None:
        """Print the tables."""
        console = Console(width=120)
        for table in self.tables:
            printed = PrintedTable(
                *table.columns, title=table.title, title_justify="left", caption=table.note
            )
            for row in table.rows:
                printed.add_row(*(format_cell(cell) for cell in row))
            console.print(printed)


Scenario = Callable[[], Result | Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """When, where and with which command a scenario was measured."""

    command: str
    date: str
    """UTC, to the minute."""
    python: str
    cpu: str
    cpus: int
    load: float
    """Load average over the minute before the run: what else the machine did."""
    commit: str | None
    """None outside a git checkout."""

    @classmethod
    def of(cls, scenario: str) -> Self:
        """Record them. Call it before the scenario starts, which makes load of its own."""
        return cls(
            command=f"python -m bench {scenario}",
            date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            python=platform.python_version(),
            cpu=_cpu_model(),
            cpus=os.cpu_count() or 1,
            load=round(os.getloadavg()[0], 2),
            commit=_commit(),
        )


def write(result: Result, circumstances: Circumstances) -> None:
    """Store a result; it replaces the scenario's last one."""
    DIRECTORY.mkdir(exist_ok=True)
    content = {"circumstances": asdict(circumstances), **asdict(result)}
    text = json.dumps(_rounded(content), ensure_ascii=False, indent=1)
    (DIRECTORY / f"{result.name}.json").write_text(text + "\n", encoding="utf-8")


def read(name: str) -> tuple[Result, Circumstances] | None:
    """Return the stored result of a scenario; None when it was never run."""
    path = DIRECTORY / f"{name}.json"
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    plots = [_plot(plot) for plot in content["plots"]]
    tables = [Table(**table) for table in content["tables"]]
    return Result(content["name"], tables, plots), Circumstances(**content["circumstances"])


def _plot(content: dict[str, Any]) -> Plot:
    series = [Series(**series) for series in content["series"]]
    reference = content["reference"] and Reference(**content["reference"])
    return Plot(**{**content, "series": series, "reference": reference})


def summary_of(name: str) -> str:
    """Return the first line of a scenario's module docstring, without its full stop."""
    return (import_module(f"bench.{name}").__doc__ or name).splitlines()[0].rstrip(".")


def format_cell(cell: Cell) -> str:
    """Format a cell for readers."""
    if cell is None:
        return "–"
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.2f}" if cell == round(cell, 2) else f"{cell:.3f}"


def _rounded(value: Any) -> Any:
    """Round floats to four decimals: more digits would be noise in every diff."""
    match value:
        case float():
            return round(value, 4)
        case dict():
            return {key: _rounded(item) for key, item in value.items()}
        case list() | tuple():
            return [_rounded(item) for item in value]
        case _:
            return value


def _cpu_model() -> str:
    """Return the processor's model where Linux tells it, else its architecture."""
    info = Path("/proc/cpuinfo")
    for line in info.read_text(encoding="utf-8").splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """Return the short hash of the commit, with a `+` when the code differs from it."""
    try:
        name = _git("rev-parse", "--short=10", "HEAD").strip()
        changed = _git("status", "--porcelain", "--", "app", "bench/*.py").strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return name + "+" * bool(changed)


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
