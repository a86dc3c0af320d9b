"""Command line: ``python -m hte_utils.ledger`` prints the ledger of the recorded run.

Exit status: 0 when every printed number has a value inside its tolerance and every statement a verdict, 1 when a number
is outside or has lost its value or a statement its verdict, 2 when the call is wrong. (That a statement of the paper
does not hold is a finding and not a failure.)
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence

from hte_utils.ledger.entries import FAMILY_WISE_ERROR_RATE, LedgerEntry, z_threshold
from hte_utils.ledger.notebooks import Project, paper_ledger, record_notebooks, recorded_entries, statement_ledger
from hte_utils.ledger.report import format_value, is_statement, speak_everywhere, statement_text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    speak_everywhere(sys.stdout, sys.stderr)
    options = _parser().parse_args(arguments)
    project = Project.find()
    if options.record is not None:
        names = options.record or project.notebook_names()
        if unknown := sorted(set(names) - set(project.notebook_names())):
            _parser().error(f"no notebook named {unknown}; there are {project.notebook_names()}")
        return int(bool(record_notebooks(names, project, say=_say, accepted=options.accept)))
    entries = _selected(project, everything=options.all, item=options.item)
    print(_as_json(entries) if options.json else _as_table(entries))
    return int(any(entry.fails for entry in entries))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hte_utils.ledger", description=__doc__)
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


def _selected(project: Project, *, everything: bool, item: str | None) -> list[LedgerEntry]:
    entries = [*paper_ledger(project), *statement_ledger(project)]
    if everything:
        entries += [entry for entry in recorded_entries(project) if entry.printed is None]
    chosen = [entry for entry in entries if item in (None, entry.item)]
    if not chosen:
        known = ", ".join(dict.fromkeys(entry.item for entry in entries))
        _parser().error(f"no entries under {item!r}; there are {known}")
    return chosen


def _as_json(entries: list[LedgerEntry]) -> str:
    return json.dumps([entry.to_json() for entry in entries], indent=1, ensure_ascii=False)


def _as_table(entries: list[LedgerEntry]) -> str:
    said = [entry for entry in entries if is_statement(entry)]
    numbers = [entry for entry in entries if not is_statement(entry)]
    parts = ([*_number_lines(numbers), "", *_summary(numbers)], [*_statement_lines(said), "", *_counts(said)])
    return "\n\n".join("\n".join(lines) for lines, shown in zip(parts, (numbers, said), strict=True) if shown)


def _number_lines(entries: list[LedgerEntry]) -> list[str]:
    lines = [f"{'id':<38} {'printed':>10} {'reproduced':>22} {'tolerance':>10}  verdict"]
    for item in dict.fromkeys(entry.item for entry in entries):
        lines += ["", item, *(_row(entry) for entry in entries if entry.item == item)]
    return lines


def _statement_lines(entries: list[LedgerEntry]) -> list[str]:
    lines = ["statements"]
    for item in dict.fromkeys(entry.item for entry in entries):
        lines += ["", item, *(statement_text(entry) for entry in entries if entry.item == item)]
    return lines


def _row(entry: LedgerEntry) -> str:
    tolerance = "" if entry.tolerance is None else f"{entry.tolerance:.3g}"
    note = f" ({entry.note})" if entry.note else ""
    return f"{entry.id:<38} {entry.printed or '-':>10} {format_value(entry):>22} {tolerance:>10}  {entry.verdict}{note}"


def _summary(entries: list[LedgerEntry]) -> list[str]:
    rule = f"random entries: {z_threshold():.2f} standard errors (family-wise error rate {FAMILY_WISE_ERROR_RATE:.0%})"
    return [*_counts(entries), rule]


def _counts(entries: list[LedgerEntry]) -> list[str]:
    counts = Counter(entry.verdict for entry in entries)
    return [*(f"{count:>5} {verdict}" for verdict, count in counts.items()), f"{len(entries):>5} in all"]


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
