"""What the data of a trial can say about the SD of individual deviations, sigma_eta: next to nothing.

A patient has a single outcome, which is 0 or 1. Its probability given the covariates is all that a likelihood sees, and
normal deviations of the log odds turn one logistic curve into another that is nearly logistic and flatter by the factor
sqrt(1 + c² sigma²), c = 16 sqrt(3) / (15 pi) (Zeger, Liang & Albert 1988; see also Neuhaus, Kalbfleisch & Hauck 1991).
Coefficients that are larger by that factor undo it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from scipy import stats

from hte_utils.described.density import DescribedDensity
from hte_utils.described.model import DescribedPriors, Layout, Reading, Subgroups, layout_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

    from hte_utils.trial_checks import FloatArray
    from hte_utils.trial_design import TrialDesign

SIGMAS: Final = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
OWN_SLOPES: Final = "charitable, slopes of their own for the treated"
_ATTENUATION: Final = 16.0 * np.sqrt(3.0) / (15.0 * np.pi)
_QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)


def attenuation(sigma: float) -> float:
    """How much steeper conditional slopes are than marginal ones, approximately: sqrt(1 + c² sigma²)."""
    return float(np.sqrt(1.0 + (_ATTENUATION * sigma) ** 2))


def layouts_to_profile(design: TrialDesign, subgroups: Subgroups) -> dict[str, Layout]:
    """Lay out both readings, and the charitable one with slopes of the covariates that may differ between the arms.

    In the charitable reading only the treated deviate, so sigma_eta flattens the slopes of the baseline covariates in
    one arm alone. The third layout takes that contrast away.
    """
    layouts = {str(reading): layout_of(design, subgroups, reading, DescribedPriors()) for reading in Reading}
    charitable = layouts[Reading.CHARITABLE]
    # Without those that are constant within every subgroup: their slopes are the subgroups' effects already.
    varying = [column for column in design.prognostic.T if not _constant_within(column, subgroups)]
    own = np.column_stack(varying) * design.treatment[:, None]
    return layouts | {OWN_SLOPES: replace(charitable, rows=np.hstack([charitable.rows, own]))}


def profile_likelihood(
    layouts: Mapping[str, Layout], outcome: FloatArray, sigmas: Sequence[float] = SIGMAS
) -> pd.DataFrame:
    """Largest log-likelihood at each sigma_eta, relative to sigma_eta = 0.

    Parameters
    ----------
    layouts
        Readings by label.
    outcome
        0/1, shape (patients,).
    sigmas
        Values of sigma_eta, 0 or more.

    Returns
    -------
    pandas.DataFrame
        Index `sigma_eta`, a column a reading.
    """
    columns = {}
    for label, layout in layouts.items():
        density = DescribedDensity.of(layout, outcome, DescribedPriors())
        found = np.array([_log_likelihood(density, sigma) for sigma in (0.0, *sigmas)])
        columns[label] = found[1:] - found[0]
    return pd.DataFrame(columns, index=pd.Index(sigmas, name="sigma_eta"))


def slopes_by_sigma(layout: Layout, outcome: FloatArray, sigmas: Sequence[float]) -> pd.DataFrame:
    """Maximum-likelihood slopes at each sigma_eta as multiples of those at 0, beside the approximate factor.

    Returns
    -------
    pandas.DataFrame
        Index `sigma_eta`, a column for each fixed effect of the layout, and ``sqrt(1 + c²σ²)``.
    """
    density = DescribedDensity.of(layout, outcome, DescribedPriors())
    slopes = [density.maximum(sigma)[layout.n_subgroups :] for sigma in (0.0, *sigmas)]
    ratios = {
        sigma: dict(zip(layout.fixed_labels, each / slopes[0], strict=True))
        for sigma, each in zip(sigmas, slopes[1:], strict=True)
    }
    table = pd.DataFrame.from_dict(ratios, orient="index").rename_axis("sigma_eta")
    return table.assign(**{"sqrt(1 + c²σ²)": [attenuation(sigma) for sigma in sigmas]})


def prior_and_posterior(posteriors: Mapping[str, tuple[DescribedPriors, xr.DataTree]]) -> pd.DataFrame:
    """Quantiles of sigma_eta before and after the data.

    Parameters
    ----------
    posteriors
        By label: the priors, and what `described_fit.fit_described` returned with them.

    Returns
    -------
    pandas.DataFrame
        Index: label, and prior or posterior. Columns: mean, and quantiles.
    """
    rows = {}
    for label, (priors, posterior) in posteriors.items():
        prior = stats.halfnorm(scale=priors.individual_scale)
        draws = posterior["posterior"]["sigma_eta"].to_numpy()
        rows[label, "prior"] = [prior.mean(), *prior.ppf(_QUANTILES)]
        rows[label, "posterior"] = [draws.mean(), *np.quantile(draws, _QUANTILES)]
    columns = ["mean", *(f"{100 * quantile:g} %" for quantile in _QUANTILES)]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).set_index(
        pd.MultiIndex.from_tuples(rows, names=["model", "sigma_eta"])
    )


def _log_likelihood(density: DescribedDensity, sigma: float) -> float:
    return float(density.log_likelihood(density.maximum(sigma)[None], np.array([sigma]))[0])


def _constant_within(column: FloatArray, subgroups: Subgroups) -> bool:
    return all(np.ptp(column[subgroups.index == k]) == 0.0 for k in range(len(subgroups)))
