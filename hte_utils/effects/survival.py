"""Effects on times to event on scales that people use: from draws of `hte_utils.model.survival.fit_times`, and seen.

By a horizon: risks without and with treatment, their difference and what else `hte_utils.effects.averages` makes of two
risks (risk ratio, odds ratios; the number needed is the reciprocal of the difference), and event-free time up to it
(restricted mean survival time). Positive risk differences, and days lost, are harm if the event is bad.

**Hazard ratios are not collapsible.** Even if all patients have the same one, that of the population is nearer to 1,
and changes with time, because those at high risk leave first (Daniel, Zhang & Farewell 2021; Hernán 2010). The mean of
the patients' own log hazard ratios is what the model holds; the marginal one compares cumulative hazards of the
population by the horizon. Risks and times are free of it: the difference of averages is the average of differences.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from statsmodels.duration.hazard_regression import PHReg

from hte_utils.effects.averages import everybody
from hte_utils.effects.cate import GroupEffects, PatientEffects, over_blocks
from hte_utils.effects.logistic import Z
from hte_utils.effects.monte_carlo import batch_edges, jackknife_mean, jackknife_summaries
from hte_utils.model.checks import FloatArray, require_probability
from hte_utils.model.spec import Patients
from hte_utils.model.survival import TimesDesign

MEASURES = {
    "RISK_DIFFERENCE": "risk difference by the horizon",
    "TIME_LOST": "event-free time lost up to the horizon",
    "MEAN_LOG_HAZARD_RATIO": "mean conditional log hazard ratio",
    "MARGINAL_LOG_HAZARD_RATIO": "marginal log ratio of cumulative hazards",
}
"""Measures of `summarise_times` in words; larger values are harm, and 0 is no effect on all of them."""
_AVERAGES = ("untreated", "treated", "mean_log_odds_ratio", "untreated_time", "treated_time", "mean_log_hazard_ratio")


class _Hazards(NamedTuple):
    """Hazards: a factor for each patient (`PatientEffects`) times one for each interval, shape (draws, intervals)."""

    effects: PatientEffects
    baseline: tuple[FloatArray, FloatArray]
    log_ratio_change: FloatArray  # (draws, intervals): what is added to the patient's log hazard ratio
    starts: FloatArray
    ends: FloatArray

    @classmethod
    def of(cls, posterior: xr.DataTree, patients: Patients) -> _Hazards:
        draws = posterior["posterior"].to_dataset()
        if "log_hazard" not in draws or "interval_end" not in draws.coords:
            raise ValueError("the posterior has no hazards: it must be of fit_times (hte_utils.model.survival)")

        def change(name: str, start: str) -> FloatArray:
            matrix = (draws[name] - draws[start]).transpose("chain", "draw", "interval").to_numpy()
            return matrix.reshape(-1, matrix.shape[-1])

        effects = PatientEffects.of(posterior, patients, GroupEffects.INCLUDED)
        base = change("log_hazard", "b_intercept")
        ratio = change("log_hazard_ratio", "b_trt") if "log_hazard_ratio" in draws else np.zeros_like(base)
        ends = draws["interval_end"].to_numpy()
        # The model's hazards are per whole follow-up.
        arms = np.exp(base) / ends[-1], np.exp(base + ratio) / ends[-1]
        return cls(effects, arms, ratio, np.append(0.0, ends[:-1]), ends)

    def require(self, horizons: Iterable[float]) -> None:
        for horizon in horizons:
            if not 0.0 < horizon <= self.ends[-1]:
                raise ValueError(
                    f"the horizon must be positive and at most {self.ends[-1]:g}, the end of the last interval of the "
                    f"model, not {horizon!r}: beyond it no hazard is known"
                )

    def factors(self, rows: slice) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Untreated and treated factors of the hazard, and the log hazard ratio in the first interval."""
        log_hazard, ratio = self.effects.baseline.values(rows), self.effects.ratio.values(rows)
        return np.exp(log_hazard), np.exp(log_hazard + ratio), ratio

    def cumulative(self, arm: int, by: float) -> FloatArray:
        """Cumulative hazard of a patient with factor 1, shape (draws,)."""
        return np.asarray(self.baseline[arm] @ np.clip(by - self.starts, 0.0, self.ends - self.starts))

    def followed(self, factor: FloatArray, arm: int, horizon: float) -> tuple[FloatArray, FloatArray]:
        """Risk by the horizon and event-free time up to it, of shape of `factor`, (patients, draws).

        Interval by interval: whoever is left at its start has the event in it with probability 1 - exp(-hazard), and
        the time in it without event is that probability over the rate.
        """
        risk, surviving, free = np.zeros_like(factor), np.ones_like(factor), np.zeros_like(factor)
        for place, (start, end) in enumerate(zip(self.starts, np.minimum(self.ends, horizon), strict=True)):
            if end > start:
                rate = factor * self.baseline[arm][:, place]
                events = -np.expm1(rate * (start - end))
                events *= surviving
                risk += events
                surviving -= events
                free += np.divide(events, rate, out=rate)
        return risk, free


def risks_by(
    posterior: xr.DataTree, patients: Patients, horizon: float, members: pd.DataFrame | None = None
) -> xr.Dataset:
    """Average risks, event-free times and log hazard ratios of populations by a horizon, in every draw.

    Parameters
    ----------
    posterior
        Of `hte_utils.model.survival.fit_times`.
    patients
        The trial's design, or patients put on its scale (`TrialDesign.apply`).
    horizon
        In the times' unit, at most the end of the model's last interval.
    members
        Boolean, a row for each patient, a column for each population; everybody if None.

    Returns
    -------
    xarray.Dataset
        Dims population, chain, draw: `untreated`, `treated` (probability of the event by the horizon, nobody and
        everybody treated), `mean_log_odds_ratio` (of these risks: so the functions of `hte_utils.effects.averages` take
        the result), `untreated_time`, `treated_time` (event-free, in the times' unit), `mean_log_hazard_ratio` (of the
        patients; where the effect changes, averaged over the time up to the horizon).
    """
    members = everybody(patients.n_patients) if members is None else members
    hazards = _Hazards.of(posterior, patients)
    hazards.require([horizon])
    inside = members.to_numpy(dtype=np.float64).T
    weights = inside / inside.sum(axis=1, keepdims=True)
    spent = np.clip(horizon - hazards.starts, 0.0, hazards.ends - hazards.starts) / horizon

    def block(rows: slice) -> FloatArray:
        *factors, ratio = hazards.factors(rows)
        followed = [hazards.followed(factor, arm, horizon) for arm, factor in enumerate(factors)]
        risks, times = zip(*followed, strict=True)
        # The odds of 1 - exp(-H) are exp(H) - 1.
        odds = [np.expm1(factor * hazards.cumulative(arm, horizon)) for arm, factor in enumerate(factors)]
        values = (*risks, np.log(odds[1] / odds[0]), *times, ratio + hazards.log_ratio_change @ spent)
        return np.stack([weights[:, rows] @ each for each in values])

    # One after another: all blocks' averages together would be larger than the posterior.
    averages = sum(over_blocks(block, hazards.effects), start=np.zeros(1))
    return _labelled(posterior, list(members.columns), dict(zip(_AVERAGES, averages, strict=True)), horizon)


def survival_curves(
    posterior: xr.DataTree, patients: Patients, days: Iterable[float], members: pd.DataFrame | None = None
) -> xr.Dataset:
    """Average probability of no event up to each of `days`, in every draw, beside Kaplan and Meier's estimate.

    Parameters as for `risks_by`. Dims population, chain, draw, time: `untreated`, `treated`.
    """
    grid = [float(day) for day in days]
    members = everybody(patients.n_patients) if members is None else members
    hazards = _Hazards.of(posterior, patients)
    hazards.require(day for day in grid if day != 0.0)
    inside = members.to_numpy(dtype=np.float64).T
    weights = inside / inside.sum(axis=1, keepdims=True)

    def block(rows: slice) -> FloatArray:
        untreated, treated, _ = hazards.factors(rows)
        return np.stack(
            [
                [weights[:, rows] @ np.exp(-factor * hazards.cumulative(arm, day)) for day in grid]
                for arm, factor in enumerate((untreated, treated))
            ]
        )

    arms = np.sum(list(over_blocks(block, hazards.effects)), axis=0)
    by_day = [
        _labelled(posterior, list(members.columns), {"untreated": untreated, "treated": treated})
        for untreated, treated in zip(*arms, strict=True)
    ]
    return xr.concat(by_day, pd.Index(grid, name="time"))


def summarise_times(risks: xr.Dataset, *, interval: float = 0.95) -> pd.DataFrame:
    """Posterior summary of effects on times: index `population`, `measure` (keys of `MEASURES`).

    `mean`, `sd`, `lower`, `upper` (equal-tailed credible interval of the average), `p_harm`, and Monte Carlo standard
    errors `mcse_<each>`. Risk differences are probabilities, times in the unit of the times.
    """
    require_probability("interval", interval)
    edges = batch_edges(risks.sizes["chain"], risks.sizes["draw"])
    cumulative = {arm: xr.DataArray(-np.log1p(-risks[arm])) for arm in ("untreated", "treated")}
    found = {
        "RISK_DIFFERENCE": risks["treated"] - risks["untreated"],
        "TIME_LOST": risks["untreated_time"] - risks["treated_time"],
        "MEAN_LOG_HAZARD_RATIO": risks["mean_log_hazard_ratio"],
        "MARGINAL_LOG_HAZARD_RATIO": xr.DataArray(np.log(cumulative["treated"] / cumulative["untreated"])),
    }
    rows = {}
    for measure, effects in found.items():
        draws = effects.transpose("chain", "draw", "population").to_numpy()
        matrix = draws.reshape(-1, draws.shape[-1])
        summaries = jackknife_summaries(matrix, interval, edges)
        summaries["p_harm"] = jackknife_mean((matrix > 0.0).astype(np.float64), edges)
        columns = {name: each.estimate for name, each in summaries.items()} | {"sd": matrix.std(axis=0, ddof=1)}
        columns |= {f"mcse_{name}": each.mcse() for name, each in summaries.items()}
        for place, population in enumerate(risks["population"].to_numpy()):
            rows[population, measure] = {name: values[place] for name, values in columns.items()}
    index = pd.MultiIndex.from_tuples(rows, names=["population", "measure"])
    table = pd.DataFrame(list(rows.values()), index=index)
    order = pd.MultiIndex.from_product([risks["population"].to_numpy(), list(MEASURES)], names=index.names)
    return table.loc[order]


def patient_effects_by(
    posterior: xr.DataTree, patients: Patients, horizon: float, *, interval: float = 0.95
) -> pd.DataFrame:
    """Every patient's risk by the horizon without treatment and risk difference, a row each in their order.

    `untreated_risk` (posterior mean); of the risk difference `mean`, `sd`, `lower`, `upper`, and `p_harm`, the share of
    draws above 0. Parameters as for `risks_by`.
    """
    require_probability("interval", interval)
    hazards = _Hazards.of(posterior, patients)
    hazards.require([horizon])

    def block(rows: slice) -> pd.DataFrame:
        factors = hazards.factors(rows)
        risks = [-np.expm1(-factor * hazards.cumulative(arm, horizon)) for arm, factor in enumerate(factors[:2])]
        difference = risks[1] - risks[0]
        lower, upper = np.quantile(difference, ((1.0 - interval) / 2.0, (1.0 + interval) / 2.0), axis=1)
        return pd.DataFrame(
            {
                "untreated_risk": risks[0].mean(axis=1),
                "mean": difference.mean(axis=1),
                "sd": difference.std(axis=1, ddof=1),
                "lower": lower,
                "upper": upper,
                "p_harm": (difference > 0.0).mean(axis=1),
            }
        )

    return pd.concat(over_blocks(block, hazards.effects), ignore_index=True)


def observed_by(times: TimesDesign, members: pd.DataFrame, horizon: float) -> pd.DataFrame:
    """Risks by a horizon in each arm (Kaplan and Meier), and their difference, without a model.

    Index `population`, the columns of `members`; `n_control`, `n_treated`, the risks `control` and `treated` with their
    standard errors `se_control` and `se_treated` (Greenwood), `estimate`, `lower` and `upper` of the difference (95 %).
    """
    arms = {"control": 0.0, "treated": 1.0}
    inside = {arm: members.to_numpy() & (times.trial.treatment == code)[:, None] for arm, code in arms.items()}
    found = {f"n_{arm}": each.sum(axis=0) for arm, each in inside.items()}
    for arm, each in inside.items():
        found[arm], found[f"se_{arm}"] = kaplan_meier(times.time, times.trial.outcome, each, horizon)
    difference, error = found["treated"] - found["control"], np.hypot(found["se_control"], found["se_treated"])
    found |= {"estimate": difference, "lower": difference - Z * error, "upper": difference + Z * error}
    return pd.DataFrame(found, index=pd.Index(members.columns, name="population"))


def kaplan_meier(
    time: FloatArray, outcome: FloatArray, inside: npt.NDArray[np.bool_], horizon: float
) -> tuple[FloatArray, FloatArray]:
    """Risks by the horizon and their standard errors (Greenwood) of many groups at once, shape (groups,) each.

    `inside`, shape (patients, groups), says who belongs to which; `outcome` is 1 where the event was seen at `time`.
    statsmodels takes one group at a time: a report on thousands of patients would spend its minutes there.
    """
    seen = (outcome == 1.0) & (time <= horizon)
    at = np.unique(time[seen])
    events, at_risk = np.empty((2, at.size, inside.shape[1]))
    lived_through = np.searchsorted(at, time, side="right")  # how many of these times, that of the own event among them
    for group, members in enumerate(inside.T):
        events[:, group] = np.bincount(lived_through[members & seen] - 1, minlength=at.size)
        reached = np.bincount(lived_through[members], minlength=at.size + 1)
        at_risk[:, group] = reached[::-1].cumsum()[::-1][1:]
    with np.errstate(divide="ignore", invalid="ignore"):  # nobody at risk, or nobody left: the error is not known
        surviving = np.prod(1.0 - np.where(at_risk > 0, events / at_risk, 0.0), axis=0)
        spread = np.where(events > 0, events / (at_risk * (at_risk - events)), 0.0).sum(axis=0)
        return 1.0 - surviving, surviving * np.sqrt(spread)


def hazard_ratio(times: TimesDesign) -> dict[str, float]:
    """Hazard ratio of the treated by Cox's regression on treatment alone: `estimate`, `lower`, `upper` (95 %)."""
    fitted = PHReg(times.time, times.trial.treatment[:, None], times.trial.outcome, ties="efron").fit()
    centre, reach = float(fitted.params[0]), Z * float(fitted.bse[0])
    return {"estimate": np.exp(centre), "lower": np.exp(centre - reach), "upper": np.exp(centre + reach)}


def _labelled(
    posterior: xr.DataTree, populations: list[str], averages: dict[str, FloatArray], horizon: float | None = None
) -> xr.Dataset:
    """Label averages of shape (populations, draws, chain after chain)."""
    draws = posterior["posterior"].to_dataset()
    shape = (len(populations), draws.sizes["chain"], draws.sizes["draw"])
    return xr.Dataset(
        {name: (("population", "chain", "draw"), values.reshape(shape)) for name, values in averages.items()},
        coords={"population": populations, "chain": draws["chain"], "draw": draws["draw"]},
        attrs={} if horizon is None else {"horizon": horizon},
    )
