"""Findings on the first paragraph of section 3 and the captions of Tables 4 to 6."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hte_utils import paper_sampler
from hte_utils.ledger.entries import judge
from hte_utils.ledger.statements import Finding
from hte_utils.paper import entries_of, printed_number
from hte_utils.parameters import listing2_draws

if TYPE_CHECKING:
    from hte_utils.audit.case import Case

OLD_LIMIT, NEW_LIMIT = 1.1, 1.01
"""Limits of the scale reduction factor: customary for long, and of Vehtari et al. (2021)."""
ENOUGH_DRAWS: Final = 400
"""Effective draws that Vehtari et al. (2021) ask for."""
GEWEKE_LIMIT: Final = 2.0


def diagnostics(case: Case) -> dict[str, Finding]:
    """Findings on Tables 4 to 6."""
    return _convergence(case) | _captions(case)


def _convergence(case: Case) -> dict[str, Finding]:
    points = {e.row: float(e.printed) for e in entries_of("Table 5") if e.column == "Point est."}
    uppers = {e.row: float(e.printed) for e in entries_of("Table 5") if e.column == "Upper C.I."}
    together = printed_number("table5.multivariate")
    worst = max(points, key=lambda name: points[name])
    draws = paper_sampler.implied_ess()
    scores = {(e.row, e.column): float(e.printed) for e in entries_of("Table 6")}
    beyond = {where: z for where, z in scores.items() if abs(z) > GEWEKE_LIMIT}
    shown, parameters = len(points), _parameters(case)
    return {
        "statement.all-converged": Finding(
            {
                f"every scale reduction factor is below {OLD_LIMIT}": max(points.values()) < OLD_LIMIT,
                f"none is above {NEW_LIMIT}, today's limit": max(points.values()) <= NEW_LIMIT,
                f"each is worth {ENOUGH_DRAWS} independent draws": bool(draws.min() >= ENOUGH_DRAWS),
                "all parameters are shown": shown == parameters,
            },
            f"{worst}: scale reduction factor {points[worst]:.3f}, and by Table 4 {draws[worst]:.0f} independent "
            f"draws of 3000. {shown} of {parameters} parameters are shown.",
        ),
        "statement.psrf-close-to-1": Finding(
            {
                f"points and multivariate are below {OLD_LIMIT}": max(*points.values(), together) < OLD_LIMIT,
                "upper limits are, too": max(uppers.values()) < OLD_LIMIT,
            },
            f"Largest point {points[worst]:.3f} ({worst}), multivariate {together:.2f}; upper limits up to "
            f"{max(uppers.values()):.3f}.",
        ),
        "statement.geweke-within-2": Finding(
            {"all are": not beyond},
            f"{len(beyond)} of {len(scores)} are not: "
            + ", ".join(f"{row} {z:+.3f}" for (row, _), z in beyond.items())
            + ". (Some should be beyond 2 by chance.)",
        ),
    }


def _parameters(case: Case) -> int:
    return len(listing2_draws(case.posterior).data_vars)


def _captions(case: Case) -> dict[str, Finding]:
    names = {str(name) for name in listing2_draws(case.posterior).data_vars}
    rows = {table: {entry.row for entry in entries_of(table)} for table in ("Table 4", "Table 6")}
    absent = ", ".join(sorted(names - rows["Table 4"]))
    chains = {entry.column for entry in entries_of("Table 6")}
    runs = paper_sampler.recorded_runs(paper_sampler.JagsSampler.SLICE)
    found = paper_sampler.table_5(paper_sampler.at_thinning(runs, paper_sampler.PAPER_THINNING))["table5.multivariate"]
    return {
        "statement.caption-table-4": Finding(
            {"each variable of Listing 2 is there": names <= rows["Table 4"]},
            f"{len(rows['Table 4'])} of {len(names)} are; absent: {absent}.",
        ),
        "statement.caption-table-5": Finding(
            {"1.04 is what such runs print": not judge("table5.multivariate", found).fails},
            f"In recorded runs of JAGS the multivariate factor is {found.value:.2f} (median).",
        ),
        "statement.caption-table-6": Finding(
            {"each chain is there": len(chains) == 3, "each parameter is": names <= rows["Table 6"]},
            f"{len(chains)} chains, {len(rows['Table 6'])} of {len(names)} parameters; absent: {absent}.",
        ),
    }
