"""The paper's choices undone one at a time: what each of them does to the numbers of Tables 7 and 8.

The first row is the analysis as the paper did it: Listing 2 fitted to the trial, the gender effects left out of effect
and risk (chapter 5 of the book shows that). Each further row changes that analysis in one respect; then all at once.

Effects are log odds ratios of bleeding: a positive effect is harm.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import reduce
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.evaluation import Metric, evaluate_cate
from hte_utils.effects.monte_carlo import draws_matrix, jackknife_mean, standard_multipliers
from hte_utils.effects.strata import quantile_groups
from hte_utils.effects.truth import true_cate
from hte_utils.ledger.entries import Reproduced, slug
from hte_utils.model.candidates import ALL_MODIFIERS_MODEL, PAPER_MODEL
from hte_utils.model.fit import IndependenceSettings, Settings
from hte_utils.model.listing_2 import Priors
from hte_utils.model.spec import Covariate, TrialSpec
from hte_utils.model.store import fit_or_load
from hte_utils.trial import TrialTruth, trial_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from hte_utils.model.spec import TrialDesign

ABLATION_SETTINGS: Final = IndependenceSettings(draws=750, chains=4, seed=20241107)
"""As many draws as the paper kept (but nearly independent ones): the whole table takes seconds."""

OBSERVED_RISK: Final = "observed_control_rate"
QUINTILE_COLUMNS: Final = tuple(f"effect_Q{number}" for number in range(1, 6))
_METRICS: Final = ("correlation", "rmse", "bias", "mae", "coverage", "bias_share")
_REPLICATES: Final = 60  # a Monte Carlo error known to one part in eleven is known well enough
_HEADINGS: Final = {
    "correlation": "correlation",
    "rmse": "RMSE",
    "bias": "mean error",
    "mae": "MAE",
    "coverage": "coverage",
    "bias_share": "bias² / MSE",
    "mean_risk": "risk, predicted",
    OBSERVED_RISK: "risk, observed",
} | {name: name.removeprefix("effect_") for name in QUINTILE_COLUMNS}
_PERCENTAGES: Final = {"bias_share": 0, "mean_risk": 1, OBSERVED_RISK: 1}


class Choice(StrEnum):
    """A choice of the paper's analysis; the value says what is done instead when it is undone."""

    GENDER_LEFT_OUT = "gender effects put back in"
    SBP_OMITTED = "systolic pressure added"
    INTERACTIONS_OMITTED = "interactions with BMI and prior bleeding added"
    INTERCEPT_PRIOR = "intercept prior for a rare event"


@dataclass(frozen=True, slots=True)
class Analysis:
    """An analysis of the trial, from the columns that are used to the effects that are reported."""

    spec: TrialSpec
    priors: Priors
    group_effects: GroupEffects  # whether the gender effects enter a patient's effect and risk

    def without(self, choice: Choice) -> Analysis:
        """Undo one choice of the paper."""
        match Choice(choice):
            case Choice.GENDER_LEFT_OUT:
                return replace(self, group_effects=GroupEffects.INCLUDED)
            case Choice.SBP_OMITTED:
                pressure = Covariate("sbp", "sbp", standardise=True)
                return replace(self, spec=replace(self.spec, prognostic=(*self.spec.prognostic, pressure)))
            case Choice.INTERACTIONS_OMITTED:
                return replace(self, spec=replace(self.spec, modifiers=(*self.spec.modifiers, "bmi", "prior")))
            case Choice.INTERCEPT_PRIOR:
                rare = ALL_MODIFIERS_MODEL.priors
                prior = replace(self.priors, intercept_mean=rare.intercept_mean, intercept_sd=rare.intercept_sd)
                return replace(self, priors=prior)


PAPER_ANALYSIS: Final = Analysis(PAPER_MODEL.spec, PAPER_MODEL.priors, GroupEffects.LEFT_OUT)
"""What gives Tables 7 and 8."""

ANALYSES: Final[Mapping[str, Analysis]] = (
    {"as in the paper": PAPER_ANALYSIS}
    | {choice.value: PAPER_ANALYSIS.without(choice) for choice in Choice}
    | {"all of these together": reduce(Analysis.without, Choice, PAPER_ANALYSIS)}
    | {ALL_MODIFIERS_MODEL.label: Analysis(ALL_MODIFIERS_MODEL.spec, ALL_MODIFIERS_MODEL.priors, GroupEffects.INCLUDED)}
)
"""The rows of the ablation table, by label."""


@dataclass(frozen=True, slots=True, eq=False)
class AblationTable:
    """How each analysis does against the truth: estimates and their Monte Carlo standard errors, index `analysis`.

    Columns, effects being log odds ratios of bleeding (positive = harm):

    - `correlation`, `rmse`, `bias` (mean of predicted minus true), `mae`: of the posterior mean effects;
    - `coverage`: share of patients whose 95 % credible interval holds their true effect;
    - `bias_share`: share of the mean squared error that is squared bias;
    - `observed_control_rate`: share of the control arm that bled;
    - `mean_risk`: mean over patients of the predicted probability of a bleed without treatment;
    - `effect_Q1` ... `effect_Q5`: mean predicted effect by quintile of predicted baseline risk (as Table 8).
    """

    estimates: pd.DataFrame
    mcse: pd.DataFrame

    def shown(self) -> pd.DataFrame:
        """Return the table for readers: rounded text, and the largest Monte Carlo error of each column below."""
        below = self.mcse.max().to_frame("largest Monte Carlo error").T
        text = pd.concat([self.estimates, below]).apply(_as_text)
        return text.rename_axis("analysis").rename(columns=_HEADINGS)

    def changes(self) -> pd.DataFrame:
        """Return how much each analysis changes the first one's measures, as text: "+0.010 ± 0.008".

        The analyses are of the same patients, so that what is random between two of them is Monte Carlo error (±: one
        standard error; rows that share draws have less). A change not larger than twice it says "not told apart".
        """
        text = {}
        for name in ("correlation", "rmse", "coverage"):
            values, errors = self.estimates[name].to_numpy(), self.mcse[name].to_numpy()
            pairs = zip(values[1:] - values[0], np.hypot(errors[1:], errors[0]), strict=True)
            text[_HEADINGS[name]] = [_change(gap, error) for gap, error in pairs]
        return pd.DataFrame(text, index=self.estimates.index[1:])

    def worst_in(self, analysis: str) -> list[str]:
        """Name the measures among correlation, RMSE and coverage in which an analysis is the worst of the table.

        Each by more than twice the Monte Carlo error of its difference from the next.
        """
        found = []
        for name, badness in (("correlation", -1.0), ("rmse", 1.0), ("coverage", -1.0)):
            values = (badness * self.estimates[name]).to_dict()
            errors = self.mcse[name].to_dict()
            next_worst = max((label for label in values if label != analysis), key=lambda label: values[label])
            if values[analysis] - values[next_worst] > 2 * np.hypot(errors[analysis], errors[next_worst]):
                found.append(_HEADINGS[name])
        return found

    def guarded(self) -> dict[str, Reproduced]:
        """Return the numbers with their Monte Carlo errors, as `hte_utils.ledger.guard` takes them.

        A coverage of exactly 1 in all replicates is left out: its error is not known to be 0.
        """
        rows = zip(self.estimates.index, self.estimates.to_numpy(), self.mcse.to_numpy(), strict=True)
        return {
            f"ablation.{slug(analysis)}.{column}": Reproduced(float(value), float(error))
            for analysis, values, errors in rows
            for column, value, error in zip(self.estimates.columns, values, errors, strict=True)
            if column != "coverage" or error > 0.0
        }


def ablation_table(truth: TrialTruth, *, settings: Settings = ABLATION_SETTINGS, threads: int = 2) -> AblationTable:
    """Analyse the paper's trial as the paper did, with each of its choices undone, and with all of them undone.

    The result does not depend on `threads`; the fits go through the posterior store.
    """
    # Two analyses may be two readings of one posterior.
    fits = dict.fromkeys((analysis.spec, analysis.priors) for analysis in ANALYSES.values())

    def posterior_of(spec: TrialSpec, priors: Priors) -> tuple[TrialDesign, xr.DataTree]:
        design = spec.design(trial_table(truth))
        return design, fit_or_load(design, priors=priors, settings=settings, cores=1)

    def row_of(analysis: Analysis) -> dict[str, Metric]:
        return _measured(*posteriors[analysis.spec, analysis.priors], analysis.group_effects, truth)

    # One BLAS thread for each of our own: the products are small.
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        posteriors = dict(zip(fits, pool.map(lambda key: posterior_of(*key), fits), strict=True))
        rows = list(pool.map(row_of, ANALYSES.values()))
    index = pd.Index(ANALYSES, name="analysis")
    estimates = pd.DataFrame([{name: found.value for name, found in row.items()} for row in rows], index)
    mcse = pd.DataFrame([{name: found.mcse for name, found in row.items()} for row in rows], index)
    return AblationTable(estimates, mcse)


def _measured(
    design: TrialDesign, posterior: xr.DataTree, group_effects: GroupEffects, truth: TrialTruth
) -> dict[str, Metric]:
    scale = EffectScale.LOG_ODDS_RATIO
    effects = cate_draws(posterior, design, scale=scale, group_effects=group_effects)
    risks = baseline_risk_draws(posterior, design, group_effects=group_effects)
    evaluation = evaluate_cate(effects, true_cate(truth, scale), n_replicates=_REPLICATES).metrics()
    observed = Metric(float(design.outcome[design.treatment == 0].mean()), 0.0)
    return {name: evaluation[name] for name in _METRICS} | {OBSERVED_RISK: observed} | _by_risk(risks, effects)


def _by_risk(risks: xr.DataArray, effects: xr.DataArray) -> dict[str, Metric]:
    """Mean risk, and mean effect by quintile of risk; as `strata.stratify_by_risk`, without its other columns."""
    risk_draws, edges = draws_matrix(risks)
    effect_draws, _ = draws_matrix(effects)
    multipliers = standard_multipliers(edges, _REPLICATES, seed=1)  # row 0: the estimate itself
    risk = jackknife_mean(risk_draws, edges).replicates(multipliers)
    effect = jackknife_mean(effect_draws, edges).replicates(multipliers)
    columns = {"mean_risk": risk.mean(axis=1)}
    # Ranked anew in every replicate: who belongs to which quintile is random too.
    groups = np.array([quantile_groups(each, len(QUINTILE_COLUMNS)) for each in risk])
    for number, name in enumerate(QUINTILE_COLUMNS, start=1):
        columns[name] = np.average(effect, axis=1, weights=groups == number)
    return {name: Metric(float(each[0]), float(each[1:].std(ddof=1))) for name, each in columns.items()}


def _as_text(column: pd.Series[float]) -> pd.Series[str]:
    name = str(column.name)
    if name in _PERCENTAGES:
        return column.map(f"{{:.{_PERCENTAGES[name]}%}}".format)
    signed = name == "bias" or name in QUINTILE_COLUMNS
    text = column.map(("{:+.2f}" if signed else "{:.2f}").format).str.replace("-", "−")
    text.iloc[-1] = f"{column.iloc[-1]:.3f}"
    return text


def _change(gap: float, error: float) -> str:
    told_apart = "" if abs(gap) > 2 * error else ", not told apart"
    return f"{gap:+.3f} ± {error:.3f}".replace("-", "−") + told_apart
