"""The described model's pieces: subgroups, priors, the two readings of equation (8), and its PyMC form."""

from __future__ import annotations

import numpy as np
import pytest
from described_fits import paper_trial, small_trial
from scipy import special, stats

from hte_utils.audit.described_model import DescribedPriors, Reading, described_model, layout_of, paper_subgroups
from hte_utils.trial import simulate_trial


def test_subgroups_cross_age_and_anticoagulant():
    trial = simulate_trial()
    found = paper_subgroups(trial)
    assert len(found.categories) == 4
    for k, label in enumerate(found.categories):
        here = trial[found.codes == k]
        assert ((here["age"] >= 60) == label.startswith("60 or older")).all()
        assert ((here["anticoagulant"] == "No") == label.endswith("no anticoagulant")).all()
    exactly_sixty = found.codes[(trial["age"] == 60.0).to_numpy()]
    assert exactly_sixty.size
    assert (exactly_sixty >= 2).all()


def test_subgroups_are_checked():
    trial = simulate_trial(100)
    with pytest.raises(ValueError, match="needs patients"):
        paper_subgroups(trial[trial["age"] < 50])
    for name in ("age", "anticoagulant"):
        with pytest.raises(ValueError, match=rf"column '{name}' is missing .* \(index 3\)"):
            paper_subgroups(trial.assign(**{name: trial[name].where(trial.index != 3)}))


@pytest.mark.parametrize("reading", list(Reading))
def test_layouts_are_equation_8(reading):
    design, subgroups = paper_trial()
    layout = layout_of(design, subgroups, reading, DescribedPriors(fixed_sd=3.0, mean_sd=2.0))
    rng = np.random.default_rng(1)
    beta_0, beta_1, beta, tau = 0.4, -0.3, rng.normal(size=5), rng.normal(size=4)
    population = beta_0 + beta_1 * design.treatment + design.prognostic @ beta
    if reading is Reading.LITERAL:
        expected = population + 2 * tau[subgroups.codes]  # tau_k[i], and the mean of eta_i
        coefficients = [*(beta_0 + 2 * tau), beta_1, *beta]
        assert layout.shared_sd == pytest.approx(5.0)  # sqrt(3² + (2 * 2)²)
        assert layout.deviates.all()
    else:
        expected = population + design.treatment * tau[subgroups.codes]
        coefficients = [*(beta_1 + tau), beta_0, *beta]
        assert layout.shared_sd == pytest.approx(np.sqrt(13))
        np.testing.assert_array_equal(layout.deviates, design.treatment == 1)
    np.testing.assert_allclose(layout.rows @ coefficients, expected)


def test_under_the_literal_reading_treatment_does_the_same_to_everybody():
    design, subgroups = paper_trial()
    layout = layout_of(design, subgroups, Reading.LITERAL, DescribedPriors())
    treated = design.treatment == 1
    column = layout.n_subgroups + layout.fixed_labels.index("treatment")
    assert (layout.rows[treated, column] == 1).all()
    assert (layout.rows[~treated, column] == 0).all()
    others = np.delete(layout.rows, column, axis=1)
    same = np.hstack([np.eye(4)[subgroups.codes], design.prognostic])
    np.testing.assert_array_equal(others, same)  # nothing else knows the arm


@pytest.mark.parametrize("reading", list(Reading))
def test_the_pymc_form_is_the_text_s(reading):
    """Its joint log density, against the equations written out with SciPy."""
    design, subgroups = small_trial()
    priors = DescribedPriors(0.9, 1.1, 0.7, 0.6)
    model = described_model(design, subgroups, reading, priors)
    rng = np.random.default_rng(2)
    point = {
        name: rng.normal(size=shape)
        for name, shape in {
            "beta_0": (),
            "beta_1": (),
            "beta": 5,
            "mu_tau": (),
            "z": 4,
            "epsilon": design.n_patients,
        }.items()
    }
    sigma_tau, sigma_eta = 0.5, 1.4
    tau = point["mu_tau"] + sigma_tau * point["z"]
    eta = tau[subgroups.codes] + sigma_eta * point["epsilon"]
    log_odds = point["beta_0"] + point["beta_1"] * design.treatment + design.prognostic @ point["beta"]
    log_odds = log_odds + (design.treatment * eta if reading is Reading.CHARITABLE else tau[subgroups.codes] + eta)
    expected = stats.bernoulli.logpmf(design.outcome, special.expit(log_odds)).sum()
    expected += sum(stats.norm.logpdf(point[name], 0, 0.9).sum() for name in ("beta_0", "beta_1", "beta"))
    expected += stats.norm.logpdf(point["mu_tau"], 0, 1.1) + stats.norm.logpdf(point["z"]).sum()
    expected += stats.norm.logpdf(point["epsilon"]).sum()
    expected += stats.halfnorm.logpdf(sigma_tau, scale=0.7) + stats.halfnorm.logpdf(sigma_eta, scale=0.6)
    logs = {"sigma_tau_log__": np.log(sigma_tau), "sigma_eta_log__": np.log(sigma_eta)}
    found = model.compile_logp(jacobian=False, mode="FAST_COMPILE")(point | logs)
    assert found == pytest.approx(expected, rel=1e-9)
