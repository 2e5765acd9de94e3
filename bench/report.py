"""Write docs/benchmarks.md from the stored results: `python -m bench.report`."""

from collections.abc import Iterator, Sequence

from bench.__main__ import SCENARIOS
from bench.results import ROOT, Circumstances, Plot, Result, Table, format_cell, read, summary_of

PAGE = ROOT / "docs" / "benchmarks.md"
PICTURES = ROOT / "docs" / "benchmarks"

INTRODUCTION = """\
# Benchmarks

`make bench` measures Nabra against the simulator, and `make report` writes this page from the \
results. The command under a table measures it again. Simulator, gateway and callers share one \
machine; the small print under each section names it, with its load average before the run.

- *Profile*: the timing of the simulator. \
Profile `measured` of the simulator is as slow as the real providers were measured to be. \
Profile `fast` is quicker.
- *Transport*: how speech is requested. `websocket` uses the pooled sockets, `rest` uses HTTP/2, \
`auto` uses a socket that is free and otherwise REST. `websocket` and `rest` are each other's \
fallback.
- *First audio*, *last audio*: when the first and the last audio of a response reach the caller.
- *Whole*: every byte of a sentence's audio reached the caller, once and in order. A response is \
whole when all its sentences are.
- *Truncated*: the provider sent only 20 ms of audio for a request, and a regular end.
- *Theoretical minimum*: when audio could be heard if only the providers took time.
- *Baseline*: the same relay without Nabra's work, on bare libraries ([bench/baseline.py]\
(../bench/baseline.py)).
- *Framing*: how audio is sent to the caller, as base64 in JSON events or as binary messages.
"""


def main() -> None:
    """Write the page and its pictures; they replace the last ones."""
    from bench import charts  # noqa: PLC0415 - matplotlib takes half a second; the page needs none

    PICTURES.mkdir(parents=True, exist_ok=True)
    for old in PICTURES.glob("*.svg"):
        old.unlink()
    for name, plot in pictures().items():
        charts.draw(plot, PICTURES / name)
    PAGE.write_text(page(), encoding="utf-8")
    print(f"docs/benchmarks.md: {len(_stored())} of {len(SCENARIOS)} scenarios")


def page() -> str:
    """Return the page, with a section for each scenario that has a stored result."""
    sections = ["\n".join(_section(*stored)) for stored in _stored()]
    return "\n".join([INTRODUCTION, *sections])


def pictures() -> dict[str, Plot]:
    """Return the plots by the names of their files."""
    return {_file_name(result, plot.name): plot for result, _ in _stored() for plot in result.plots}


def _stored() -> list[tuple[Result, Circumstances]]:
    return [stored for name in SCENARIOS if (stored := read(name)) is not None]


def _section(result: Result, circumstances: Circumstances) -> Iterator[str]:
    yield f"## {summary_of(result.name)}\n"
    for table in result.tables:
        yield from _table(table)
        yield f"    {circumstances.command}\n"
    for plot in result.plots:
        yield f"![{plot.title}](benchmarks/{_file_name(result, plot.name)})\n"
    yield f"<sub>{_small_print(circumstances)}</sub>\n"


def _table(table: Table) -> Iterator[str]:
    yield f"**{table.title}**\n"
    numeric = [_is_numeric(table, index) for index in range(len(table.columns))]
    yield _row(table.columns)
    yield _row(["---:" if right else "---" for right in numeric])
    for row in table.rows:
        yield _row([format_cell(cell) for cell in row])
    yield ""
    if table.note:
        yield f"{table.note}\n"


def _is_numeric(table: Table, column: int) -> bool:
    return all(isinstance(row[column], int | float | None) for row in table.rows)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _file_name(result: Result, plot: str) -> str:
    return f"{result.name}-{plot}.svg"


def _small_print(run: Circumstances) -> str:
    commit = f", commit {run.commit}" if run.commit else ""
    return (
        f"{run.date}{commit}; Python {run.python}, {run.cpus} × {run.cpu}; load before {run.load}"
    )


if __name__ == "__main__":
    main()
