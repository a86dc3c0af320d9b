"""Findings on the first paragraph of section 3 and the captions of Tables 4 to 6."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hte_utils import paper_sampler
from hte_utils.ledger.entries import judge
from hte_utils.ledger.report import Finding
from hte_utils.paper import entries_of, printed_number
from hte_utils.parameters import listing2_draws

if TYPE_CHECKING:
    from hte_utils.audit.case import Case

OLD_LIMIT: Final = 1.1
"""Limit of the scale reduction factor that was customary for long: close to 1."""
NEW_LIMIT: Final = 1.01
"""The limit of Vehtari et al. (2021): converged."""
GEWEKE_LIMIT: Final = 2.0


def diagnostics(case: Case) -> dict[str, Finding]:
    """Findings on Tables 4 to 6."""
    return _convergence() | _captions(case)


def _convergence() -> dict[str, Finding]:
    points, uppers = (
        {entry.row: float(entry.printed) for entry in entries_of("Table 5") if entry.column == column}
        for column in ("Point est.", "Upper C.I.")
    )
    together = printed_number("table5.multivariate")
    worst = max(points, key=lambda name: points[name])
    draws = paper_sampler.implied_ess()
    scores = {(e.row, e.column): float(e.printed) for e in entries_of("Table 6")}
    beyond = {where: z for where, z in scores.items() if abs(z) > GEWEKE_LIMIT}
    within = sum(value <= NEW_LIMIT for value in points.values())
    return {
        "statement.all-converged": Finding(
            {f"no scale reduction factor is above {NEW_LIMIT}": within == len(points)},
            f"{within} of {len(points)} are at most that. {worst}: {points[worst]:.3f}, and by Table 4 "
            f"{draws[worst]:.0f} effective draws of 3000. By the older limit, {OLD_LIMIT}, all would have converged.",
        ),
        "statement.psrf-close-to-1": Finding(
            {
                f"of each parameter, point and upper limit are below {OLD_LIMIT}": max(
                    *points.values(), *uppers.values()
                )
                < OLD_LIMIT,
                f"the multivariate is below {OLD_LIMIT}": together < OLD_LIMIT,
            },
            f"Largest point {points[worst]:.3f} ({worst}), upper limit {max(uppers.values()):.3f}; multivariate "
            f"{together:.2f}.",
        ),
        "statement.geweke-within-2": Finding(
            {"all are": not beyond},
            f"{len(beyond)} of {len(scores)} are not: "
            + ", ".join(f"{row} {z:+.3f}" for (row, _), z in beyond.items())
            + ". (Some should be beyond 2 by chance.)",
        ),
    }


def _captions(case: Case) -> dict[str, Finding]:
    runs = paper_sampler.recorded_runs(paper_sampler.JagsSampler.SLICE)
    found = paper_sampler.table_5(paper_sampler.at_thinning(runs, paper_sampler.PAPER_THINNING))["table5.multivariate"]
    return {
        "statement.caption-table-4": _all_parameters(case, "Table 4"),
        "statement.caption-table-5": Finding(
            {"1.04 is such as runs of JAGS print": not judge("table5.multivariate", found).fails},
            f"In recorded runs of JAGS the multivariate factor is {found.value:.2f} (median; {found.note}).",
        ),
        "statement.caption-table-6": _all_parameters(case, "Table 6"),
    }


def _all_parameters(case: Case, table: str) -> Finding:
    """Whether a table shows each parameter of the model."""
    names = {str(name) for name in listing2_draws(case.posterior).data_vars}
    shown = {entry.row for entry in entries_of(table)}
    return Finding(
        {"each parameter of Listing 2 is there": names <= shown},
        f"{len(names & shown)} of {len(names)} are; absent: {', '.join(sorted(names - shown))}.",
    )
