"""How far a reproduced number may lie from the printed one: derived, not picked.

Three kinds of number have three rules (see :class:`hte_utils.paper.Kind`). The one constant is ``z``, fixed once for
the whole ledger by the family-wise error rate below.
"""

from __future__ import annotations

from functools import cache
from math import hypot
from statistics import NormalDist

from hte_utils.paper import Kind, paper_entries

FAMILY_WISE_ERROR_RATE = 0.01
"""Probability that a faithful reproduction raises one false alarm or more among all random entries of the ledger."""


@cache
def z_threshold() -> float:
    """Return the number of standard errors allowed to every random entry.

    The Bonferroni bound: with ``m`` entries of the kind *monte-carlo* (distributional ones have a level of their own,
    `hte_utils.paper_sampler`), two-sided, ``z`` is the ``1 - rate / (2 m)`` quantile of the
    standard normal distribution. It holds whatever the dependence between the entries, and there is much of it
    (all numbers of Tables 4, 7 and 8 come from one run).
    """
    random_entries = sum(entry.kind is Kind.MONTE_CARLO for entry in paper_entries())
    return NormalDist().inv_cdf(1 - FAMILY_WISE_ERROR_RATE / (2 * random_entries))


def print_rounding(decimals: int) -> float:
    """Half a unit of the last printed digit: what rounding alone may hide."""
    return 0.5 * 10.0**-decimals


def monte_carlo_tolerance(mcse: float, printed_mcse: float, decimals: int) -> float:
    """Return the tolerance of a Monte Carlo entry: ``z * sqrt(mcse**2 + printed_mcse**2)`` and half a printed unit.

    Rounding is bounded, and added as such: it cannot explain more than half a unit, however large ``z`` is.
    """
    return z_threshold() * hypot(mcse, printed_mcse) + print_rounding(decimals)


def between_runs_tolerance(mcse: float, recorded_mcse: float) -> float:
    """How far two of our own runs may lie apart: z standard errors of the difference."""
    return z_threshold() * hypot(mcse, recorded_mcse)
