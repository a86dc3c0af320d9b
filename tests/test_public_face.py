"""``import hte_utils as hte``: the names of a first reader, their examples, and no work before they are used."""

from __future__ import annotations

import ast
import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import hte_utils as hte

NAMES = hte.__all__


@pytest.mark.parametrize("name", [name for name in NAMES if name != "PAPER_SPEC"])
def test_every_name_has_an_example_that_runs(name: str) -> None:
    [example] = doctest.DocTestFinder(recurse=False).find(getattr(hte, name), name)
    assert example.examples, f"{name} has no example"
    assert example.examples[0].source == "import hte_utils as hte\n"
    assert not doctest.DocTestRunner().run(example).failed


def test_a_name_of_the_face_is_the_name_at_home() -> None:
    for name in NAMES:
        found = getattr(hte, name)
        assert getattr(found, "__name__", name) == name
    assert set(NAMES) <= set(dir(hte))


def test_type_checkers_see_every_name() -> None:
    tree = ast.parse(Path(hte.__file__).read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == {name: f"hte_utils.{home}" for name, home in hte._HOME.items()}
    assert list(seen.keys() - set(NAMES)) == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'simulate_paper'"):
        hte.simulate_paper  # noqa: B018


def test_importing_does_no_work() -> None:
    code = "import sys, hte_utils; print([name for name in sys.modules if name.startswith(('hte_utils.', 'numpy'))])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
