"""More than two arms: each against the same control, one report after another, and what they say together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape

import pandas as pd
from statsmodels.stats.multitest import multipletests

from hte_utils.report.analysis import Report, analyse
from hte_utils.report.columns import other_arms
from hte_utils.report.heterogeneity import LEVEL
from hte_utils.report.html import paragraphs, table
from hte_utils.report.question import Question
from hte_utils.report.reading import DataError, Table
from hte_utils.report.words import Sentences, needed, p_value, points, short


def analyse_each(
    patients: Table | pd.DataFrame, question: Question, *, progress: Callable[[str], None] | None = None
) -> list[Report]:
    """A report on each other arm against the control, in the order of their names; DataError as `analyse`.

    Each looks at the patients of its two arms alone, so it is the report that these arms would have had by themselves.
    """
    arms = other_arms(patients, question)
    found = []
    for arm in arms:
        if progress is not None:
            progress(f"{short(arm)} against {short(str(question.control))}")
        try:
            report = analyse(patients, replace(question, treated=arm, each=False), progress=progress)
        except DataError as error:
            raise DataError(f"{arm!r} against {question.control!r}: {error}") from error
        if len(arms) > 1:
            report.warnings.append(
                f"This is one of {len(arms)} comparisons with the same control arm: see what they say together."
            )
        found.append(report)
    return found


def overview(reports: Sequence[Report]) -> pd.DataFrame:
    """A row for each comparison: counts, the average effect in words, and p-values of treatment × predicted risk.

    `p` is calibrated by simulation, `p, all comparisons` corrected for their number by Holm's method.
    """
    tests = [report.tests.tests.iloc[0] for report in reports]
    p = pd.Series([float(test["p"]) for test in tests])
    holm = p.copy()
    if p.notna().any():
        holm[p.notna()] = multipletests(p.dropna(), method="holm")[1]
    rows = []
    for report, own, corrected in zip(reports, p, holm, strict=True):
        control, treated = report.trial.arm_counts().values()
        difference = report.crude.loc["RISK_DIFFERENCE"]
        rows.append(
            {
                "arm": treated.label,
                "events/patients": f"{treated.events}/{treated.n}",
                "control events/patients": f"{control.events}/{control.n}",
                "risk difference (points)": points(difference),
                "number needed": needed(difference, report.trial.question.benefit),
                "p": p_value(own),
                "p, all comparisons": p_value(corrected),
            }
        )
    return pd.DataFrame(rows)


def said_of_all(reports: Sequence[Report]) -> list[str]:
    """What must be known before several comparisons are read."""
    n, control = len(reports), short(reports[0].trial.arms[0])
    return [
        f"{n} arms are compared with the same control, “{control}”, each by itself in a part of its own below.",
        f"Intervals are 95 % intervals of one comparison. If no arm differed from the control, at least one of {n} "
        f"would exclude zero in up to {100 * min(1.0, n * LEVEL):.0f} % of such trials. P-values are those of "
        "treatment × predicted risk, calibrated by simulation; those for all comparisons are corrected (Holm).",
        "The control patients are shared: if by chance they did badly, every arm looks good. The comparisons are not "
        "independent findings, and that two arms differ from each other cannot be read from them: compare these two.",
    ]


def overview_part(reports: Sequence[Report]) -> str:
    """The first part of the page, with links to the others."""
    found = overview(reports)
    rows = [tuple(short(str(each)) for each in row) for row in found.itertuples(index=False)]
    links = "".join(f'<li><a href="#part-{n}">{escape(row[0])}</a></li>' for n, row in enumerate(rows, start=1))
    return (
        paragraphs([*Sentences(reports[0]).who_is_who()[:1], *said_of_all(reports)])
        + table("Each arm against the control", [str(name) for name in found], rows)
        + f"<p>The parts:</p><ol>{links}</ol>"
    )
