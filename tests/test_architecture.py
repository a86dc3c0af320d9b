"""ARCHITECTURE.md against the code: which room may import which, and how large the house is."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict

import grimp
import pytest

from hte_utils.ledger.notebooks import Project

ROOT = Project.find().root
PACKAGE = ROOT / "hte_utils"
MODULES = sorted(PACKAGE.rglob("*.py"))
REPORT = "report"


def table() -> dict[str, set[str]]:
    """Room → rooms it may import, as ARCHITECTURE.md has it."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.search(r"^\| room \|.*\n\| --- .*\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert rows
    cells = [[cell.strip() for cell in row.strip("|\n ").split("|")] for row in rows.group(1).splitlines()]
    return {room.strip("`"): set(re.findall(r"`(\w+)`", allowed)) for room, _, allowed in cells}


def real_imports() -> dict[str, dict[str, list[str]]]:
    """Room → room it imports → where; imports for type checkers and inside functions count."""
    graph = grimp.build_graph("hte_utils", exclude_type_checking_imports=False, cache_dir=None)
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for module in graph.modules - {"hte_utils"}:
        room = module.split(".")[1]
        for imported in graph.find_modules_directly_imported_by(module):
            other = imported.partition(".")[2].partition(".")[0]
            if other != room:
                found[room][other].append(f"{module} → {imported}")
    return found


def test_every_room_has_its_row() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix in ("", ".py") and not path.name.startswith("_")}
    assert rooms == set(table())


def test_no_room_imports_more_than_its_row_allows() -> None:
    allowed = table()
    forbidden = {
        f"{room} may not import {other}": where
        for room, others in real_imports().items()
        for other, where in others.items()
        if other not in allowed[room]
    }
    assert forbidden == {}


def test_the_table_goes_down_the_floors_of_the_contract() -> None:
    [contract] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    floors = [{room.strip() for room in floor.split("|")} for floor in contract["layers"]]
    assert len(floors) <= 5
    floor = {room: number for number, rooms in enumerate(reversed(floors), start=1) for room in rooms}
    allowed = table()
    assert set(floor) == set(allowed)
    assert [(room, other) for room, others in allowed.items() for other in others if floor[other] >= floor[room]] == []


def test_the_top_of_the_package_is_a_dozen_entries() -> None:
    entries = {path.name for path in PACKAGE.iterdir() if not path.name.startswith("__pycache__")}
    assert len(entries - {REPORT}) <= 12, sorted(entries)  # the report of a reader's own trial stands beside the book's


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_is_too_long_to_read(path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_the_rooms_of_the_book_stay_within_a_hundred_files() -> None:
    assert len([path for path in MODULES if REPORT not in path.relative_to(PACKAGE).parts]) <= 100


def test_the_architecture_fits_on_a_few_screens() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()) < 120
