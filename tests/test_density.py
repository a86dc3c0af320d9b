"""The vectorised density against PyMC's model, and its likelihood against plain formulas."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paper_fits import paper_design

from hte_utils.model.density import Coordinates, SumsDensity, log_likelihood
from hte_utils.model.listing_2 import Priors, sums_model
from hte_utils.model.spec import PAPER_SPEC, TrialDesign
from hte_utils.trial import simulate_trial

ALL_OTHER = Priors(1.3, 2.5, 0.8, intercept_mean=-2.0, intercept_sd=0.7, interaction_scale=0.6)


def many_groups() -> TrialDesign:
    trial = simulate_trial(n_subjects=5000, seed=4)
    return PAPER_SPEC.design(trial.assign(gender=np.arange(5000) % 5))


def points(density: SumsDensity, size: int) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 0.7, (size, density.at.size))


def as_pymc_writes_it(row: np.ndarray, at: Coordinates) -> dict[str, np.ndarray]:
    point = {
        "alpha": row[at.alpha],
        "delta": row[at.delta],
        "b_prognostic": row[at.prognostic],
        "tau_re_log__": row[at.log_tau[0]],
        "tau_re_trt_log__": row[at.log_tau[1]],
    }
    if not at.has_scale:
        return point | {"b_interaction": row[at.interaction]}
    log_omega = row[at.log_scale]
    return point | {"sd_interaction_log__": log_omega, "standard_interaction": row[at.interaction] / np.exp(log_omega)}


@pytest.mark.parametrize("design", [paper_design, many_groups])
@pytest.mark.parametrize("priors", [Priors(), Priors(2.0, 3.0, 0.5), ALL_OTHER])
def test_equals_pymc_up_to_a_constant(design: object, priors: Priors) -> None:
    trial = design()  # type: ignore[operator]
    density = SumsDensity.of(trial, priors)
    at, rows = density.at, points(density, 100)  # more than one block of points
    compiled = sums_model(trial, priors).compile_logp(mode="FAST_COMPILE")
    by_pymc = [compiled(as_pymc_writes_it(row, at)) for row in rows[::12]]
    ours = density(rows)[::12]
    if at.has_scale:  # PyMC's coordinate is interaction / ω: the Jacobian of that
        ours = ours + at.n_modifiers * rows[::12, at.log_scale]
    np.testing.assert_allclose(ours - ours[0], np.array(by_pymc) - by_pymc[0], rtol=1e-9, atol=1e-8)


def test_a_point_does_not_depend_on_its_neighbours() -> None:
    density = SumsDensity.of(paper_design(), Priors())
    rows = points(density, 70)
    np.testing.assert_allclose(density(rows), [density(row[None, :])[0] for row in rows], rtol=1e-13)


@given(patients=st.integers(1, 70), points=st.integers(1, 70), spread=st.floats(0.01, 8.0), seed=st.integers(0, 999))
def test_equals_log_sum_exp(patients: int, points: int, spread: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    signed, coefficients = rng.normal(size=(patients, 3)), rng.normal(0.0, spread, (points, 3))
    expected = -np.logaddexp(0.0, signed @ coefficients.T).sum(axis=0)
    np.testing.assert_allclose(log_likelihood(signed, coefficients), expected, rtol=1e-12, atol=1e-13)


def test_more_than_a_block_of_patients() -> None:
    rng = np.random.default_rng(1)
    signed, coefficients = rng.normal(size=(5001, 2)), rng.normal(size=(40, 2))
    expected = -np.logaddexp(0.0, signed @ coefficients.T).sum(axis=0)
    np.testing.assert_allclose(log_likelihood(signed, coefficients), expected, rtol=1e-12)


@pytest.mark.parametrize("patients", [3, 160])
def test_impossible_points_have_likelihood_zero_and_no_warning(patients: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert log_likelihood(np.full((patients, 1), 1.0), np.array([[1e4]]))[0] == -np.inf


def test_impossible_points_have_density_zero_and_no_warning() -> None:
    density = SumsDensity.of(paper_design(), Priors())
    far = np.zeros((1, density.at.size))
    far[0, density.at.alpha] = 1e4
    assert density(far)[0] == -np.inf
