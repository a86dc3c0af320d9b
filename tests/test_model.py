"""The two PyMC forms against SciPy's densities, and against each other."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pymc as pm
import pytest
from paper_fits import paper_design
from scipy import stats

from hte_utils.model.listing_2 import Priors, listing_model, sums_model

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
