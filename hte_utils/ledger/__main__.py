"""Command line: ``python -m hte_utils.ledger`` prints the ledger of the recorded run.

Exit status: 0 when every printed number has a value inside its tolerance and every statement a verdict, 1 when a number
is outside or has lost its value or a statement its verdict, 2 when the call is wrong. (That a statement of the paper
does not hold is a finding and not a failure.)
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from functools import partial

from hte_utils.ledger.entries import FAMILY_WISE_ERROR_RATE, LedgerEntry, is_statement, z_threshold
from hte_utils.ledger.notebooks import Project, paper_ledger, record_notebooks, recorded_entries, statement_ledger
from hte_utils.ledger.report import entry_text, speak_everywhere


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    speak_everywhere(sys.stdout, sys.stderr)
    parser = _parser()
    options = parser.parse_args(arguments)
    project = Project.find()
    if options.record is not None:
        names = options.record or project.notebook_names()
        if unknown := sorted(set(names) - set(project.notebook_names())):
            parser.error(f"no notebook named {unknown}; there are {project.notebook_names()}")
        return int(bool(record_notebooks(names, project, say=partial(print, flush=True), accepted=options.accept)))
    entries = [*paper_ledger(project), *statement_ledger(project)]
    if options.all:
        entries += [entry for entry in recorded_entries(project) if entry.printed is None]
    chosen = [entry for entry in entries if options.item in (None, entry.item)]
    if not chosen:
        known = ", ".join(dict.fromkeys(entry.item for entry in entries))
        parser.error(f"no entries under {options.item!r}; there are {known}")
    as_records = [entry.to_json() for entry in chosen]
    print(json.dumps(as_records, indent=1, ensure_ascii=False) if options.json else _as_table(chosen))
    return int(any(entry.fails for entry in chosen))


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m hte_utils.ledger", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print a JSON list of entries instead of a table")
    parser.add_argument("--item", help="only this item of the paper, such as 'Table 1' or 'Section 2.1'")
    parser.add_argument("--all", action="store_true", help="also the guarded numbers of the book that the paper lacks")
    parser.add_argument(
        "--record",
        nargs="*",
        metavar="NOTEBOOK",
        help="run these notebooks (all of them without a name), keep the run, and show which entries and which "
        "displayed lines changed; a notebook with a contradicted entry is not kept (exit status 1)",
    )
    parser.add_argument(
        "--accept", nargs="+", metavar="ID", default=[], help="keep the run although these entries fail"
    )
    return parser


def _as_table(entries: list[LedgerEntry]) -> str:
    numbers = [entry for entry in entries if not is_statement(entry)]
    said = [entry for entry in entries if is_statement(entry)]
    lines: list[str] = []
    if numbers:
        lines += [f"{'id':<38} {'printed':>10} {'reproduced':>22} {'tolerance':>10}  verdict", ""]
        lines += [
            *_by_item(numbers),
            f"random entries: {z_threshold():.2f} standard errors (family-wise error {FAMILY_WISE_ERROR_RATE:.0%})",
        ]
    if said:
        lines += ["", "statements", "", *_by_item(said)]
    return "\n".join(lines)


def _by_item(entries: list[LedgerEntry]) -> list[str]:
    """The entries under the names of their items, and how many have which verdict."""
    lines = []
    for item in dict.fromkeys(entry.item for entry in entries):
        lines += [item, *(entry_text(entry) for entry in entries if entry.item == item), ""]
    counts = Counter(entry.verdict for entry in entries)
    return [*lines, *(f"{count:>5} {verdict}" for verdict, count in counts.items()), f"{len(entries):>5} in all"]


if __name__ == "__main__":
    sys.exit(main())
