"""Turn what was measured into docs/benchmarks.md: `python -m bench.report`."""

from collections.abc import Iterator, Sequence

from bench import charts
from bench.__main__ import SCENARIOS
from bench.results import ROOT, Circumstances, Plot, Result, Table, read, shown, summary_of

PAGE = ROOT / "docs" / "benchmarks.md"
PICTURES = ROOT / "docs" / "benchmarks"

INTRODUCTION = """\
# Benchmarks

Made by `make report` of what `make bench` has measured, against the simulator; every table can be \
re-made by the command under it. Profile `measured` of the simulator is as slow as the real \
providers were measured to be, `fast` is quicker. Simulator, gateway and caller share one \
machine, and the load that it carried besides is told with each table.
"""


def main() -> None:
    """Write the page and its pictures, in the place of the last ones."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for old in PICTURES.glob("*.svg"):
        old.unlink()
    for name, plot in pictures().items():
        charts.draw(plot, PICTURES / name)
    PAGE.write_text(page(), encoding="utf-8")
    print(f"docs/benchmarks.md: {len(_kept())} of {len(SCENARIOS)} scenarios")


def page() -> str:
    """Return the page, with a section for each scenario that was ever run."""
    sections = ["\n".join(_section(*found)) for found in _kept()]
    return "\n".join([INTRODUCTION, *sections])


def pictures() -> dict[str, Plot]:
    """Return what is drawn, by the names of the files."""
    return {_file_name(result, plot.name): plot for result, _ in _kept() for plot in result.plots}


def _kept() -> list[tuple[Result, Circumstances]]:
    return [found for name in SCENARIOS if (found := read(name)) is not None]


def _section(result: Result, circumstances: Circumstances) -> Iterator[str]:
    yield f"## {summary_of(result.name)}\n"
    for table in result.tables:
        yield from _table(table)
        yield f"    {circumstances.command}\n"
    for plot in result.plots:
        yield f"![{plot.title}](benchmarks/{_file_name(result, plot.name)})\n"
    yield f"<sub>{_told(circumstances)}</sub>\n"


def _table(table: Table) -> Iterator[str]:
    yield f"**{table.title}**\n"
    numeric = [_is_numeric(table, index) for index in range(len(table.columns))]
    yield _row(table.columns)
    yield _row(["---:" if right else "---" for right in numeric])
    for row in table.rows:
        yield _row([shown(cell) for cell in row])
    yield ""
    if table.note:
        yield f"{table.note}\n"


def _is_numeric(table: Table, column: int) -> bool:
    return all(isinstance(row[column], int | float | None) for row in table.rows)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _file_name(result: Result, plot: str) -> str:
    return f"{result.name}-{plot}.svg"


def _told(its: Circumstances) -> str:
    commit = f", commit {its.commit}" if its.commit else ""
    return (
        f"{its.date}{commit}; Python {its.python}, {its.cpus} × {its.cpu}; load before {its.load}"
    )


if __name__ == "__main__":
    main()
