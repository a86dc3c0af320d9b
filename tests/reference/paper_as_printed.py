"""The paper's printed numbers a second time, so that no digit of hte_utils/paper/table_*.csv changes unnoticed.

python tests/reference/paper_as_printed.py           prints what differs from paper_as_printed.txt
python tests/reference/paper_as_printed.py --write   takes the numbers of the CSV files over, on purpose
"""

from __future__ import annotations

import sys
from difflib import ndiff
from itertools import groupby
from pathlib import Path

from hte_utils.paper import paper_entries

COPY = Path(__file__).with_suffix(".txt")


def lines() -> list[str]:
    """One line a row of a table: the ids' common part, then each number by the rest of its id."""
    rows = groupby(paper_entries(), key=lambda entry: (entry.item, entry.row))
    return [
        f"{item}, {row}: " + ", ".join(f"{entry.id.partition('.')[2]} = {entry.printed}" for entry in entries)
        for (item, row), entries in rows
    ]


def difference() -> list[str]:
    """Lines of the copy that are gone ("-") and lines of the CSV files that are new ("+")."""
    copied = COPY.read_text(encoding="utf-8").splitlines()
    return [line for line in ndiff(copied, lines()) if line[0] in "+-"]


if __name__ == "__main__":
    print("\n".join(difference()) or "no difference")
    if "--write" in sys.argv:
        COPY.write_text("\n".join(lines()) + "\n", encoding="utf-8")
