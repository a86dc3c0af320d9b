"""Effects under the described model and under Listing 2, beside the true ones.

All effects are log odds ratios of bleeding unless a name says otherwise: positive is harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from hte_utils.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.evaluation import CateEvaluation, Metric, evaluate_cate, point_metrics
from hte_utils.ledger.entries import Reproduced
from hte_utils.monte_carlo import draws_matrix, jackknife_mean
from hte_utils.strata import quantile_groups
from hte_utils.true_effects import true_cate

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from hte_utils.described.model import Subgroups
    from hte_utils.monte_carlo import FloatArray
    from hte_utils.trial import TrialTruth
    from hte_utils.trial_design import TrialDesign

_REPLICATES: Final = 60
_SHOWN: Final = {
    "correlation": "correlation",
    "rmse": "RMSE",
    "bias": "mean error",
    "mae": "MAE",
    "coverage": "coverage",
}
_QUINTILES: Final = 5


def effects_by_subgroup(
    posterior: xr.DataTree, design: TrialDesign, subgroups: Subgroups, truth: FloatArray
) -> pd.DataFrame:
    """Lay the posterior of each subgroup's mean effect beside the true effects of its patients.

    Parameters
    ----------
    posterior
        Of the charitable reading.
    design, subgroups
        The trial.
    truth
        True log odds ratios, shape (patients,).

    Returns
    -------
    pandas.DataFrame
        Index: subgroup. Columns: ``patients``, ``bleeds``; ``mean``, ``lower``, ``upper``: posterior mean and central
        95 % credible interval of beta_1 + tau_k; ``true_mean``, ``true_sd`` over the patients. Log odds ratios.
    """
    draws = posterior["posterior"]["sums"].to_numpy().reshape(-1, len(subgroups))
    lower, upper = np.quantile(draws, (0.025, 0.975), axis=0)
    patients = pd.DataFrame({"truth": truth, "bled": design.outcome}).groupby(subgroups.index)
    columns = {
        "patients": patients["bled"].size(),
        "bleeds": patients["bled"].sum().astype(int),
        "mean": draws.mean(axis=0),
        "lower": lower,
        "upper": upper,
        "true_mean": patients["truth"].mean(),
        "true_sd": patients["truth"].std(),
    }
    return pd.DataFrame(columns).set_index(pd.Index(subgroups.labels, name="subgroup"))


@dataclass(frozen=True, slots=True, eq=False)
class EffectsCompared:
    """How well several sets of effects agree with the true ones.

    Attributes
    ----------
    evaluations
        By label.
    widths
        Mean width of the 95 % credible intervals, by label.
    spreads
        SD over the patients of the posterior mean effects, by label.
    """

    evaluations: dict[str, CateEvaluation]
    widths: dict[str, float]
    spreads: dict[str, float]

    def shown(self) -> pd.DataFrame:
        """Return the table for readers: value and Monte Carlo standard error."""
        rows = {}
        for label, evaluation in self.evaluations.items():
            metrics = evaluation.metrics()
            texts = {title: _with_error(metrics[name]) for name, title in _SHOWN.items()}
            rows[label] = texts | {
                "SD of effects": f"{self.spreads[label]:.2f}",
                "interval width": f"{self.widths[label]:.2f}",
            }
        return pd.DataFrame.from_dict(rows, orient="index")

    def guarded(self, name: str) -> dict[str, Reproduced]:
        """Return the numbers with their Monte Carlo errors, as `hte_utils.ledger.guard` takes them."""
        return {
            f"{name}.{slug(label)}.{metric}": Reproduced(found.value, found.mcse)
            for label, evaluation in self.evaluations.items()
            for metric, found in evaluation.metrics().items()
            if metric in _SHOWN
            and np.isfinite(found.value)
            and found.mcse > 0.0  # a coverage of 1 has an unknown error
        }


def compare_effects(effects: Mapping[str, xr.DataArray], truth: FloatArray) -> EffectsCompared:
    """Evaluate sets of effects against the true ones.

    Parameters
    ----------
    effects
        By label: draws with dims (chain, draw, patient).
    truth
        True log odds ratios, shape (patients,).
    """
    evaluations = {label: evaluate_cate(draws, truth, n_replicates=_REPLICATES) for label, draws in effects.items()}
    spreads = {label: float(draws.mean(["chain", "draw"]).std("patient")) for label, draws in effects.items()}
    return EffectsCompared(evaluations, {label: _mean_width(draws) for label, draws in effects.items()}, spreads)


def compare_with_truth(effects: Mapping[str, xr.DataArray], truth: TrialTruth) -> EffectsCompared:
    """Evaluate sets of effects against those of a simulated trial, whatever the scale they were made on."""
    return compare_effects(effects, true_cate(truth, EffectScale.LOG_ODDS_RATIO))


def correlation_without_chance(design: TrialDesign, truth: TrialTruth) -> float:
    """Correlate the best effects that Listing 2's form can express with the true log odds ratios.

    The form is fitted by maximum likelihood to the patients' true risks, each patient being in both arms: what a trial
    without end would give, in which neither priors nor chance count.

    Parameters
    ----------
    design
        The patients, coded as for Listing 2.
    truth
        Their true risks.
    """
    group = np.eye(len(design.group_labels))[design.group]
    prognostic, modifying = np.hstack([group, design.prognostic]), np.hstack([group, design.modifiers])
    rows = np.block([[prognostic, np.zeros_like(modifying)], [prognostic, modifying]])
    risks = np.concatenate([truth.baseline_risk, truth.baseline_risk + truth.risk_difference])
    coefficients = GLM(risks, rows, family=Binomial()).fit().params
    effects = modifying @ coefficients[prognostic.shape[1] :]
    return point_metrics(effects, true_cate(truth, EffectScale.LOG_ODDS_RATIO)).correlation


def slug(label: str) -> str:
    """Turn a label into a part of a ledger entry's id."""
    return "_".join("".join(c if c.isalnum() else " " for c in label.lower()).split())


def stack(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put tables below each other; the index gets their labels as its first level, `trial`."""
    return pd.concat(tables, names=["trial"])


def listing_effects(posterior: xr.DataTree, design: TrialDesign) -> dict[str, xr.DataArray]:
    """Effects under Listing 2, without the gender effects (as in the paper) and with them."""
    scale = EffectScale.LOG_ODDS_RATIO
    return {
        label: cate_draws(posterior, design, scale=scale, group_effects=which)
        for label, which in (
            ("Listing 2, as in the paper", GroupEffects.LEFT_OUT),
            ("Listing 2, gender effects in", GroupEffects.INCLUDED),
        )
    }


def effects_by_risk(posterior: xr.DataTree, design: TrialDesign, truth: TrialTruth) -> pd.DataFrame:
    """Mean effect by quintile of the baseline risk that Listing 2 predicts (gender effects in): predicted and true.

    Returns
    -------
    pandas.DataFrame
        Index Q1 (lowest risk) to Q5. Columns: ``predicted`` with its Monte Carlo error ``mcse``, and ``true``: log odds
        ratios; ``true_points``: the true risk difference in percentage points. Positive is harm.
    """
    included = GroupEffects.INCLUDED
    risk = baseline_risk_draws(posterior, design, group_effects=included).mean(["chain", "draw"])
    effects = cate_draws(posterior, design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=included)
    group = quantile_groups(risk.to_numpy(), _QUINTILES)
    matrix, edges = draws_matrix(effects, "effects")
    member = np.equal(group[:, None], np.arange(1, _QUINTILES + 1)).astype(float)
    member /= member.sum(axis=0)
    predicted = jackknife_mean(matrix @ member, edges)
    return pd.DataFrame(
        {
            "predicted": predicted.estimate,
            "mcse": predicted.mcse(),
            "true": true_cate(truth, EffectScale.LOG_ODDS_RATIO) @ member,
            "true_points": 100.0 * truth.risk_difference @ member,
        },
        index=pd.Index([f"Q{number}" for number in range(1, _QUINTILES + 1)], name="risk_group"),
    )


def _mean_width(draws: xr.DataArray) -> float:
    # A sort of each patient's draws is several times faster than NumPy's quantile.
    by_patient = np.sort(draws.to_numpy().reshape(-1, draws.sizes["patient"]).T)
    lower, upper = np.round(np.array([0.025, 0.975]) * (by_patient.shape[1] - 1)).astype(int)
    return float(np.mean(by_patient[:, upper] - by_patient[:, lower]))


def _with_error(metric: Metric) -> str:
    return f"{metric.value:.2f} ± {metric.mcse:.3f}".replace("-", "−") if np.isfinite(metric.value) else "none"
