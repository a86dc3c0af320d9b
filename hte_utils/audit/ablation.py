"""The paper's choices undone one at a time: what each of them does to the numbers of Tables 7 and 8.

The first row is the analysis as the paper did it: Listing 2 fitted to the trial, the gender effects left out of effect
and risk (chapter 5 of the book shows that). Each further row changes that analysis in one respect; then all at once.

Effects are log odds ratios of bleeding: a positive effect is harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Final, Self

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
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SETTINGS: Final = IndependenceSettings(draws=750, chains=4, seed=20241107)
"""As many draws as the paper kept (but nearly independent ones): the whole table takes seconds."""
_REPLICATES: Final = 60  # a Monte Carlo error known to one part in eleven is known well enough
_MORE_MODIFIERS: Final = (*PAPER_MODEL.spec.modifiers, "bmi", "prior")
_RARE_EVENT: Final = replace(
    PAPER_MODEL.priors,
    intercept_mean=ALL_MODIFIERS_MODEL.priors.intercept_mean,
    intercept_sd=ALL_MODIFIERS_MODEL.priors.intercept_sd,
)
_MORE_INTERACTIONS_MODEL: Final = replace(PAPER_MODEL, spec=replace(PAPER_MODEL.spec, modifiers=_MORE_MODIFIERS))
_CHANGED_MODEL: Final = replace(SBP_MODEL, spec=replace(SBP_MODEL.spec, modifiers=_MORE_MODIFIERS), priors=_RARE_EVENT)

ANALYSES: Final[dict[str, tuple[CandidateModel, GroupEffects]]] = {
    "as in the paper": (PAPER_MODEL, GroupEffects.LEFT_OUT),
    "gender effects put back in": (PAPER_MODEL, GroupEffects.INCLUDED),
    "systolic pressure added": (SBP_MODEL, GroupEffects.LEFT_OUT),
    "interactions with BMI and prior bleeding added": (_MORE_INTERACTIONS_MODEL, GroupEffects.LEFT_OUT),
    "intercept prior for a rare event": (replace(PAPER_MODEL, priors=_RARE_EVENT), GroupEffects.LEFT_OUT),
    "all of these together": (_CHANGED_MODEL, GroupEffects.INCLUDED),
    ALL_MODIFIERS_MODEL.label: (ALL_MODIFIERS_MODEL, GroupEffects.INCLUDED),
}
"""The rows of the ablation table, by label: the model, and whether a patient's effect and risk have the gender's."""

OBSERVED_RISK: Final = "observed_control_rate"
QUINTILE_COLUMNS: Final = tuple(f"effect_Q{number}" for number in range(1, 6))
_HEADINGS: Final = {
    "correlation": "correlation",
    "rmse": "RMSE",
    "bias": "mean error",
    "mae": "MAE",
    "coverage": "coverage",
    "bias_share": "bias² / MSE",
    OBSERVED_RISK: "risk, observed",
    "mean_risk": "risk, predicted",
} | {name: name.removeprefix("effect_") for name in QUINTILE_COLUMNS}
_PERCENTAGES: Final = {"bias_share": 0, "mean_risk": 1, OBSERVED_RISK: 1}
_JUDGED: Final = {"correlation": -1.0, "rmse": 1.0, "coverage": -1.0}  # times this, larger is worse


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
        parts = (
            {label: {name: getattr(found, part) for name, found in row.items()} for label, row in measured.items()}
            for part in ("value", "mcse")
        )
        return cls(*(pd.DataFrame.from_dict(part, orient="index") for part in parts))

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


class AblationTable(EffectsTable):
    """The analyses of `ANALYSES` against the truth.

    Columns beside those of `EffectsTable`:

    - `bias_share`: share of the mean squared error that is squared bias;
    - `observed_control_rate`: share of the control arm that bled;
    - `mean_risk`: mean over patients of the predicted probability of a bleed without treatment;
    - `effect_Q1` ... `effect_Q5`: mean predicted effect by quintile of predicted baseline risk (as Table 8).
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
        text = {}
        for name in _JUDGED:
            values, errors = self.estimates[name].to_numpy(), self.mcse[name].to_numpy()
            pairs = zip(values[1:] - values[0], np.hypot(errors[1:], errors[0]), strict=True)
            text[_HEADINGS[name]] = [_change(gap, error) for gap, error in pairs]
        return pd.DataFrame(text, index=self.estimates.index[1:].rename("analysis"))

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
            values, errors = (badness * self.estimates[name]).to_dict(), self.mcse[name].to_dict()
            next_worst = max((label for label in values if label != analysis), key=lambda label: values[label])
            if values[analysis] - values[next_worst] > 2 * np.hypot(errors[analysis], errors[next_worst]):
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


def _change(gap: float, error: float) -> str:
    told_apart = "" if abs(gap) > 2 * error else ", not told apart"
    return f"{gap:+.3f} ± {error:.3f}".replace("-", "−") + told_apart


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
        risk.plot(100 * estimates["mean_risk"], place, "D", color=BLUE, markersize=5, label="predicted risk")
        risk.plot(
            100 * estimates[OBSERVED_RISK], place, "|", color=BLACK, markersize=12, label="observed risk, control arm"
        )
        risk.set(title="Mean risk (%)\nwithout treatment", xlim=(0, None))
        _quintiles(effect, estimates[list(QUINTILE_COLUMNS)], place)
        correlation.set_yticks(place, estimates.index.tolist())
        correlation.invert_yaxis()
        for axis in drawn.axes:
            axis.grid(axis="y", color="lightgrey", linewidth=0.5)
            axis.set_axisbelow(True)
        drawn.figure.legend(loc="outside lower center", ncols=9, columnspacing=1.2)
    return drawn.figure


def _quintiles(axis: Axes, effects: pd.DataFrame, place: np.ndarray) -> None:
    axis.axvline(0, color=BLACK, linewidth=0.7, linestyle=":")
    axis.hlines(place, effects.min(axis=1), effects.max(axis=1), color=GREY, linewidth=0.8)
    for column, shade in zip(QUINTILE_COLUMNS, _SHADES, strict=True):
        label = column.removeprefix("effect_")
        axis.plot(effects[column], place, "o", markerfacecolor=shade, markeredgecolor=BLACK, markersize=6, label=label)
    axis.set(title="Mean effect by\nquintile of risk", xlabel="log odds ratio\n← fewer | more bleeds →")
