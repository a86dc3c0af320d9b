"""The paper's choices undone one at a time: what each of them does to the numbers of Tables 7 and 8.

The first row is the analysis as the paper did it: Listing 2 fitted to the trial, the gender effects left out of effect
and risk. Each further row changes that in one respect; then all at once. Positive effects (log odds ratios) are harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pandas as pd

from hte_utils.audit.case import rows
from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.evaluation import Metric, evaluate_cate
from hte_utils.effects.monte_carlo import draws_matrix, jackknife_mean
from hte_utils.effects.strata import stratify_by_risk
from hte_utils.effects.truth import true_cate
from hte_utils.ledger.entries import Reproduced, slug
from hte_utils.model.candidates import ALL_MODIFIERS_MODEL, PAPER_MODEL, SBP_MODEL, CandidateModel
from hte_utils.model.fit import IndependenceSettings
from hte_utils.model.store import fit_or_load
from hte_utils.style import BLACK, BLUE, GREY, ORANGE, VERMILION, canvas, dots_with_intervals
from hte_utils.trial import TrialTruth, trial_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SETTINGS: Final = IndependenceSettings(draws=750, chains=4, seed=20241107)  # as many draws as the paper kept
_REPLICATES: Final = 60  # a Monte Carlo error known to one part in eleven is known well enough
_RARE: Final = ALL_MODIFIERS_MODEL.priors
_RARE_EVENT: Final = replace(PAPER_MODEL.priors, intercept_mean=_RARE.intercept_mean, intercept_sd=_RARE.intercept_sd)


def _with_more_modifiers(model: CandidateModel) -> CandidateModel:
    return replace(model, spec=replace(model.spec, modifiers=(*PAPER_MODEL.spec.modifiers, "bmi", "prior")))


ANALYSES: Final[dict[str, tuple[CandidateModel, GroupEffects]]] = {
    "as in the paper": (PAPER_MODEL, GroupEffects.LEFT_OUT),
    "gender effects put back in": (PAPER_MODEL, GroupEffects.INCLUDED),
    "systolic pressure added": (SBP_MODEL, GroupEffects.LEFT_OUT),
    "interactions with BMI and prior bleeding added": (_with_more_modifiers(PAPER_MODEL), GroupEffects.LEFT_OUT),
    "intercept prior for a rare event": (replace(PAPER_MODEL, priors=_RARE_EVENT), GroupEffects.LEFT_OUT),
    "all of these together": (replace(_with_more_modifiers(SBP_MODEL), priors=_RARE_EVENT), GroupEffects.INCLUDED),
    ALL_MODIFIERS_MODEL.label: (ALL_MODIFIERS_MODEL, GroupEffects.INCLUDED),
}
"""The rows of the ablation table, by label: the model, and whether a patient's effect and risk have the gender's."""

OBSERVED_RISK: Final = "observed_control_rate"
QUINTILE_COLUMNS: Final = tuple(f"effect_Q{number}" for number in range(1, 6))
AGREEMENT: Final = {
    "correlation": "correlation",
    "rmse": "RMSE",
    "bias": "mean error",
    "mae": "MAE",
    "coverage": "coverage",
}
"""Measures of agreement with the true effects, and their headings."""
_HEADINGS: Final = (
    AGREEMENT
    | {"bias_share": "bias² / MSE", OBSERVED_RISK: "risk, observed", "mean_risk": "risk, predicted"}
    | {name: name.removeprefix("effect_") for name in QUINTILE_COLUMNS}
)
_PERCENTAGES: Final = {"bias_share": 0, "mean_risk": 1, OBSERVED_RISK: 1}
_JUDGED: Final = {"correlation": -1.0, "rmse": 1.0, "coverage": -1.0}  # times this, larger is worse
_ALIKE: Final = ", not told apart"


@dataclass(frozen=True, slots=True, eq=False)
class EffectsTable:
    """How well sets of effects agree with the true ones: estimates and their Monte Carlo standard errors, a row a set.

    Columns, effects being log odds ratios of bleeding (positive = harm): `correlation`, `rmse`, `bias` (mean of
    predicted minus true) and `mae` of the posterior mean effects; `coverage`, the share of patients whose 95 % credible
    interval holds their true effect; and those of the table at hand.
    """

    estimates: pd.DataFrame
    mcse: pd.DataFrame

    @classmethod
    def of(cls, measured: Mapping[str, Mapping[str, Metric]]) -> Self:
        """Lay measures out, a row a label."""
        cells = pd.DataFrame(measured).T
        return cls(cells.map(attrgetter("value")), cells.map(attrgetter("mcse")))

    def guarded(self, name: str, columns: Iterable[str] | None = None) -> dict[str, Reproduced]:
        """Return the numbers with their Monte Carlo errors, as `hte_utils.ledger.guard` takes them.

        A coverage of exactly 1 in all replicates is left out: its error is not known to be 0. So is what is undefined.
        """
        values, errors = rows(self.estimates), rows(self.mcse)
        return {
            f"{name}.{slug(label)}.{column}": Reproduced(values[label][column], errors[label][column])
            for label, column in product(values, columns or self.estimates)
            if np.isfinite(values[label][column]) and (column != "coverage" or errors[label][column] > 0.0)
        }

    def told_apart(self, column: str, first: str, second: str, *, larger: str, smaller: str, alike: str) -> str:
        """Choose the word for the first row's number (bias: its size) beside the second's; `alike` within 2 errors."""
        values, errors = self.estimates[column], self.mcse[column]
        gap = values[first] - values[second] if column != "bias" else abs(values[first]) - abs(values[second])
        if abs(gap) <= 2 * np.hypot(errors[first], errors[second]):
            return alike
        return larger if gap > 0 else smaller


class AblationTable(EffectsTable):
    """The analyses of `ANALYSES` against the truth.

    Columns beside those of `EffectsTable`: `bias_share`, the share of the mean squared error that is squared bias;
    `observed_control_rate`, the share of the control arm that bled; `mean_risk`, the mean predicted probability of a
    bleed without treatment; `effect_Q1` ... `effect_Q5`, mean predicted effect by quintile of that risk (Table 8).
    """

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
        values, errors = (table[list(_JUDGED)] for table in (self.estimates, self.mcse))
        gaps = (values - values.iloc[0]).iloc[1:]
        errors = errors.apply(lambda error: np.hypot(error, error.iloc[0])).iloc[1:]
        text = gaps.map("{:+.3f} ± ".format) + errors.map("{:.3f}".format)
        text = text.map(lambda words: words.replace("-", "−")).mask(gaps.abs() <= 2 * errors, lambda t: t + _ALIKE)
        return pd.DataFrame(text).rename_axis("analysis").rename(columns=_HEADINGS)

    def rising(self) -> int:
        """Count the analyses in which the effect in Q5 is above that in Q1 by more than twice the Monte Carlo error."""
        gap = self.estimates["effect_Q5"] - self.estimates["effect_Q1"]
        return int((gap > 2 * np.hypot(self.mcse["effect_Q5"], self.mcse["effect_Q1"])).sum())

    def worst_in(self, analysis: str) -> str:
        """Name the measures among correlation, RMSE and coverage in which an analysis is the worst of the table.

        Each by more than twice the Monte Carlo error of its difference from the next.
        """
        found = []
        for name, badness in _JUDGED.items():
            next_worst = str((badness * self.estimates[name]).drop(analysis).idxmax())
            told = self.told_apart(name, analysis, next_worst, larger="above", smaller="below", alike="")
            if told == ("above" if badness > 0 else "below"):
                found.append(_HEADINGS[name])
        *most, last = found or ["nothing"]
        return f"{', '.join(most)} and {last}" if most else last


def ablation_table(truth: TrialTruth) -> AblationTable:
    """Analyse the paper's trial as the paper did, with each of its choices undone, and with all of them undone."""
    trial = trial_table(truth)
    return AblationTable.of({label: _measured(trial, truth, *analysis) for label, analysis in ANALYSES.items()})


def _measured(
    trial: pd.DataFrame, truth: TrialTruth, model: CandidateModel, group_effects: GroupEffects
) -> dict[str, Metric]:
    design, scale = model.design(trial), EffectScale.LOG_ODDS_RATIO
    posterior = fit_or_load(design, priors=model.priors, settings=_SETTINGS)
    effects = cate_draws(posterior, design, scale=scale, group_effects=group_effects)
    risks = baseline_risk_draws(posterior, design, group_effects=group_effects)
    found = evaluate_cate(effects, true_cate(truth, scale), n_replicates=_REPLICATES).metrics()
    found[OBSERVED_RISK] = Metric(float(design.outcome[design.treatment == 0].mean()), 0.0)
    matrix, edges = draws_matrix(risks)
    mean_risk = jackknife_mean(matrix.mean(axis=1, keepdims=True), edges)
    found["mean_risk"] = Metric(float(mean_risk.estimate[0]), float(mean_risk.mcse()[0]))
    strata = stratify_by_risk(risks, effects, n_replicates=_REPLICATES)
    for name, value, error in zip(QUINTILE_COLUMNS, strata.table["mean_te"], strata.mcse["mean_te"], strict=True):
        found[name] = Metric(value, error)
    return {name: found[name] for name in _HEADINGS}


def _as_text(column: pd.Series[float]) -> pd.Series[str]:
    name = str(column.name)
    if name in _PERCENTAGES:
        return column.map(f"{{:.{_PERCENTAGES[name]}%}}".format)
    signed = name == "bias" or name in QUINTILE_COLUMNS
    text = column.map(("{:+.2f}" if signed else "{:.2f}").format).str.replace("-", "−")
    text.iloc[-1] = f"{column.iloc[-1]:.3f}"
    return text


_SHADES: Final = ("0.92", "0.72", "0.5", "0.3", "0.0")  # lightest to darkest: lowest to highest risk


def ablation_figure(table: AblationTable) -> Figure:
    """Draw the ablation table: correlation, squared error and its bias, predicted risk, and effects by quintile."""
    estimates, place = table.estimates, np.arange(len(table.estimates))
    with canvas(4, width=9.6, height=0.9 + 0.36 * len(estimates), sharey=True) as drawn:
        correlation, error, risk, effect = drawn.axes
        value, reach = estimates["correlation"], 2 * table.mcse["correlation"]
        style = {"color": BLUE, "markersize": 5, "capsize": 0}
        dots_with_intervals(correlation, place, (value, value - reach, value + reach), style, across=True)
        correlation.set(title="Correlation with\nthe true effects", xlim=(0, 1))
        bias = np.square(estimates["bias"])
        rest = np.square(estimates["rmse"]) - bias
        error.barh(place, bias, color=VERMILION, height=0.6, label="bias²")
        error.barh(place, rest, left=bias, color=ORANGE, hatch="///", edgecolor="white", height=0.6, label="the rest")
        error.set(title="Squared error\n(log odds ratio)")
        predicted, observed = (100 * estimates[name] for name in ("mean_risk", OBSERVED_RISK))
        risk.plot(predicted, place, "D", color=BLUE, markersize=5, label="predicted risk")
        risk.plot(observed, place, "|", color=BLACK, markersize=12, label="observed risk, control arm")
        risk.set(title="Mean risk (%)\nwithout treatment", xlim=(0, None))
        quintiles = estimates[list(QUINTILE_COLUMNS)]
        effect.axvline(0, color=BLACK, linewidth=0.7, linestyle=":")
        effect.hlines(place, quintiles.min(axis=1), quintiles.max(axis=1), color=GREY, linewidth=0.8)
        for column, shade in zip(QUINTILE_COLUMNS, _SHADES, strict=True):
            look: dict[str, Any] = {
                "markerfacecolor": shade,
                "markeredgecolor": BLACK,
                "markersize": 6,
                "label": _HEADINGS[column],
            }
            effect.plot(quintiles[column], place, "o", **look)
        effect.set(title="Mean effect by\nquintile of risk", xlabel="log odds ratio\n← fewer | more bleeds →")
        correlation.set_yticks(place, estimates.index.tolist())
        correlation.invert_yaxis()
        for axis in drawn.axes:
            axis.grid(axis="y", color="lightgrey", linewidth=0.5)
            axis.set_axisbelow(True)
        drawn.figure.legend(loc="outside lower center", ncols=9, columnspacing=1.2)
    return drawn.figure
