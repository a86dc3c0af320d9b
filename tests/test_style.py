"""Figures are SVG on white, small whatever they hold, and the same at every run."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from hte_utils.ledger.notebooks import Project
from hte_utils.style import canvas

ROOT = Project.find().root


def drawn(number):
    with canvas(columns=3) as shown:
        x, y = np.random.default_rng(0).normal(size=(2, number))
        shown.axes[0].scatter(x, y)
        shown.axes[1].plot(x)
        shown.axes[2].errorbar(x, y, yerr=abs(x), fmt="o")
    return shown.figure


@pytest.mark.parametrize(("number", "pictures"), [(20, 0), (5000, 3)])
def test_many_marks_are_pixels_and_few_are_paths(number, pictures):
    svg = drawn(number)._repr_svg_()
    assert min(svg.count("<image"), 3) == pictures
    assert len(svg) < 1_000_000


def test_in_the_dark_a_figure_stands_on_the_page_s_own_ground():
    [ground] = re.findall(r'<g id="patch_1">\s*<path[^>]*style="([^"]*)"', drawn(20)._repr_svg_())
    assert "fill: #ffffff" in ground
    [inverted] = re.findall(r"invert\(([\d.]+)\)", (ROOT / "book" / "_static" / "book.css").read_text())
    assert round(255 * (1 - float(inverted))) == 18  # the theme's ground is rgb(18, 18, 18)


def test_a_figure_is_the_same_file_every_time_and_the_same_words():
    first, second = drawn(20), drawn(20)
    assert first._repr_svg_() == second._repr_svg_()
    assert repr(first).startswith("<Figure size ")  # what recorded runs hold
    assert isinstance(first, Figure)
