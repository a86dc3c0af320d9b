"""Do the candidate models come near the truth? In one simulated trial, or in many.

The scales are the log odds ratio and the risk difference in percentage points; positive = harm. The group effects are
in. A trial is numbered by the seed that R's generator was set to.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from hte_utils.cate import EffectScale, GroupEffects, cate_draws
from hte_utils.evaluation import point_metrics
from hte_utils.fit import fit
from hte_utils.fit_record import FitWarning, record_of
from hte_utils.fit_settings import IndependenceSettings
from hte_utils.trial import TrialTruth, simulate_truth, trial_table
from hte_utils.true_effects import true_cate

if TYPE_CHECKING:
    import xarray as xr

    from hte_utils.candidate_models import CandidateModel
    from hte_utils.trial_design import Patients

SCALES: Final = {"log odds ratio": (EffectScale.LOG_ODDS_RATIO, 1.0), "points": (EffectScale.RISK_DIFFERENCE, 100.0)}
QUICK_SETTINGS: Final = IndependenceSettings(draws=500, chains=2, proposals_per_draw=10)
"""1000 draws: the Monte Carlo error of a mean is a thirtieth of its posterior SD, far below what varies from trial to
trial."""
_LIMITS = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class EffectErrors:
    """Estimated against true effects of one trial on one scale.

    `correlation`, `rmse`, `mae`, `bias`, `calibration_slope`: As in `hte_utils.evaluation.PointMetrics`, for the
        posterior means. NaN where a constant effect leaves a correlation or a slope undefined.
    `coverage`, `width`: Share of patients whose true effect is inside their central 95 % interval, and the intervals'
        mean width.
    `average_covered`: 1 if the central 95 % interval of the average effect holds the true average, else 0.
    """

    correlation: float
    rmse: float
    mae: float
    bias: float
    calibration_slope: float
    coverage: float
    width: float
    average_covered: float


def effect_errors(posterior: xr.DataTree, patients: Patients, truth: TrialTruth, scale: str) -> EffectErrors:
    """Compare the effects that a posterior gives with the true ones.

    `patients`: The patients of `truth`, as the model codes them.
    """
    effect_scale, factor = SCALES[scale]
    draws = factor * cate_draws(posterior, patients, scale=effect_scale, group_effects=GroupEffects.INCLUDED)
    matrix = draws.to_numpy().reshape(-1, patients.n_patients)
    true = factor * true_cate(truth, effect_scale)
    found = point_metrics(matrix.mean(axis=0), true)
    lower, upper = np.quantile(matrix, _LIMITS, axis=0)
    average_lower, average_upper = np.quantile(matrix.mean(axis=1), _LIMITS)
    return EffectErrors(
        correlation=found.correlation,
        rmse=found.rmse,
        mae=found.mae,
        bias=found.bias,
        calibration_slope=found.calibration_slope,
        coverage=float(((lower <= true) & (true <= upper)).mean()),
        width=float((upper - lower).mean()),
        average_covered=float(average_lower <= true.mean() <= average_upper),
    )


def evaluate_candidates(
    models: Iterable[CandidateModel], seeds: Iterable[int], *, settings: IndependenceSettings = QUICK_SETTINGS
) -> pd.DataFrame:
    """Fit every model to every simulated trial (Listing 1, 2000 patients) and compare with the truth.

    `seeds`: Seeds of the trials; 123 is the paper's.

    One row for each `seed`, `model` (its name) and `scale`; columns: the attributes of `EffectErrors`, and `passed`:
    whether the fit passed its checks.
    """
    models = tuple(models)
    rows = []
    for seed in seeds:
        truth = simulate_truth(2000, seed)
        trial = trial_table(truth)
        for model in models:
            design = model.design(trial)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FitWarning)  # the table says it
                posterior = fit(design, priors=model.priors, settings=settings)
            passed = record_of(posterior).passed
            for scale in SCALES:
                errors = effect_errors(posterior, design, truth, scale)
                values = {name: getattr(errors, name) for name in EffectErrors.__slots__}
                rows.append({"seed": seed, "model": model.name, "scale": scale, **values, "passed": passed})
    return pd.DataFrame(rows)


def mean_over_trials(results: pd.DataFrame, scale: str) -> pd.DataFrame:
    """Mean of each measure over the trials, with its Monte Carlo standard error.

    Index: model, in the order of `results`; columns: (measure, "mean") and (measure, "mcse").
    """
    chosen = results[results["scale"] == scale]
    measures = [name for name in EffectErrors.__slots__ if chosen[name].notna().any()]
    grouped = chosen.groupby("model", sort=False)[measures]
    mean, sd, number = grouped.mean(), grouped.std(ddof=1), grouped.count()
    columns = {}
    for measure in measures:
        columns[measure, "mean"] = mean[measure]
        columns[measure, "mcse"] = sd[measure] / np.sqrt(number[measure])
    return pd.DataFrame(columns)


def paired_differences(results: pd.DataFrame, scale: str, reference: str) -> pd.DataFrame:
    """Difference of each measure from the reference model's in the same trial: mean over trials and its standard error.

    Index: model, without the reference; columns as in `mean_over_trials`.
    """
    chosen = results[results["scale"] == scale].set_index(["model", "seed"])[list(EffectErrors.__slots__)]
    difference = chosen.sub(chosen.loc[reference], level="seed").drop(index=reference, level="model")
    frame = difference.reset_index().assign(scale=scale)
    return mean_over_trials(frame, scale)
