"""How every figure of the book looks. Nothing is set globally: a figure is drawn inside :func:`book_style`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from typing import Any, Literal, NamedTuple

import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.lines import Line2D

# Okabe and Ito's palette, told apart with every common form of colour blindness; meaning never rests on colour alone.
BLUE = "#0072b2"
ORANGE = "#e69f00"
GREEN = "#009e73"
VERMILION = "#d55e00"
PURPLE = "#cc79a7"
SKY = "#56b4e9"
BLACK = "#000000"
GREY = "#7f7f7f"

ARM_COLOURS = {"Control": BLUE, "Treatment": VERMILION}
ARM_LINES = {"Control": "-", "Treatment": "--"}
PAPER_COLOUR = BLACK
"""Whatever the paper printed is drawn in black."""
DIRECTION = "← fewer bleeds | more bleeds →"
"""Which way an axis of effects points."""

_STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.dpi": 110,
    "savefig.dpi": 110,
    "font.size": 9,
    "svg.hashsalt": "book",  # the same figure is the same file
}
_MANY = 1000
"""Marks or corners of a line from which on they are drawn as pixels: a picture of paths would be megabytes."""


class Figure(matplotlib.figure.Figure):
    """A figure that notebooks show as SVG, sharp at every size, on white; the book turns it over in the dark."""

    def _repr_svg_(self) -> str:
        with rc_context(_STYLE):
            for mark in self.findobj(lambda artist: isinstance(artist, (Line2D, Collection))):
                mark.set_rasterized(_corners(mark) > _MANY)
            file = StringIO()
            self.savefig(file, format="svg", dpi=150, metadata={"Date": None})
        return file.getvalue()


def _corners(mark: Any) -> int:
    if isinstance(mark, Line2D):
        return np.size(mark.get_xdata())
    return max(len(mark.get_offsets()), len(mark.get_paths()))


type Shared = bool | Literal["row", "col"]


class Canvas(NamedTuple):
    """A new figure and its axes, in reading order."""

    figure: matplotlib.figure.Figure
    axes: tuple[Axes, ...]

    @property
    def axis(self) -> Axes:
        """The only, or the first, axes."""
        return self.axes[0]


@contextmanager
def canvas(
    columns: int = 1,
    rows: int = 1,
    *,
    width: float = 7.2,
    height: float = 3.2,
    sharey: Shared = False,
    sharex: Shared = False,
) -> Iterator[Canvas]:
    """Open a figure in the book's style (size in inches) and hand it over finished.

    It is closed for pyplot at the end, so that a notebook shows it once: as the value of its cell.
    """
    with rc_context(_STYLE):
        figure, axes = plt.subplots(
            rows,
            columns,
            FigureClass=Figure,
            figsize=(width, height),
            layout="constrained",
            sharey=sharey,
            sharex=sharex,
            squeeze=False,
        )
        try:
            yield Canvas(figure, tuple(axes.flat))
        finally:
            plt.close(figure)


def dots_with_intervals(
    axis: Axes,
    place: npt.ArrayLike,
    interval: Iterable[npt.ArrayLike],
    style: Mapping[str, Any],
    *,
    across: bool = False,
) -> None:
    """Draw intervals (centre, lower, upper), upwards or `across` the page; `style`: of `Axes.errorbar`."""
    value, lower, upper = (np.asarray(each, dtype=np.float64) for each in interval)
    # Rounding may put an end of zero length on the wrong side.
    reach = np.clip([value - lower, upper - value], 0.0, None)
    how: dict[str, Any] = {"fmt": "o", "capsize": 2, "markersize": 4, **style}
    if across:
        axis.errorbar(value, place, xerr=reach, **how)
    else:
        axis.errorbar(place, value, yerr=reach, **how)
