"""Conditional average treatment effects (CATE) and baseline risks of single patients, from posterior draws.

For patient i in group g, with the names of Listing 2 and Table 4 (`x` are the prognostic covariates, `z` the effect
modifiers)::

    logit baseline risk   = b_intercept + b_prognostic . x_i   [+ re[g]]
    CATE (log odds ratio) = b_trt       + b_interaction . z_i  [+ re_trt[g]]

The terms in brackets are what `GroupEffects` puts in or leaves out. The event is bleeding, so on every scale an effect
beyond "no effect" in the positive direction is **harm**. Whatever goes through patients x draws does so in blocks of
patients (`over_blocks`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import NamedTuple, cast

import numpy as np
import xarray as xr

from hte_utils.effects.logistic import expit_in_place
from hte_utils.model.checks import FloatArray, require_probability
from hte_utils.model.spec import Patients
from hte_utils.model.threads import one_blas_thread
from hte_utils.trial import EffectScale as EffectScale  # the scales of a trial's effects are those of the estimates

# A block of patients x draws of this many numbers (2 MiB) stays in a core's own cache.
_BLOCK_NUMBERS = 2**18
# So many draws are sorted faster than partitioned twice (a third faster at 1000, a quarter slower at 4000).
_FEW_DRAWS = 1500
# Beyond it exp() of a sum of two log odds could overflow; no sensible covariate comes near.
_LARGEST_LOG_ODDS = 300.0


class GroupEffects(Enum):
    """Whether the group (gender) effects `re` and `re_trt` count when a patient's risk and effect are computed.

    `LEFT_OUT` gives the numbers printed in Tables 7 and 8: intercept and treatment effect then lack the part that the
    prior shares out between them and the groups, so that the "risk" in a trial with 5.65 % events is 17 to 42 %.
    """

    INCLUDED = "group effects included, as the model implies"
    LEFT_OUT = "group effects left out, as the paper computed"


class _LinearPredictor(NamedTuple):
    terms: FloatArray  # (patients, terms)
    coefficients: FloatArray  # (terms, draws), chain after chain

    def values(self, rows: slice) -> FloatArray:
        return self.terms[rows] @ self.coefficients

    def in_single_precision(self) -> _LinearPredictor:
        return _LinearPredictor(*(cast("FloatArray", part.astype(np.float32)) for part in self))


class PatientEffects(NamedTuple):
    """Baseline log odds and CATE (log odds ratio) of given patients in every draw of a posterior."""

    baseline: _LinearPredictor
    ratio: _LinearPredictor
    n_patients: int
    n_draws: int  # of all chains

    @classmethod
    def of(cls, posterior: xr.DataTree, patients: Patients, group_effects: GroupEffects) -> PatientEffects:
        """From draws in the form of `hte_utils.model.fit.fit`, for the trial's design or patients put on its scale.

        ValueError if the posterior's labels are not the patients', or a covariate cannot be on the model's scale.
        """
        draws = posterior["posterior"].to_dataset()
        groups = np.eye(len(patients.group_labels))[patients.group] if group_effects is GroupEffects.INCLUDED else None

        def predictor(
            constant: str, slopes: str, dim: str, labels: tuple[str, ...], covariates: FloatArray, group: str
        ) -> _LinearPredictor:
            shared = draws[constant].transpose("chain", "draw").values.reshape(1, -1)
            terms, rows = [np.ones((patients.n_patients, 1)), covariates], [shared, _of(draws[slopes], dim, labels)]
            if groups is not None:
                terms.append(groups)
                rows.append(_of(draws[group], "group", patients.group_labels))
            return _LinearPredictor(np.hstack(terms), np.concatenate(rows))

        prognostic, modifiers = patients.prognostic_labels, patients.modifier_labels
        baseline = predictor("b_intercept", "b_prognostic", "prognostic", prognostic, patients.prognostic, "re")
        ratio = predictor("b_trt", "b_interaction", "modifier", modifiers, patients.modifiers, "re_trt")
        reach = sum(np.abs(x).max(axis=0) @ np.abs(b).max(axis=1) for x, b in (baseline, ratio))
        if not reach < _LARGEST_LOG_ODDS:
            raise ValueError(
                f"log odds may reach {reach:.3g} for these patients (limit {_LARGEST_LOG_ODDS:g}): a covariate is not "
                "on the scale the model was fitted on. Put patients on that scale with TrialDesign.apply"
            )
        return cls(baseline, ratio, patients.n_patients, baseline.coefficients.shape[1])

    def risks(self, rows: slice) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Untreated risk, treated risk and log odds ratio of some patients, new arrays of shape (patients, draws)."""
        log_odds, ratio = self.baseline.values(rows), self.ratio.values(rows)
        treated = expit_in_place(log_odds + ratio)
        return expit_in_place(log_odds), treated, ratio

    def on(self, scale: EffectScale, rows: slice) -> FloatArray:
        """CATE of some patients on the given scale, a new array of shape (patients, draws)."""
        if scale is EffectScale.LOG_ODDS_RATIO:
            return self.ratio.values(rows)
        untreated, treated, _ = self.risks(rows)
        combine = np.subtract if scale is EffectScale.RISK_DIFFERENCE else np.divide
        return combine(treated, untreated, out=treated)

    def untreated(self, rows: slice) -> FloatArray:
        """Baseline risk of some patients, a new array of shape (patients, draws)."""
        return expit_in_place(self.baseline.values(rows))


def _of(variable: xr.DataArray, dim: str, labels: tuple[str, ...]) -> FloatArray:
    """One variable's coefficients in the order of `labels`, shape (labels, chains * draws)."""
    found = [str(label) for label in variable[dim].values]
    if sorted(found) != sorted(labels):
        raise ValueError(
            f"posterior variable {variable.name!r} has the {dim} labels {found}, the patients have {list(labels)}: "
            "use the TrialSpec and the trial that the model was fitted with"
        )
    ordered = variable.transpose(dim, "chain", "draw").values[[found.index(label) for label in labels]]
    return cast("FloatArray", ordered.astype(np.float64).reshape(len(labels), -1))


def blocks(n_patients: int, n_draws: int) -> list[slice]:
    """Slices of patients whose draws fit into a core's own cache."""
    size = max(1, _BLOCK_NUMBERS // n_draws)
    return [slice(start, min(start + size, n_patients)) for start in range(0, n_patients, size)]


def over_blocks[T](work: Callable[[slice], T], effects: PatientEffects, threads: int | None = None) -> Iterator[T]:
    """Results of `work` for one block of patients after another, computed on all processors unless `threads` is given.

    The order is always the same, so that a sum of the results does not depend on the number of threads.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # One BLAS thread for each of our own: the products are too small to share out, the blocks are not.
    with one_blas_thread(), ThreadPoolExecutor(threads or cores) as pool:
        yield from pool.map(work, blocks(effects.n_patients, effects.n_draws))


def cate_draws(
    posterior: xr.DataTree, patients: Patients, *, scale: EffectScale, group_effects: GroupEffects
) -> xr.DataArray:
    """CATE of every patient in every posterior draw (2000 patients x 4000 draws: 64 MB).

    `posterior` and `patients` as for `PatientEffects.of`. Dims chain, draw, patient (numbered from 0); risk differences
    are probabilities, not percentage points. `attrs` name scale and group effects.
    """
    effects = PatientEffects.of(posterior, patients, group_effects)
    found = labelled(np.concatenate(list(over_blocks(lambda rows: effects.on(scale, rows), effects))), posterior)
    return found.rename(f"CATE ({scale.value})").assign_attrs(scale=scale.value, group_effects=group_effects.value)


def baseline_risk_draws(posterior: xr.DataTree, patients: Patients, *, group_effects: GroupEffects) -> xr.DataArray:
    """Probability of the event without treatment, for every patient in every draw; labels as in `cate_draws`."""
    effects = PatientEffects.of(posterior, patients, group_effects)
    found = labelled(np.concatenate(list(over_blocks(effects.untreated, effects))), posterior)
    return found.rename("baseline risk").assign_attrs(scale="probability", group_effects=group_effects.value)


def labelled(values: FloatArray, posterior: xr.DataTree) -> xr.DataArray:
    """Label values of shape (patients, draws) by chain, draw and patient.

    In memory they stay patient by patient, because whatever follows (quantiles above all) goes through the draws.
    """
    draws = posterior["posterior"].to_dataset()
    coords = {"chain": draws["chain"], "draw": draws["draw"], "patient": np.arange(len(values))}
    by_chain = values.reshape(len(values), draws.sizes["chain"], draws.sizes["draw"])
    return xr.DataArray(by_chain.transpose(1, 2, 0), coords, dims=list(coords))


def cate(
    posterior: xr.DataTree,
    patients: Patients,
    *,
    scale: EffectScale = EffectScale.LOG_ODDS_RATIO,
    group_effects: GroupEffects = GroupEffects.INCLUDED,
    interval: float = 0.95,
    threads: int | None = None,
) -> xr.Dataset:
    """Posterior summary of every patient's treatment effect, in memory that grows with the patients alone.

    Dim patient: `mean`, `sd`, `lower`, `upper`, and `p_harm`, the share of draws above no effect. `posterior` and
    `patients` are as for `PatientEffects.of`; `interval` is the probability of the equal-tailed credible interval;
    `threads` all processors if None.

    Examples
    --------
    >>> import hte_utils as hte
    >>> design = hte.PAPER_SPEC.design(hte.simulate_trial(500, seed=1))
    >>> effects = hte.cate(hte.fit(design), design)
    >>> effects.sizes["patient"]
    500
    """
    require_probability("interval", interval)
    effects = PatientEffects.of(posterior, patients, group_effects)

    def block(rows: slice) -> dict[str, FloatArray]:
        values = effects.on(scale, rows)
        return {"p_harm": (values > scale.no_effect).mean(axis=1)} | _summaries(values, interval)

    parts = list(over_blocks(block, effects, threads))
    summary = {name: ("patient", np.concatenate([part[name] for part in parts])) for name in parts[0]}
    attrs = {"scale": scale.value, "interval": interval, "group_effects": group_effects.value}
    return xr.Dataset(summary, {"patient": np.arange(patients.n_patients)}, attrs)


def predicted_risk(posterior: xr.DataTree, patients: Patients, *, group_effects: GroupEffects) -> FloatArray:
    """Posterior mean of every patient's event probability without treatment, shape (patients,)."""
    effects = PatientEffects.of(posterior, patients, group_effects)
    return np.concatenate(list(over_blocks(lambda rows: effects.untreated(rows).mean(axis=1), effects)))


def effect_summaries(
    posterior: xr.DataTree, patients: Patients, *, group_effects: GroupEffects, interval: float = 0.95
) -> dict[str, dict[str, FloatArray]]:
    """All that a study asks of one posterior, in one pass on one core and in single precision.

    Its rounding (seven digits) is far below the Monte Carlo error of any number of draws, and takes half of the time.

    By quantity, `mean`, `sd`, `lower` and `upper`: `log_odds_ratio` and `risk_difference` of every patient, and
    `average_risk_difference`, their mean over the patients (arrays of no dims); of `baseline_risk` the `mean` alone.
    """
    exact = PatientEffects.of(posterior, patients, group_effects)
    effects = exact._replace(baseline=exact.baseline.in_single_precision(), ratio=exact.ratio.in_single_precision())
    total = np.zeros(effects.n_draws)

    def block(rows: slice) -> dict[str, dict[str, FloatArray]]:
        untreated, treated, ratio = effects.risks(rows)
        treated -= untreated
        np.add(total, treated.sum(axis=0), out=total)
        by_scale = {"log_odds_ratio": ratio, "risk_difference": treated}
        found = {name: _summaries(values, interval) for name, values in by_scale.items()}
        return found | {"baseline_risk": {"mean": untreated.mean(axis=1)}}

    parts = list(over_blocks(block, effects, threads=1))
    found = {
        quantity: {name: np.concatenate([part[quantity][name] for part in parts]).astype(float) for name in summaries}
        for quantity, summaries in parts[0].items()
    }
    average = _summaries(total[None] / effects.n_patients, interval)
    return found | {"average_risk_difference": {name: values[0] for name, values in average.items()}}


def _summaries(values: FloatArray, interval: float) -> dict[str, FloatArray]:
    """Mean, SD (n-1) and interval (R's type-7 quantiles) of `values`, shape (patients, draws), which is overwritten."""
    mean = values.mean(axis=1)
    values -= mean[:, None]
    sd = np.sqrt(np.einsum("ij,ij->i", values, values) / (values.shape[1] - 1))
    if few := values.shape[1] <= _FEW_DRAWS:
        values.sort(axis=1)
    tails = ((1.0 - interval) / 2.0, (1.0 + interval) / 2.0)
    lower, upper = (_quantile(values, tail, ordered=few) + mean for tail in tails)
    return {"mean": mean, "sd": sd, "lower": lower, "upper": upper}


def _quantile(values: FloatArray, probability: float, *, ordered: bool) -> FloatArray:
    position = probability * (values.shape[1] - 1)
    below = int(position)
    if not ordered:
        # One `partition` for each: NumPy vectorises it for a single position, four times faster than for several.
        values.partition(below, axis=1)
    at = values[:, below].copy()
    if position > below:
        above = values[:, below + 1] if ordered else values[:, below + 1 :].min(axis=1)
        at += (position - below) * (above - at)
    return at
