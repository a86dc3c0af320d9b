"""The quick posterior: as exact as the samplers it stands in for, honest when it is not, the same every time."""

from __future__ import annotations

import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from arviz_stats.base import array_stats
from paper_fits import paper_design
from quick_trials import QuickTrial, points_of, quick_trials

from hte_utils.ledger.entries import Reproduced, judge
from hte_utils.model.density import SumsDensity
from hte_utils.model.fit import FitWarning, IndependenceSettings, NutsSettings, fit, record_of
from hte_utils.model.listing_2 import Priors, listing2_draws, table4_draws
from hte_utils.model.quick_posterior import (
    QuickFallbackWarning,
    QuickPosterior,
    equal_weights,
    quick_posterior,
)
from hte_utils.model.sampler import importance_sample
from hte_utils.model.spec import TrialDesign
from hte_utils.model.store import BOOK_SETTINGS
from hte_utils.paper import entries_of
from hte_utils.reproduction.table_4 import table_4

TRIALS = list(quick_trials())
# The first of each kind always; the others, half a minute, where slow tests are asked for.
AGREEMENT = [
    pytest.param(trial, id=trial.name, marks=() if trial.name.endswith(", 0") else pytest.mark.slow) for trial in TRIALS
]


def patients_effects(trial: QuickTrial, points: np.ndarray) -> np.ndarray:
    """Coefficients, log scales, and the log odds ratios of ten patients: shape (draws, quantities)."""
    at, design = SumsDensity.of(trial.design, trial.priors).at, trial.design
    rows = np.linspace(0, design.n_patients - 1, 10).astype(int)
    effects = points[:, at.delta][:, design.group[rows]] + points[:, at.interaction] @ design.modifiers[rows].T
    return np.hstack([points, effects])


def exact(trial: QuickTrial) -> np.ndarray:
    """The same quantities by the independence chain, shape (quantities, chains, draws)."""
    settings = IndependenceSettings(draws=4000, chains=4, proposals_per_draw=5, seed=9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # some of these trials are awkward for the chain; its MCSE tells
        posterior = fit(trial.design, priors=trial.priors, settings=settings)["posterior"].to_dataset()
    draws = {str(name): values.to_numpy() for name, values in posterior.data_vars.items()}
    points = points_of(draws, SumsDensity.of(trial.design, trial.priors).at)
    values = patients_effects(trial, points.reshape(-1, points.shape[-1]))
    return values.T.reshape(-1, settings.chains, settings.draws)


@pytest.mark.parametrize("trial", AGREEMENT)
def test_same_posterior_as_the_exact_chain(trial: QuickTrial) -> None:
    """Means within 0.03 SD, SDs within 3 %, interval ends within 0.03 SD, but for Monte Carlo error.

    `benchmarks/quick_agreement.py` does it with longer runs, and against NUTS.
    """
    quick = quick_posterior(trial.design, priors=trial.priors, draws=20_000, seed=4)
    assert not quick.by_nuts
    assert quick.pareto_k < 0.7
    at = SumsDensity.of(trial.design, trial.priors).at
    ours = patients_effects(trial, points_of(quick.draws, at))
    our_mean, our_sd = ours.mean(axis=0), ours.std(axis=0)
    chain = exact(trial)
    sd = chain.std(axis=(1, 2))
    errors = {what: array_stats.mcse(chain, method=what) / sd for what in ("mean", "sd")}
    # Some 27 quantities in each of 52 trials: the largest of so many |z| is about 3.5, and the seeds are fixed.
    assert (np.abs(our_mean - chain.mean(axis=(1, 2))) / sd < 0.03 + 3.5 * errors["mean"]).all()
    assert (np.abs(our_sd / sd - 1.0) < 0.03 + 3.5 * errors["sd"]).all()
    for probability in (0.025, 0.975):
        of_chain = array_stats.mcse(chain[at.size :], method="quantile", prob=probability) / sd[at.size :]
        # Ours: that of 20 000 draws of a normal quantity, sqrt(p (1 - p) / n) over its density.
        error = np.hypot(of_chain, 2.67 / np.sqrt(20_000))
        found = np.quantile(ours[:, at.size :], probability, axis=0)
        expected = np.quantile(chain[at.size :], probability, axis=(1, 2))
        assert (np.abs(found - expected) / sd[at.size :] < 0.03 + 3.5 * error).all()


def test_the_awkward_trials_are_awkward() -> None:
    names = [trial.name for trial in TRIALS]
    assert len(names) >= 50
    assert len(set(names)) == len(names)
    five = [trial.design for trial in TRIALS if "5 events" in trial.name]
    assert all(design.outcome.sum() == 5 and design.n_patients == 200 for design in five)
    [*separated] = [trial.design for trial in TRIALS if "separation by age" in trial.name]
    for design in separated:
        age = design.prognostic[:, 0]
        assert age[design.outcome == 1].min() >= age[design.outcome == 0].max()


@pytest.fixture(scope="module")
def of_the_paper() -> QuickPosterior:
    return quick_posterior(paper_design(), draws=20_000, seed=1)


def test_table_4_of_the_paper(of_the_paper: QuickPosterior) -> None:
    """The ledger's own verdict on all means, probabilities and SDs of Table 4."""
    time_series = {
        entry.row: Reproduced(float(entry.printed), 0.0) for entry in entries_of("Table 4") if "Time" in entry.id
    }
    found = table_4(of_the_paper.tree(), time_series)
    checked = [name for name in found if name.endswith((".Mean", ".SD", ".prob", ".Naive.SE"))]
    assert len(checked) == 48
    for name in checked:
        entry = judge(name, found[name])
        assert entry.verdict.startswith("reproduced"), entry
    wrong = table_4(quick_posterior(paper_design(), priors=Priors(fixed_sd=2.0), seed=1).tree(), time_series)
    verdicts = [judge(name, wrong[name]).verdict for name in checked]
    assert not all(verdict.startswith("reproduced") for verdict in verdicts)


def test_same_as_the_fit_of_the_book(of_the_paper: QuickPosterior) -> None:
    book = table4_draws(fit(paper_design(), settings=BOOK_SETTINGS))
    quick = table4_draws(of_the_paper.tree())
    for name in book.data_vars:
        sd = float(book[name].std())
        assert abs(float(quick[name].mean() - book[name].mean())) < 0.04 * sd
        assert abs(float(quick[name].std()) / sd - 1.0) < 0.03


def test_tree_has_the_form_of_a_fit(of_the_paper: QuickPosterior) -> None:
    tree = of_the_paper.tree()
    assert tree["posterior"].sizes["chain"] == 1
    assert tree["posterior"].sizes["draw"] == of_the_paper.n_draws
    assert len(listing2_draws(tree).data_vars) == 18
    np.testing.assert_allclose(
        tree["posterior"]["te_group"], tree["posterior"]["b_trt"] + tree["posterior"]["re_trt"], atol=1e-12
    )
    record = record_of(tree)
    assert record.sampler == "importance"
    assert record.passed
    assert {check.name for check in record.checks} == {"effective sample size", "Pareto k"}
    assert record.settings == {"draws": 20_000, "seed": "1 ()"}


def test_equal_weight_draws_are_the_weighted_points() -> None:
    density = SumsDensity.of(paper_design(), Priors())
    sample = importance_sample(density, 20_000, np.random.SeedSequence(1))
    equal = equal_weights(sample, 20_000, np.random.default_rng(2))
    expected = sample.weights @ sample.points
    spread = np.sqrt(sample.weights @ np.square(sample.points - expected))
    np.testing.assert_array_less(np.abs(equal.mean(axis=0) - expected) / spread, 0.01)
    assert len(equal) <= 40_000


def draws_of(seed: int) -> np.ndarray:
    posterior = quick_posterior(paper_design(), draws=200, seed=seed)
    return np.column_stack([values.reshape(posterior.n_draws, -1) for values in posterior.draws.values()])


def test_same_seed_same_draws_here_and_in_other_processes() -> None:
    np.testing.assert_array_equal(draws_of(1), draws_of(1))
    assert draws_of(1).shape != draws_of(2).shape or not np.array_equal(draws_of(1), draws_of(2))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        np.testing.assert_array_equal(pool.submit(draws_of, 1).result(), draws_of(1))


def test_a_seed_sequence_may_be_used_again() -> None:
    seed = np.random.SeedSequence(7).spawn(2)[1]
    first = quick_posterior(paper_design(), draws=200, seed=seed)
    again = quick_posterior(paper_design(), draws=200, seed=seed)
    np.testing.assert_array_equal(first.draws["b_trt"], again.draws["b_trt"])
    assert seed.n_children_spawned == 0
    assert first.record.settings["seed"] == "7 (1,)"


def without_a_fit_by_importance() -> tuple[QuickTrial, Priors]:
    """Separated outcomes and a prior that is next to none: the posterior is a long half-open ridge."""
    return next(trial for trial in TRIALS if trial.name.startswith("separation by age")), Priors(fixed_sd=100.0)


def fallen_back() -> QuickPosterior:
    """Fit that trial, and check that the posterior is NUTS's and that this is said."""
    trial, priors = without_a_fit_by_importance()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        posterior = quick_posterior(trial.design, priors=priors, draws=200, seed=1)
    [said] = [w for w in caught if issubclass(w.category, QuickFallbackWarning)]
    assert "k-hat is" in str(said.message)
    assert "NUTS takes the place" in str(said.message)
    assert posterior.by_nuts
    assert posterior.pareto_k > 0.7
    assert record_of(posterior.tree()).sampler == "nuts"
    return posterior


def test_where_importance_sampling_fails_a_fit_by_nuts_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision alone: an easy posterior stands in for what NUTS would have found."""
    asked: list[object] = []

    def stand_in(design: TrialDesign, *, priors: Priors, settings: object, **_: object) -> xr.DataTree:
        asked.extend([priors, settings])
        tree = fit(design, settings=IndependenceSettings(draws=250, chains=4, seed=1))
        replace(record_of(tree), sampler="nuts").attach(tree)
        return tree

    monkeypatch.setattr("hte_utils.model.quick_posterior.fit", stand_in)
    fallen_back()
    priors, settings = asked
    assert priors == without_a_fit_by_importance()[1]
    assert isinstance(settings, NutsSettings)
    assert settings.draws * settings.chains >= 200


@pytest.mark.slow
def test_where_importance_sampling_fails_nuts_takes_over_and_says_so() -> None:
    posterior = fallen_back()
    # The ridge: every patient with the event is older than every other, so that the effect of age has no upper limit.
    assert posterior.draws["b_prognostic"][:, 0].mean() > 50.0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"draws": 99}, ValueError, "draws must be at least 100, not 99"),
        ({"seed": None}, TypeError, "seed must be an integer or a numpy SeedSequence"),
        ({"seed": 1.5}, TypeError, "seed must be an integer or a numpy SeedSequence"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        quick_posterior(paper_design(), **({"seed": 1} | arguments))  # type: ignore[arg-type]


def test_a_table_is_no_design() -> None:
    with pytest.raises(TypeError, match=r"TrialDesign, not DataFrame: call spec.design"):
        quick_posterior(pd.DataFrame(), seed=1)  # type: ignore[arg-type]
