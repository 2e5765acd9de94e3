"""Draw plots as SVG: the same numbers give the same file, readable on light and dark pages."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.results import Plot

INK = "#7d7d7d"
"""A grey with a contrast of at least 4 to 1 against white and against GitHub's dark theme."""

COLOURS = ("#9a8c7c", "#c07a2c", "#2f81c7", "#2a9d6f", "#a368c4", "#d0526a")
"""The first ones differ in lightness, so that they can be told apart without colour vision."""

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "nabra",  # else element ids are random
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}

BARS_WIDTH = 0.8
"""Share of the space between two ticks that a group of bars takes."""


def draw(plot: Plot, path: Path) -> None:
    """Draw one plot into a file."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = figure.add_subplot()
        if plot.kind == "bars":
            _bars(axes, plot)
        else:
            _lines(axes, plot)
        if level := plot.reference:
            axes.axhline(level.value, color=INK, linestyle="--", linewidth=1, label=level.name)
        axes.set_title(plot.title, loc="left")
        axes.set_xlabel(plot.x_label)
        axes.set_ylabel(plot.y_label)
        axes.set_ylim(bottom=0)
        if len(plot.series) > 1 or plot.reference:
            figure.legend(loc="outside lower center", ncols=3, fontsize=9)
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})
    # matplotlib writes trailing spaces, which would be noise in diffs
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line.rstrip() for line in lines) + "\n", encoding="utf-8")


def _bars(axes: Axes, plot: Plot) -> None:
    """Draw the bars of all series side by side around each tick."""
    places = range(len(plot.series[0].x))
    width = BARS_WIDTH / len(plot.series)
    for number, series in enumerate(plot.series):
        shift = (number - (len(plot.series) - 1) / 2) * width
        axes.bar(
            [place + shift for place in places],
            series.y,
            width * 0.92,
            label=series.name,
            color=COLOURS[number % len(COLOURS)],
        )
    axes.set_xticks(list(places), [str(name) for name in plot.series[0].x])
    axes.grid(visible=False, axis="x")


def _lines(axes: Axes, plot: Plot) -> None:
    for number, series in enumerate(plot.series):
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(series.x, series.y, marker="o", markersize=4, label=series.name, color=colour)
    axes.set_xlim(left=0)
