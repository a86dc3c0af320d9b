"""Listing 2: its priors, its two PyMC forms, and its draws by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from paper_fits import paper_design, paper_posterior
from quick_trials import points_of
from scipy import stats

from hte_utils.model.density import SumsDensity
from hte_utils.model.listing_2 import (
    NormalPrior,
    Priors,
    draw_split,
    listing2_draws,
    listing_model,
    posterior_tree,
    split_sums,
    sums_model,
    sums_of,
    table4_draws,
)


@pytest.mark.parametrize("groups", [2, 3, 7])
@pytest.mark.parametrize(("centre", "sd", "precision"), [(0.0, 1.0, 0.7), (-2.5, 2.0, 3.0), (4.0, 0.3, 0.05)])
def test_split_has_the_conditional_law_of_the_joint_normal(
    groups: int, centre: float, sd: float, precision: float
) -> None:
    # Joint covariance of (shared, sums), then the textbook conditional normal: no formula of priors.py is used.
    covariance_sums = np.full((groups, groups), sd**2) + np.eye(groups) / precision
    with_shared = np.full(groups, sd**2)
    sums = np.linspace(-2.0, 1.0, groups)
    mean = centre + with_shared @ np.linalg.solve(covariance_sums, sums - centre)
    variance = sd**2 - with_shared @ np.linalg.solve(covariance_sums, with_shared)

    size = 20_000
    shared, deviations = draw_split(
        np.tile(sums, (size, 1)), np.full(size, precision), NormalPrior(centre, sd), np.random.default_rng(1)
    )
    assert stats.kstest(shared, stats.norm(mean, np.sqrt(variance)).cdf).pvalue > 1e-3
    np.testing.assert_allclose(shared[:, None] + deviations, np.tile(sums, (size, 1)), atol=1e-12)


def test_splitting_simulated_sums_gives_the_prior_back() -> None:
    """Forward: shared, deviations -> sums. Backward: the split. The law of both must be the same."""
    rng, size, priors = np.random.default_rng(2), 20_000, Priors()
    precision = rng.gamma(priors.precision_shape, 1 / priors.precision_rate, size)
    shared = rng.normal(-1.0, 2.0, size)
    deviations = rng.normal(0, 1 / np.sqrt(precision)[:, None], (size, 3))
    shared, deviations = draw_split(shared[:, None] + deviations, precision, NormalPrior(-1.0, 2.0), rng)
    assert stats.kstest((shared + 1.0) / 2.0, "norm").pvalue > 1e-3
    assert stats.kstest(deviations[:, 0] * np.sqrt(precision), "norm").pvalue > 1e-3
    # independent again: the correlation of `size` independent pairs has SD 1/sqrt(size)
    assert abs(np.corrcoef(shared, deviations[:, 0])[0, 1]) < 4 / np.sqrt(size)


def test_who_gets_which_normal() -> None:
    assert Priors(fixed_sd=2.0).shared_intercept == NormalPrior(0.0, 2.0)
    priors = Priors(fixed_sd=2.0, intercept_mean=-3.0, intercept_sd=1.5)
    assert priors.shared_intercept == NormalPrior(-3.0, 1.5)
    assert priors.shared_effect == NormalPrior(0.0, 2.0)


@pytest.mark.parametrize("name", ["fixed_sd", "precision_shape", "precision_rate", "intercept_sd", "interaction_scale"])
@pytest.mark.parametrize("value", [0.0, -1, float("inf"), float("nan")])
def test_bad_priors_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Priors(**{name: value})


def test_an_intercept_mean_is_finite() -> None:
    assert Priors(intercept_mean=-3.0).shared_intercept.mean == -3.0
    with pytest.raises(ValueError, match="intercept_mean must be finite"):
        Priors(intercept_mean=float("nan"))


PRIORS = Priors(fixed_sd=1.5, precision_shape=2.5, precision_rate=0.8, intercept_mean=-2.0, intercept_sd=0.6)
SHRUNK = Priors(fixed_sd=1.5, interaction_scale=0.4)
Point = dict[str, np.ndarray]


@cache
def log_density(build: Callable[..., pm.Model], priors: Priors | None) -> Callable[[Point], float]:
    """Log density in the model's own coordinates (no Jacobian of transformations)."""
    # FAST_COMPILE: a handful of evaluations does not repay a compiler.
    model = build(paper_design(), priors)
    compiled = model.compile_logp(jacobian=False, mode="FAST_COMPILE")

    def evaluate(point: Point) -> float:
        inner = {f"{name}_log__" if name.startswith("tau") else name: value for name, value in point.items()}
        return float(compiled({n: np.log(v) if n.endswith("_log__") else np.asarray(v) for n, v in inner.items()}))

    return evaluate


def random_point(seed: int) -> Point:
    rng = np.random.default_rng(seed)
    return {
        "b_intercept": rng.normal(-2, 1),
        "b_trt": rng.normal(),
        "b_prognostic": rng.normal(size=5),
        "b_interaction": rng.normal(size=3),
        "tau_re": rng.gamma(2, 0.5),
        "tau_re_trt": rng.gamma(2, 0.5),
        "re": rng.normal(size=2),
        "re_trt": rng.normal(size=2),
    }


def listing_2_in_scipy(point: Point, priors: Priors) -> float:
    """Listing 2, line by line, in a language of its own."""
    d = paper_design()
    mu = (
        point["b_intercept"]
        + point["b_trt"] * d.treatment
        + (d.prognostic * point["b_prognostic"]).sum(axis=1)
        + (d.modifiers * point["b_interaction"]).sum(axis=1) * d.treatment
        + point["re"][d.group]
        + point["re_trt"][d.group] * d.treatment
    )
    total = stats.bernoulli.logpmf(d.outcome, stats.logistic.cdf(mu)).sum()
    intercept_sd = priors.intercept_sd or priors.fixed_sd
    total += stats.norm.logpdf(point["b_intercept"], priors.intercept_mean, intercept_sd)
    for name in ("b_trt", "b_prognostic", "b_interaction"):
        total += np.sum(stats.norm.logpdf(point[name], 0, priors.fixed_sd))
    for effects, tau in (("re", point["tau_re"]), ("re_trt", point["tau_re_trt"])):
        total += stats.norm.logpdf(point[effects], 0, tau**-0.5).sum()
        total += stats.gamma.logpdf(tau, priors.precision_shape, scale=1 / priors.precision_rate)
    return float(total)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("priors", [None, PRIORS])
def test_listing_model_is_listing_2(seed: int, priors: Priors | None) -> None:
    point = random_point(seed)
    expected = listing_2_in_scipy(point, priors or Priors())
    # PyTensor stores 0.8 in single precision, hence not 1e-12.
    np.testing.assert_allclose(log_density(listing_model, priors)(point), expected, rtol=1e-8)


@pytest.mark.parametrize("priors", [None, PRIORS])
def test_sums_model_is_listing_2_with_the_split_integrated_out(priors: Priors | None) -> None:
    """With the sums held fixed, integrate b_intercept and b_trt out of Listing 2 numerically."""
    point = random_point(7)
    alpha = point["b_intercept"] + point["re"]
    delta = point["b_trt"] + point["re_trt"]
    grid, step = np.linspace(-9.0, 9.0, 121, retstep=True)
    # The two integrals separate: neither prior knows of the other, and the likelihood sees the sums alone.
    reference = listing_2_in_scipy(point, priors or Priors())
    integrals = 0.0
    for shared, deviation, sums in (("b_intercept", "re", alpha), ("b_trt", "re_trt", delta)):
        relative = [
            listing_2_in_scipy(point | {shared: value, deviation: sums - value}, priors or Priors()) - reference
            for value in grid
        ]
        integrals += np.log(np.exp(relative).sum() * step)
    kept = {name: point[name] for name in ("b_prognostic", "b_interaction", "tau_re", "tau_re_trt")}
    marginal = log_density(sums_model, priors)(kept | {"alpha": alpha, "delta": delta})
    np.testing.assert_allclose(marginal, reference + integrals, rtol=1e-8)


@pytest.mark.parametrize("build", [listing_model, sums_model])
def test_interactions_are_normal_with_a_half_normal_scale(build: Callable[..., pm.Model]) -> None:
    model = build(paper_design(), SHRUNK)
    scale, interactions = pm.draw([model["sd_interaction"], model["b_interaction"]], 4000, random_seed=1)
    assert stats.kstest(scale / 0.4, stats.halfnorm.cdf).pvalue > 1e-3
    assert stats.kstest(interactions[:, 1] / scale, "norm").pvalue > 1e-3
    assert model.named_vars_to_dims["b_interaction"] == ("modifier",)


def test_every_quantity_is_labelled() -> None:
    model = listing_model(paper_design())
    assert model.coords["prognostic"] == ("age", "anticoag", "bmi", "diabetes", "prior")
    assert model.coords["modifier"] == ("age", "anticoag", "diabetes")
    assert model.coords["group"] == ("Male", "Female")
    assert model.named_vars_to_dims["te_group"] == ("group",)
    assert {v.name for v in model.free_RVs} == set(random_point(0))
    assert [v.name for v in model.deterministics] == ["te_group"]


# The rows of Table 4, in its order.
TABLE_4 = [
    *("b_age", "b_anticoag", "b_bmi", "b_diabetes", "b_intercept", "b_prior", "b_trt"),
    *("b_trt_age", "b_trt_anticoag", "b_trt_diabetes", "te_gender[1]", "te_gender[2]"),
]


def test_names_are_those_of_listing_2_and_table_4() -> None:
    assert list(table4_draws(paper_posterior()).data_vars) == TABLE_4
    others = {"re[1]", "re[2]", "re_trt[1]", "re_trt[2]", "tau_re", "tau_re_trt"}
    assert set(listing2_draws(paper_posterior()).data_vars) == {*TABLE_4, *others}


def test_each_name_points_at_its_label() -> None:
    draws, posterior = listing2_draws(paper_posterior()), paper_posterior()["posterior"]
    for name, variable, selection in (
        ("b_age", "b_prognostic", {"prognostic": "age"}),
        ("b_trt_diabetes", "b_interaction", {"modifier": "diabetes"}),
        ("re[1]", "re", {"group": "Male"}),
        ("re_trt[2]", "re_trt", {"group": "Female"}),
        ("te_gender[1]", "te_group", {"group": "Male"}),
        ("tau_re", "tau_re", {}),
    ):
        np.testing.assert_array_equal(draws[name], posterior[variable].sel(selection))
        assert draws[name].dims == ("chain", "draw")


def test_te_gender_is_the_sum_of_lines_47_to_50() -> None:
    draws = listing2_draws(paper_posterior())
    for group in (1, 2):
        np.testing.assert_allclose(draws[f"te_gender[{group}]"], draws["b_trt"] + draws[f"re_trt[{group}]"], atol=1e-12)


@pytest.mark.parametrize("priors", [Priors(), Priors(interaction_scale=0.5)])
def test_there_and_back(priors: Priors) -> None:
    at = SumsDensity.of(paper_design(), priors).at
    points = np.random.default_rng(1).normal(size=(2, 30, at.size))
    draws = split_sums(sums_of(points, at), priors, np.random.default_rng(2))
    np.testing.assert_allclose(points_of(draws, at), points, atol=1e-12)
    tree = posterior_tree(draws, xr.Dataset(), paper_design())
    assert ("sd_interaction" in tree["posterior"]) == at.has_scale
    assert tree["posterior"]["re"].dims == ("chain", "draw", "group")


def test_each_split_has_its_own_prior() -> None:
    """Over the prior, the shared parts that are drawn back have the law of those that were summed."""
    priors, n, rng = Priors(fixed_sd=0.7, intercept_mean=-2.0, intercept_sd=0.3), 20_000, np.random.default_rng(1)
    names = {"alpha": ("tau_re", priors.shared_intercept), "delta": ("tau_re_trt", priors.shared_effect)}
    sums = {"b_prognostic": np.zeros((n, 1)), "b_interaction": np.zeros((n, 1))}
    for name, (precision, prior) in names.items():
        tau = sums[precision] = rng.gamma(2.0, 0.5, n)
        sums[name] = rng.normal(prior.mean, prior.sd, (n, 1)) + rng.normal(size=(n, 2)) / np.sqrt(tau)[:, None]
    split = split_sums(sums, priors, rng)
    assert stats.kstest(split["b_intercept"], stats.norm(-2.0, 0.3).cdf).pvalue > 1e-3
    assert stats.kstest(split["b_trt"], stats.norm(0.0, 0.7).cdf).pvalue > 1e-3
