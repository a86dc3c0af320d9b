"""Fifty-two small trials, ordinary and awkward, on which the quick posterior is held against exact samplers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hte_utils.model.candidates import ALL_MODIFIERS_MODEL
from hte_utils.model.checks import TrialWarning
from hte_utils.model.density import Coordinates
from hte_utils.model.listing_2 import Priors
from hte_utils.model.spec import PAPER_SPEC, TrialDesign, TrialSpec
from hte_utils.trial import simulate_trial


@dataclass(frozen=True, slots=True, eq=False)
class QuickTrial:
    """A trial with the model to fit."""

    name: str
    design: TrialDesign
    priors: Priors


def quick_trials() -> Iterator[QuickTrial]:
    """Ordinary small ones, 5 events in 200, separation, strong effects, the size of the paper, shrunk interactions."""
    for seed in range(8):
        yield _trial(f"500 patients, {seed}", simulate_trial(500, seed))
    for seed in range(10):
        yield _trial(f"200 patients, {seed}", simulate_trial(200, seed))
    for seed in range(8):
        yield _trial(f"200 patients with 5 events, {seed}", _with_five_events(simulate_trial(200, seed), seed))
    for seed in range(4):
        yield _trial(f"separation by age, {seed}", _separated(simulate_trial(200, seed)))
    for seed in range(3):
        yield _trial(f"separation by arm, {seed}", _events_in_one_arm(simulate_trial(300, seed)))
    for seed in range(7):
        yield _trial(f"strong effects, {seed}", _with_strong_effects(simulate_trial(400, seed), seed))
    for seed in range(6):
        yield _trial(f"2000 patients, {seed}", simulate_trial(2000, seed))
    for n, seeds in ((200, 4), (2000, 2)):
        for seed in range(seeds):
            yield _trial(
                f"shrunk interactions, {n} patients, {seed}",
                simulate_trial(n, seed),
                ALL_MODIFIERS_MODEL.spec,
                ALL_MODIFIERS_MODEL.priors,
            )


def _trial(name: str, frame: pd.DataFrame, spec: TrialSpec = PAPER_SPEC, priors: Priors | None = None) -> QuickTrial:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrialWarning)
        return QuickTrial(name, spec.design(frame), priors or Priors())


def _with_five_events(trial: pd.DataFrame, seed: int) -> pd.DataFrame:
    events = np.zeros(len(trial), dtype=np.int64)
    events[np.random.default_rng(seed).choice(len(trial), 5, replace=False)] = 1
    return trial.assign(event=events)


def _separated(trial: pd.DataFrame) -> pd.DataFrame:
    """The oldest twelve have the event, all others have not: maximum likelihood does not exist."""
    return trial.assign(event=(trial["age"].rank(method="first") > len(trial) - 12).astype(np.int64))


def _events_in_one_arm(trial: pd.DataFrame) -> pd.DataFrame:
    return trial.assign(event=trial["event"] * (trial["treatment"] == "Treatment"))


def _with_strong_effects(trial: pd.DataFrame, seed: int) -> pd.DataFrame:
    age = (trial["age"] - 55.0) / 12.0
    treated, anticoagulated = trial["treatment"] == "Treatment", trial["anticoagulant"] == "Yes"
    log_odds = -2.0 + 1.5 * age + 2.0 * anticoagulated + treated * (-1.0 - 2.0 * age + 3.0 * anticoagulated)
    risk = 1.0 / (1.0 + np.exp(-log_odds))
    return trial.assign(event=(np.random.default_rng(seed).random(len(trial)) < risk).astype(np.int64))


def points_of(draws: Mapping[str, np.ndarray], at: Coordinates) -> np.ndarray:
    """Go back from variables of Listing 2 to points of the sums form, shape (..., coordinates)."""
    points = np.empty((*draws["b_intercept"].shape, at.size))
    points[..., at.alpha] = draws["b_intercept"][..., None] + draws["re"]
    points[..., at.delta] = draws["te_group"]
    points[..., at.prognostic] = draws["b_prognostic"]
    points[..., at.interaction] = draws["b_interaction"]
    points[..., at.log_tau[0]] = np.log(draws["tau_re"])
    points[..., at.log_tau[1]] = np.log(draws["tau_re_trt"])
    if at.has_scale:
        points[..., at.log_scale] = np.log(draws["sd_interaction"])
    return points
