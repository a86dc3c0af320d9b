"""Command line of the report on a reader's own trial.

    python -m hte_utils.report trial.csv --outcome event --treatment arm --control Placebo --covariates age,sex
    python -m hte_utils.report trial.csv --plan plan.toml -o report.html --json report.json
    python -m hte_utils.report --verify

Exit status: 0 when the report was written, 1 when --verify found a difference, 2 when the data or the options do not
allow a report (with the reason in a line or two), 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import csv
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from hte_utils.ledger.report import speak_everywhere
from hte_utils.report.analysis import analyse
from hte_utils.report.each import analyse_each
from hte_utils.report.page import write_json, write_page
from hte_utils.report.question import MISSING, Question, QuestionError
from hte_utils.report.reading import DataError, read_table
from hte_utils.report.tables import require_format, write_tables
from hte_utils.report.verification import verification_text, verify

_PROGRAM = "python -m hte_utils.report"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in two lines, where argparse prints the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{_PROGRAM}: {message}\nAll options: {_PROGRAM} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=_PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("trial", type=Path, nargs="?", help="CSV (any separator), Parquet or Excel; one row per patient")
    add("--plan", type=Path, metavar="TOML", help="the question, fixed before the data were seen")
    add("--outcome", metavar="COLUMN", help="the outcome")
    add("--event", metavar="VALUE", help="its value that is the event (default: 1 of a column with 0 and 1)")
    add("--treatment", metavar="COLUMN", help="the arm")
    add("--control", metavar="VALUE", help="the control arm (default: 0 of a column with 0 and 1)")
    add("--treated", metavar="VALUE", help="the treated arm (default: the other one of two)")
    add("--each", action="store_const", const=True, help="compare each other arm with --control, a part for each")
    for name, what in {
        "covariates": "columns measured before randomisation",
        "modifiers": "covariates that may change the effect; 'none' for none (default: all)",
        "group": "columns, e.g. the centre, whose levels get shrunken effects",
        "factors": "numeric covariates whose values are categories",
        "splines": "numeric covariates that enter as natural cubic splines, not as straight lines",
    }.items():
        text = f"{what}, separated by commas (a name with a comma in double quotes); may be repeated"
        add(f"--{name}", action="append", metavar="COLUMNS", help=text)
    add("--id", dest="identifier", metavar="COLUMN", help="unique patient identifiers")
    add("--time", metavar="COLUMN", help="time to the event, or to the end of follow-up without it")
    add("--horizon", type=float, metavar="NUMBER", help="time by which risks are compared, in the unit of --time")
    add("--benefit", action="store_const", const=True, help="the event is good")
    add("--missing", choices=MISSING, help="what happens to missing covariates (default: refuse)")
    add("--simulations", type=int, metavar="N", help="trials simulated for the null rates (default: 200)")
    add("--seed", type=int, metavar="N", help="of all random numbers (default: 1)")
    add("--title", help="title of the page")
    add("-o", "--output", type=Path, default=Path("report.html"), metavar="FILE", help="default: %(default)s")
    add("--json", type=Path, metavar="FILE", help="write every number to this file as well")
    add(
        "--tables",
        type=Path,
        metavar="FILE",
        help="write every table to this file as well: .xlsx (Excel) or .docx (Word)",
    )
    add("--verify", action="store_true", help="compare reports on the shipped trials with R and closed forms")
    add("--quiet", action="store_true", help="no progress")
    return parser


def _columns(texts: Sequence[str], known: set[str]) -> tuple[str, ...]:
    """Column names from options; a name may hold commas, as itself or in quotes."""
    names: list[str] = []
    for text in texts:
        if text in known:
            names.append(text)
            continue
        parts = next(csv.reader([text], skipinitialspace=True))
        while parts:
            # The longest run of parts that is a column, so that a comma inside a name does no harm.
            run = next((k for k in range(len(parts), 0, -1) if ",".join(parts[:k]) in known), 1)
            names.append(",".join(parts[:run]))
            parts = parts[run:]
    return tuple(name for name in names if name)


def _question(options: argparse.Namespace, known: set[str]) -> Question:
    lists = ("covariates", "modifiers", "group", "factors", "splines")
    given: dict[str, Any] = {
        name: value
        for name, value in vars(options).items()
        if value is not None and name not in ("trial", "plan", "output", "json", "tables", "verify", "quiet", *lists)
    }
    for name in lists:
        texts = getattr(options, name)
        if texts is not None:
            given[name] = () if texts == ["none"] and "none" not in known else _columns(texts, known)
    if options.plan is not None:
        return Question.from_plan(options.plan, **given)
    for name in ("outcome", "treatment", "covariates"):
        if name not in given:
            raise QuestionError(f"--{name} is missing: name the column{'s' * (name == 'covariates')}, or give a --plan")
    return Question(**given)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    speak_everywhere(sys.stdout, sys.stderr)
    options = _parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the report itself says what its reader must know
            return _run(options)
    except KeyboardInterrupt:
        return _complain("stopped; no file was written", 130)
    except (DataError, QuestionError) as error:
        return _complain(error, 2)
    except OSError as error:
        return _complain(f"{error.filename or options.output}: {error.strerror or error}", 2)
    except MemoryError:
        return _complain("there is not enough memory for this table: keep only the columns that are needed", 2)
    except (ValueError, TypeError, ArithmeticError) as error:
        return _complain(f"these data do not allow a report: {error}", 2)


def _run(options: argparse.Namespace) -> int:
    if options.verify:
        found = verify()
        sys.stdout.write(verification_text(found))
        return 0 if found["passed"].all() else 1
    if options.trial is None:
        raise QuestionError("which table? Give the path of a CSV, Parquet or Excel file")
    outputs = [path for path in (options.output, options.json, options.tables) if path is not None]
    if len({path.resolve() for path in (options.trial, *outputs)}) <= len(outputs):
        raise QuestionError(
            "the table and each file that is written need names of their own: one would replace another"
        )
    for path in outputs:
        if not path.parent.is_dir():
            raise QuestionError(f"there is no folder {str(path.parent)!r} to write {path.name!r} into: make it first")
        if path.is_dir():
            raise QuestionError(f"{str(path)!r} is a folder: give the name of a file in it")
    if options.tables is not None:
        require_format(options.tables)
    table = read_table(options.trial)
    question = _question(options, {str(name) for name in table.frame.columns})
    progress = None if options.quiet else _progress
    if question.each:
        reports = analyse_each(table, question, progress=progress)
    else:
        reports = [analyse(table, question, progress=progress)]
    write_page(reports, options.output)
    if options.json is not None:
        write_json(reports, options.json)
    if options.tables is not None:
        write_tables(reports, options.tables)
    sys.stdout.write(f"wrote {', '.join(str(path) for path in outputs)}\n")
    return 0


def _progress(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _complain(message: object, status: int) -> int:
    lines = [" ".join(line.split()) for line in str(message).splitlines()]
    text = " ".join(line for line in lines if line)
    sys.stderr.write(f"{_PROGRAM}: {text if len(text) <= 800 else text[:799] + '…'}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
