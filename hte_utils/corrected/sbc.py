"""Simulation-based calibration: whether model, sampler and derived quantities agree with one another.

Draw the parameters from the prior, simulate a trial from them, fit it, and rank the true value of each quantity among
its posterior draws. If everything is coded as it is meant, ranks are uniform for every quantity, whatever the prior
(Talts et al. 2018). Not only parameters are ranked: quantities that depend on the data, the log-likelihood above
all, see faults that no parameter shows (Modrák et al. 2023).

The same patients and arms serve for every simulated trial: ranks are uniform given them. A trial without events is
kept, since every prior is proper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Final, cast

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.special import logit

from hte_utils.corrected.model_checks import draw_from_prior, event_probability_draws, replicate_outcomes
from hte_utils.effects.cate import EffectScale, GroupEffects, cate_draws
from hte_utils.model.candidates import ALL_MODIFIERS_MODEL, PAPER_MODEL, CandidateModel
from hte_utils.model.checks import FloatArray
from hte_utils.model.density import SumsDensity
from hte_utils.model.listing_2 import Priors, listing2_draws, posterior_tree, split_sums, sums_of
from hte_utils.model.quick_posterior import quick_posterior
from hte_utils.model.sampler import child_seed, metropolis_chain, proposal_for_chains
from hte_utils.model.spec import TrialDesign
from hte_utils.model.threads import one_blas_thread
from hte_utils.trial import simulate_trial

LOG_LIKELIHOOD: Final = "log-likelihood"
AVERAGE_LOG_ODDS_RATIO: Final = "average log odds ratio"
AVERAGE_RISK_DIFFERENCE: Final = "average risk difference"
FIRST_GROUP: Final = "first group's log odds ratio"
"""Average over the patients of the first group: men, in the paper's trial."""
GROUP_LEFT_OUT: Final = "first group's log odds ratio, group effects left out"
"""The same as the paper's formula for the CATE has it: a fault on purpose. Its draws lack the group effects; the true
value that is ranked among them has them."""

DRAWS: Final = 99
SEED: Final = 20241101
RARE: Final = 0.005
"""Where events are to be rare, the prior's intercept has its mean at this risk, of a patient without risk factors."""

# Steps of the chain between kept draws: one in three or so is accepted, so what is kept is nearly independent.
_STEPS = 6
QUICK_DRAWS: Final = 1000
"""What a quick posterior is asked for, as in the simulation study; the ranks use some of its draws."""
_BLOCK = 500  # trials whose derived quantities are in memory together
_FEWEST_TRIALS = 100  # fewer say little about uniformity


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Ranks of true values among so many posterior draws of each trial, as `calibrate` found them with this seed.

    `ranks`: by quantity, dim trial, how many of the draws lie below the truth, 0 to `draws`. The boolean coordinate
    `by_nuts` marks trials that importance sampling gave up to NUTS.
    """

    ranks: xr.Dataset
    draws: int
    seed: int

    def pit(self) -> xr.Dataset:
        """Ranks as numbers in (0, 1), uniform if all is well (probability integral transform, randomised)."""
        rng = np.random.default_rng(self.seed)
        return self.ranks.map(lambda ranks: (ranks + rng.random(ranks.shape)) / (self.draws + 1))

    def of(self, chosen: NDArray[np.bool_]) -> Calibration:
        """The calibration of the chosen trials: ranks are uniform given anything that the data show."""
        return Calibration(self.ranks.isel(trial=np.flatnonzero(chosen)), self.draws, self.seed)

    def table(self) -> pd.DataFrame:
        """Test of uniformity for every quantity.

        Index: quantity. `mean` of the PIT (1/2 if calibrated; below: truths lie lower than the posterior says), `inside
        90 %`: share of truths in their central 90 % interval, `p_value` of uniformity (ArviZ's test of independent
        values by Cauchy-combined order statistics, "pot_c").
        """
        statistics: Any = import_module("arviz_stats.base").array_stats  # imported when used: it takes seconds
        pit = self.pit().to_dataframe()[list(self.ranks.data_vars)]
        return pd.DataFrame(
            {
                "mean": pit.mean(),
                "inside 90 %": ((pit - 0.5).abs() < 0.45).mean(),
                "p_value": statistics.uniformity_test(pit.to_numpy().T, axis=-1)[0],
            }
        ).rename_axis("quantity")


def departs(table: pd.DataFrame) -> bool:
    """Whether the quantities of a `Calibration.table` depart from uniformity at the level of 5 % (Bonferroni)."""
    return bool(len(table) * table["p_value"].min() <= 0.05)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is calibrated: truths from a model's prior, so many trials of so many patients of Listing 1.

    `fitted_priors` are those of the fit, if they differ: a fault on purpose. `quick`: fitted by importance sampling, as
    the simulation study does, and not by the exact chain.
    """

    label: str
    model: CandidateModel
    fitted_priors: Priors | None = None
    quick: bool = False
    trials: int = 1000
    patients: int = 200

    def design(self) -> TrialDesign:
        """Patients and arms of all its trials."""
        return self.model.design(simulate_trial(self.patients, 1))


def _rare(model: CandidateModel) -> CandidateModel:
    return replace(model, priors=replace(model.priors, intercept_mean=float(logit(RARE))))


SCENARIOS: Final = {
    "paper": Scenario("the paper's model", PAPER_MODEL),
    "all_modifiers": Scenario("the all-modifiers model", ALL_MODIFIERS_MODEL),
    "fault": Scenario("the paper's model, its Gamma rate taken for a scale", PAPER_MODEL, Priors(precision_rate=0.5)),
    "quick": Scenario("quick engine, the paper's model", PAPER_MODEL, quick=True),
    "quick_rare": Scenario("quick engine, the paper's model, rare events", _rare(PAPER_MODEL), quick=True, trials=4000),
    "quick_rare_all_modifiers": Scenario(
        "quick engine, all-modifiers model, rare events", _rare(ALL_MODIFIERS_MODEL), quick=True, trials=4000
    ),
}
"""Calibrations by name. JAGS's ``dgamma(2, 2)`` has a rate, the gamma generators of NumPy and SciPy take a scale: the
fault is what a translator of Listing 2 might well write. Rare events leave arms without any; there the quick engine was
found wanting once, so these runs are long enough to see an SD that is a few per cent too small."""


def calibrate(
    scenario: Scenario, *, seed: int, draws: int = DRAWS, only: Sequence[int] | None = None, workers: int = 2
) -> Calibration:
    """Simulate trials from the prior, fit them, and rank the truths among so many posterior draws of each.

    Ranked is every scalar of Listing 2 by the paper's names, and the derived quantities that this module names. The
    same seed gives the same ranks on any number of workers, and to some of the trials alone (`only`).
    """
    design, priors = scenario.design(), scenario.fitted_priors or scenario.model.priors
    chosen = np.arange(scenario.trials) if only is None else np.asarray(only, dtype=np.int64)
    truths, outcomes = simulated(scenario, seed)
    for_fits = np.random.SeedSequence(seed).spawn(scenario.trials + 1)[1:]
    posterior_draws = _quick_draws if scenario.quick else _chain_draws

    def truth_and_draws(trial: int) -> tuple[dict[str, FloatArray], bool]:
        own = replace(design, outcome=outcomes[trial])
        found, by_nuts = posterior_draws(own, priors, draws, for_fits[trial])
        true = {name: truths["posterior"][name].to_numpy()[0, [trial]] for name in found}
        return {name: np.concatenate([true[name], values]) for name, values in found.items()}, by_nuts

    blocks = []
    # One BLAS thread for each of ours; set once here, because setting it takes longer than a small fit.
    with one_blas_thread(), ThreadPoolExecutor(workers) as pool:
        for block in np.array_split(chosen, -(-chosen.size // _BLOCK)):
            fits, by_nuts = zip(*pool.map(truth_and_draws, block.tolist()), strict=True)
            # The truth stands in front of the draws of its trial, so that all go through the same code; chains are
            # trials.
            together = {name: np.stack([fit[name] for fit in fits]) for name in fits[0]}
            quantities = _quantities(posterior_tree(together, None, design), design, outcomes[block])
            below = quantities.isel(draw=slice(1, None)) < quantities.isel(draw=0, drop=True)
            ranks = below.sum("draw").rename(chain="trial").drop_attrs()
            blocks.append(ranks.assign_coords(trial=block, by_nuts=("trial", list(by_nuts))))
    return Calibration(xr.concat(blocks, "trial"), draws, seed)


def simulated(scenario: Scenario, seed: int) -> tuple[xr.DataTree, FloatArray]:
    """The truths of `calibrate` (chain 0, one draw a trial) and their outcomes, shape (trials, patients)."""
    design, rng = scenario.design(), np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
    truths = draw_from_prior(scenario.model.priors, design, draws=scenario.trials, rng=rng)
    outcomes = replicate_outcomes(event_probability_draws(truths, design), rng).to_numpy()[0].astype(np.float64)
    return truths, outcomes


def arms_without_event(design: TrialDesign, outcomes: FloatArray) -> NDArray[np.bool_]:
    """Which trials, of `outcomes` in shape (trials, patients), have a group with an arm without any event."""
    cell = 2 * design.group + design.treatment.astype(np.int64)
    events = outcomes @ np.eye(2 * len(design.group_labels))[cell]
    return np.asarray((events == 0.0).any(axis=1))


def _chain_draws(
    design: TrialDesign, priors: Priors, draws: int, seed: np.random.SeedSequence
) -> tuple[dict[str, FloatArray], bool]:
    """Nearly independent draws of every variable of the model, shapes (draws,) or (draws, labels); whether by NUTS."""
    density = SumsDensity.of(design, priors)
    for_split, for_pilot, for_chain = (child_seed(seed, place) for place in range(3))
    chain = metropolis_chain(density, proposal_for_chains(density, for_pilot), draws, _STEPS, for_chain)
    return split_sums(sums_of(chain.points, density.at), priors, np.random.default_rng(for_split)), False


def _quick_draws(
    design: TrialDesign, priors: Priors, draws: int, seed: np.random.SeedSequence
) -> tuple[dict[str, FloatArray], bool]:
    """As `_chain_draws`: some of the equal-weight draws, which stand in random order."""
    posterior = quick_posterior(design, priors=priors, draws=QUICK_DRAWS, seed=seed)
    # NUTS leaves its draws in the order of the chains: they are thinned.
    step = posterior.n_draws // draws if posterior.by_nuts else 1
    return {name: values[: step * draws : step] for name, values in posterior.draws.items()}, posterior.by_nuts


def _quantities(draws: xr.DataTree, design: TrialDesign, outcomes: FloatArray) -> xr.Dataset:
    """Everything that is ranked, dims chain (the trials) and draw (the truth first), by the functions the book uses."""
    log_odds_ratio, left_out, risk_difference = (
        cate_draws(draws, design, scale=scale, group_effects=group_effects)
        for scale, group_effects in (
            (EffectScale.LOG_ODDS_RATIO, GroupEffects.INCLUDED),
            (EffectScale.LOG_ODDS_RATIO, GroupEffects.LEFT_OUT),
            (EffectScale.RISK_DIFFERENCE, GroupEffects.INCLUDED),
        )
    )
    first_group = np.flatnonzero(design.group == 0)
    of_first_group, as_the_paper = (
        each.isel(patient=first_group).mean("patient") for each in (log_odds_ratio, left_out)
    )
    probability = event_probability_draws(draws, design)
    happened = xr.DataArray(outcomes, dims=("chain", "patient"))
    log_likelihood = cast("xr.DataArray", np.log(probability.where(happened == 1.0, 1.0 - probability)))
    derived = {
        LOG_LIKELIHOOD: log_likelihood.sum("patient"),
        AVERAGE_LOG_ODDS_RATIO: log_odds_ratio.mean("patient"),
        AVERAGE_RISK_DIFFERENCE: risk_difference.mean("patient"),
        FIRST_GROUP: of_first_group,
        GROUP_LEFT_OUT: as_the_paper.where(as_the_paper["draw"] > 0, of_first_group),
    }
    return listing2_draws(draws).assign({name: values.drop_attrs() for name, values in derived.items()})


def quick_engine_table(calibrations: Mapping[str, Calibration]) -> pd.DataFrame:
    """Sound quantities of the quick engine's scenarios: all trials, and those with an arm of a gender without event.

    `least p` is the smallest p-value of uniformity among the `quantities`; the last columns are the share of true
    effects inside their central 90 % interval, with its Monte Carlo error.
    """
    rows = {}
    for name, scenario in SCENARIOS.items():
        if not scenario.quick:
            continue
        label = scenario.label.removeprefix("quick engine, ")
        empty = arms_without_event(scenario.design(), simulated(scenario, SEED)[1])
        parts = {"all": calibrations[name], "an arm without event": calibrations[name].of(empty)}
        for which, calibration in parts.items():
            n = calibration.ranks.sizes["trial"]
            if n < _FEWEST_TRIALS:
                continue
            table = calibration.table().drop(index=GROUP_LEFT_OUT)
            share = 100.0 * table.loc[["te_gender[1]", "te_gender[2]"], "inside 90 %"]
            men, women = (f"{each:.1f} ± {np.sqrt(each * (100.0 - each) / n):.1f}" for each in share)
            rows[label, which] = {
                "trials": n,
                "fits by NUTS": int(calibration.ranks["by_nuts"].sum()),
                "quantities": len(table),
                "least p": table["p_value"].min(),
                "men inside (%)": men,
                "women inside (%)": women,
            }
    return pd.DataFrame.from_dict(rows, orient="index")
