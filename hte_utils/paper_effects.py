"""Tables 7 and 8 of the paper from one posterior: the value of every printed number, with its Monte Carlo error.

:func:`table_7` and :func:`table_8` return what :func:`hte_utils.ledger.record` takes. The paper prints no Monte Carlo
error for these tables. That of the *printed* numbers follows from two things that are known:

- how far each number moves from run to run of our own sampler (its MCSE, :mod:`hte_utils.monte_carlo`);
- how long the paper's run was, counted in effective draws: Table 4 prints the SD and the time-series SE of every
  coefficient, and (SD / time-series SE)**2 is the effective sample size (ESS) of its mean.

The error grows as 1 / sqrt(ESS). A number that is made of several coefficients is given the ESS of the slowest of
them (`MADE_OF`):

- *risk* (``mean_risk``) is made of the intercept and the prognostic coefficients. Slowest: the intercept, ESS 112.
- *effect* (RMSE, MAE, coverage, ``mean_te``, ``te_lower``, ``te_upper``) is made of `b_trt` and the interactions.
  Slowest: `b_trt`, ESS 431.
- *spread* (correlation, ``te_sd``) is made of the interactions: `b_trt` is the same for all patients and drops out.
  Their ESS is 1800 and more.

Who belongs to which quintile depends on the prognostic coefficients too, so these (ESS 1600 and more) count among
*spread*; the intercept moves the log odds of all patients alike, and their order hardly at all.

Held against runs of JAGS (``tests/test_paper_effects.py``), errors by these rules are right to a quarter or too large;
those of the risks, and for chains slower than the paper's those of RMSE and MAE, are up to a quarter too small, since a
chain that mixes slowly understates its time-series SE.
"""

from __future__ import annotations

from math import hypot, sqrt
from typing import TYPE_CHECKING, Final, Literal

from hte_utils.diagnostics import modern_diagnostics, summary_statistics
from hte_utils.evaluation import CateEvaluation, evaluate_cate
from hte_utils.ledger.entries import Reproduced
from hte_utils.ledger.tolerance import print_rounding
from hte_utils.paper import entries_of, paper_entry, printed_number
from hte_utils.parameters import table4_draws

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import xarray as xr

    from hte_utils.monte_carlo import FloatArray
    from hte_utils.strata import RiskStrata

PAPER_ERROR: Final = "gender effects left out of the effect and the baseline risk"
"""What a reader must do wrong to get the numbers of Tables 7 and 8."""

type Ingredient = Literal["risk", "effect", "spread"]

_PROGNOSTIC: Final = ("b_age", "b_anticoag", "b_bmi", "b_diabetes", "b_prior")
_INTERACTIONS: Final = ("b_trt_age", "b_trt_anticoag", "b_trt_diabetes")
MADE_OF: Final[Mapping[Ingredient, tuple[str, ...]]] = {
    "risk": ("b_intercept", *_PROGNOSTIC),
    "effect": ("b_trt", *_INTERACTIONS),
    "spread": (*_PROGNOSTIC, *_INTERACTIONS),
}
"""The coefficients on whose Monte Carlo error a number depends; see the module's docstring."""

_INGREDIENT: Final[Mapping[str, Ingredient]] = {
    **dict.fromkeys(("correlation", "te_sd"), "spread"),
    **dict.fromkeys(("rmse", "mae", "coverage", "mean_te", "te_lower", "te_upper"), "effect"),
    "mean_risk": "risk",
}
# Draws of which every fifth is kept give the size of an error just as well, in a fifth of the time.
_THINNING: Final = 5


def printed_effective_size(coefficients: tuple[str, ...]) -> float:
    """Smallest effective sample size that Table 4 implies for the means of some coefficients.

    Parameters
    ----------
    coefficients
        Names as in Table 4.

    Notes
    -----
    Half a unit of the last digit is added to the time-series SE: a printed 0.003 may be anything up to 0.0035.
    """

    def size(name: str) -> float:
        error = paper_entry(f"table4.{name}.Time.series.SE")
        largest = printed_number(error.id) + print_rounding(error.decimals)
        return (printed_number(f"table4.{name}.SD") / largest) ** 2

    return min(map(size, coefficients))


def relative_length(posterior: xr.DataTree, ingredient: Ingredient) -> float:
    """Length of the paper's run in units of ours, by the slowest coefficient that matters.

    Parameters
    ----------
    posterior
        Our draws.
    ingredient
        What the number in question is made of: a key of `MADE_OF`.

    Returns
    -------
    float
        Effective sample size of the paper's run divided by ours; multiply an MCSE of ours by its ``-1/2``-th power
        to have that of the printed number.
    """
    coefficients = MADE_OF[ingredient]
    draws = table4_draws(posterior)[list(coefficients)]
    ours = (summary_statistics(draws)["sd"] / modern_diagnostics(draws)["mcse_mean"]) ** 2
    return printed_effective_size(coefficients) / float(ours.min())


def printed_errors_of_table_7(posterior: xr.DataTree, draws: xr.DataArray, truth: FloatArray) -> dict[str, float]:
    """Monte Carlo standard errors of the four numbers printed in Table 7.

    Parameters
    ----------
    posterior
        Our draws of Listing 2.
    draws
        The CATE computed from them, dims (chain, draw, patient).
    truth
        True effects on the same scale, shape (patient,).

    Returns
    -------
    dict
        By metric. Coverage is a count of patients whose interval just misses the truth. It does not shrink with the
        length of the run as the others do, so replicates of runs as long as the paper's are evaluated.
    """
    length = relative_length(posterior, "effect")
    few = draws.isel(draw=slice(None, None, _THINNING))
    found = evaluate_cate(few, truth, relative_length=length * _THINNING).metrics()
    lengths = {name: relative_length(posterior, _INGREDIENT[name]) for name in _metrics()}
    return {name: found[name].mcse * sqrt(length / lengths[name]) for name in lengths}


def table_7(evaluation: CateEvaluation, printed_errors: Mapping[str, float]) -> dict[str, Reproduced]:
    """Return the four numbers of Table 7.

    Parameters
    ----------
    evaluation
        Of the CATE on the log odds ratio, with the group effects left out.
    printed_errors
        From :func:`printed_errors_of_table_7`.
    """
    metrics = evaluation.metrics()
    # Coverage moves by whole patients, and its MCSE can come out as 0: this is the rounding error of such a count.
    step = {"coverage": 1 / (evaluation.n_patients * sqrt(12))}
    return {
        f"table7.{name}": Reproduced(
            metrics[name].value,
            hypot(metrics[name].mcse, step.get(name, 0.0)),
            printed_errors[name],
            paper_error=PAPER_ERROR,
        )
        for name in _metrics()
    }


def printed_errors_of_table_8(posterior: xr.DataTree, strata: RiskStrata) -> pd.DataFrame:
    """Monte Carlo standard errors of the numbers printed in Table 8, rows and columns as there (0 for ``n``).

    Parameters
    ----------
    posterior
        Our draws of Listing 2.
    strata
        Risk groups made from them.
    """
    lengths = {i: relative_length(posterior, i) for i in MADE_OF}
    scales = {name: 1 / sqrt(lengths[i]) for name, i in _INGREDIENT.items() if name in strata.mcse}
    return strata.mcse[["n", *scales]] * ({"n": 0.0} | scales)


def table_8(strata: RiskStrata, printed_errors: pd.DataFrame) -> dict[str, Reproduced]:
    """Return the 30 numbers of Table 8.

    Parameters
    ----------
    strata
        Risk quintiles from the baseline risk and the CATE (log odds ratio), both with the group effects left out.
    printed_errors
        From :func:`printed_errors_of_table_8`.
    """
    values, mcse, errors = (
        table.astype(float).to_dict(orient="index") for table in (strata.table, strata.mcse, printed_errors)
    )
    found = {}
    for entry in entries_of("Table 8"):
        row, column = entry.row, entry.column
        error = None if column == "n" else PAPER_ERROR
        found[entry.id] = Reproduced(values[row][column], mcse[row][column], errors[row][column], paper_error=error)
    return found


def _metrics() -> list[str]:
    return [entry.id.removeprefix("table7.") for entry in entries_of("Table 7")]
