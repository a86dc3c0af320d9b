"""Chapter 15: what was observed in a trial with times beside what models say, where these differ, and figures.

Nothing here knows a truth: a real trial has none. Risks are probabilities of the event by a horizon; a positive
difference is harm if the event is bad.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.duration.survfunc import SurvfuncRight

from hte_utils.effects.logistic import Z
from hte_utils.effects.survival import survival_curves
from hte_utils.model.checks import FloatArray
from hte_utils.model.spec import TrialDesign
from hte_utils.model.survival import TimesDesign
from hte_utils.style import (
    ARM_COLOURS,
    ARM_LINES,
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    canvas,
    dots_with_intervals,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_METHODS = (("s", BLUE), ("D", PURPLE), ("^", VERMILION), ("v", GREEN), ("P", ORANGE))
_LABEL = "Risk difference (percentage points)\n← fewer events | more events →"
_ARMS = (("control", 0.0, "Control", "untreated"), ("treated", 1.0, "Treatment", "treated"))


def blind_risk(times: TimesDesign) -> FloatArray:
    """Rank of each patient's risk that does not know the arms: Cox's regression of both arms on covariates and group.

    Groups by it do not understate how much effects differ: no arm's events made it more than the other's.
    """
    design = times.trial
    terms = np.hstack([np.eye(len(design.group_labels))[design.group][:, 1:], design.prognostic])
    fitted = PHReg(times.time, terms, design.outcome, ties="efron").fit()
    return np.asarray(terms @ fitted.params)


def arms_over_time(times: TimesDesign, posteriors: Mapping[str, xr.DataTree], members: pd.DataFrame) -> Figure:
    """Share with an event over time, by arm and population: Kaplan and Meier's steps, and the models' averages."""
    days = np.linspace(0.0, 0.97 * times.ends[-1], 40)
    curves = {name: survival_curves(each, times.trial, days, members) for name, each in posteriors.items()}
    with canvas(len(members.columns), width=8.2, height=3.6, sharey=True) as drawn:
        for axis, population in zip(drawn.axes, members.columns, strict=True):
            for _, code, label, variable in _ARMS:
                chosen = members[population].to_numpy() & (times.trial.treatment == code)
                curve = SurvfuncRight(times.time[chosen], times.trial.outcome[chosen])
                colour, name_of_arm = ARM_COLOURS[label], label.lower()
                happened, since = 100 * (1.0 - np.append(1.0, curve.surv_prob)), np.append(0.0, curve.surv_times)
                axis.step(since, happened, where="post", color=colour, linewidth=1.0, label=f"observed, {name_of_arm}")
                for (name, each), width in zip(curves.items(), (1.0, 2.2), strict=False):
                    mean = 100 * (1.0 - each[variable].sel(population=population).mean(["chain", "draw"]))
                    axis.plot(days, mean, "--", color=colour, linewidth=width, label=f"{name}, {name_of_arm}")
            axis.set(title=str(population), xlabel="Days from randomisation")
        drawn.axis.set(ylabel="With an event (%)", ylim=(0, None))
        handles, labels = drawn.axis.get_legend_handles_labels()
        drawn.figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return drawn.figure


def risk_groups(observed: pd.DataFrame, risks: xr.Dataset, effects: pd.DataFrame) -> Figure:
    """Risks by arm and their difference by group of risk: observed (Kaplan and Meier) and by the model.

    `observed` is of `hte_utils.effects.survival.observed_by`, `risks` of its `risks_by`, `effects` its summary.
    """
    place = np.arange(len(observed))
    with canvas(2, width=8.2, height=3.6) as drawn:
        left, right = drawn.axes
        for (arm, _, label, variable), shift in zip(_ARMS, (-0.12, 0.12), strict=True):
            centre, reach = 100 * observed[arm], 100 * Z * observed[f"se_{arm}"]
            style = {"color": ARM_COLOURS[label], "label": f"observed, {label.lower()}"}
            dots_with_intervals(left, place + shift, (centre, centre - reach, centre + reach), style)
            mean = 100 * risks[variable].mean(["chain", "draw"]).to_numpy()
            left.plot(place, mean, ARM_LINES[label], color=ARM_COLOURS[label], label=f"model, {label.lower()}")
        right.axhline(0, color=BLACK, linewidth=0.7, linestyle=":")
        rows = effects.loc[[(name, "RISK_DIFFERENCE") for name in observed.index]]
        model = rows.rename(columns={"mean": "estimate"})
        for table, shift, colour, marker, name in (
            (observed, -0.14, GREY, "o", "observed difference"),
            (model, 0.14, BLUE, "s", "model's difference"),
        ):
            interval = [100 * table[end].to_numpy() for end in ("estimate", "lower", "upper")]
            dots_with_intervals(right, place + shift, interval, {"color": colour, "fmt": marker, "label": name})
        left.set(ylabel="Risk (%)", ylim=(0, None))
        right.set(ylabel=_LABEL)
        for axis in drawn.axes:
            axis.set_xticks(place, [str(name) for name in observed.index])
            axis.set(xlabel="Fifth of predicted risk")
        arms, differences = left.get_legend_handles_labels(), right.get_legend_handles_labels()
        drawn.figure.legend(arms[0] + differences[0], arms[1] + differences[1], loc="outside upper center", ncols=3)
    return drawn.figure


def covariates_of(design: TrialDesign) -> pd.DataFrame:
    """All covariates and group indicators (less the first group), each in standard deviations from its mean."""
    indicators = np.eye(len(design.group_labels))[design.group][:, 1:]
    columns = [*design.prognostic_labels, *design.group_labels[1:]]
    table = pd.DataFrame(np.hstack([design.prognostic, indicators]), columns=columns)
    return (table - table.mean()) / table.std()


def disagreement(effects: pd.DataFrame, covariates: pd.DataFrame) -> pd.DataFrame:
    """Say which covariates go with the difference of each method from the first, by least squares over patients.

    `effects`: a column of risk differences (probabilities) a method, a row a patient; `covariates` of `covariates_of`.
    Index method, without the first; a column each covariate (change of the difference for one SD more, the others
    equal), and `explained`, the share of the difference's variance that all of them explain together.
    """
    terms = np.column_stack([np.ones(len(covariates)), covariates])
    rows = {}
    for name in effects.columns[1:]:
        difference = (effects[name] - effects.iloc[:, 0]).to_numpy()
        slopes = np.linalg.lstsq(terms, difference, rcond=None)[0]
        left = (difference - terms @ slopes).var() / difference.var()
        rows[name] = dict(zip(covariates.columns, slopes[1:], strict=True)) | {"explained": 1.0 - left}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")


def methods_compared(effects: pd.DataFrame, groups: pd.DataFrame, observed: pd.DataFrame, why: pd.DataFrame) -> Figure:
    """Mean effects of several methods in groups of patients beside what was observed, and what differences follow.

    `effects` and `why` as in `disagreement`; `groups`, boolean, a column a group; `observed` of `observed_by`.
    """
    slopes = 100 * why.drop(columns="explained")
    marks = dict(zip(effects.columns, _METHODS, strict=False))
    with canvas(2, width=8.2, height=4.2) as drawn:
        left, right = drawn.axes
        place = np.arange(groups.shape[1])
        interval = [100 * observed[end].to_numpy() for end in ("estimate", "lower", "upper")]
        dots_with_intervals(left, place, interval, {"color": GREY, "label": "observed"})
        for (name, (marker, colour)), shift in zip(marks.items(), np.linspace(-0.3, 0.3, len(marks)), strict=True):
            means = [100 * effects.loc[inside, name].mean() for inside in groups.to_numpy().T]
            left.plot(place, means, marker=marker, color=colour, markersize=4, linewidth=1.0, label=name)
            if name in slopes.index:
                rows = np.arange(slopes.shape[1]) + shift
                right.plot(slopes.loc[name], rows, marker, color=colour, markersize=4)
        left.set_xticks(place, [str(name) for name in groups.columns])
        left.set(xlabel="Fifth of predicted risk", ylabel=_LABEL)
        right.set_yticks(np.arange(slopes.shape[1]), [str(name).replace("_", " ") for name in slopes.columns])
        right.set(xlabel=f"Minus {effects.columns[0]}: points for one SD more\n← more benefit | less benefit →")
        right.invert_yaxis()
        right.axvline(0, color=BLACK, linewidth=0.7, linestyle=":")
        drawn.figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return drawn.figure
