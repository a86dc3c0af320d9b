"""The fast function is scipy's, all replicates at once give what statsmodels gives one at a time, tests are R's."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from comparator_trials import numbers_of, trial_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit
from scipy.stats import kstest
from statsmodels.formula.api import logit

from hte_utils.effects.logistic import (
    COVARIATES,
    LikelihoodRatioTest,
    TrialNumbers,
    all_interactions,
    expit_in_place,
    fit_replicates,
    interactions_one_at_a_time,
    listing_2_interactions,
    risk_interaction,
)
from hte_utils.model.spec import PAPER_SPEC
from hte_utils.trial import simulate_trial


def test_each_group_but_the_first_has_a_column():
    trial = trial_of(500)
    spec = replace(PAPER_SPEC, group="site")
    sites = np.resize(["A", "B", "C"], len(trial))
    numbers = TrialNumbers.of(trial.assign(site=pd.Categorical(sites)), spec)
    np.testing.assert_array_equal(numbers.covariates[:, -2:], np.column_stack([sites == "B", sites == "C"]))
    assert numbers.covariates.shape[1] == len(spec.prognostic) + 2


@given(arrays(np.float64, st.integers(1, 20), elements=st.floats(-700.0, 700.0)))
def test_it_is_scipys_function_up_to_rounding(log_odds):
    np.testing.assert_allclose(expit_in_place(log_odds.copy()), expit(log_odds), rtol=1e-14)


def test_the_array_itself_is_used():
    given_array = np.array([[0.0, 1.0], [-2.0, 3.0]])
    assert expit_in_place(given_array) is given_array
    assert given_array[0, 0] == 0.5


def _data(seed: int, n: int = 300):
    rng = np.random.default_rng(seed)
    columns = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    outcome = (rng.random(n) < 1 / (1 + np.exp(1 - columns[:, 1]))).astype(float)
    return rng, columns, outcome


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15)
def test_weighted_fits_equal_statsmodels(seed) -> None:
    rng, columns, outcome = _data(seed)
    weights = rng.multinomial(300, np.full(300, 1 / 300), size=4).astype(float)
    offset = rng.normal(size=300)
    found = fit_replicates(columns, outcome, offset=offset, weights=weights)
    for row, weight in zip(found, weights, strict=True):
        theirs = sm.GLM(outcome, columns, family=sm.families.Binomial(), offset=offset, freq_weights=weight).fit()
        np.testing.assert_allclose(row, theirs.params, atol=1e-6)


def test_each_replicate_may_have_its_own_outcomes() -> None:
    _, columns, first = _data(1)
    _, _, second = _data(2)
    both = fit_replicates(columns, np.stack([first, second]))
    np.testing.assert_allclose(both[0], fit_replicates(columns, first)[0], atol=1e-8)
    np.testing.assert_allclose(both[1], fit_replicates(columns, second)[0], atol=1e-8)


def test_probabilities_in_place_of_outcomes_give_back_the_model() -> None:
    _, columns, _ = _data(3)
    truth = np.array([-2.0, 1.0, 0.5])
    probability = 1 / (1 + np.exp(-columns @ truth))
    np.testing.assert_allclose(fit_replicates(columns, probability)[0], truth, atol=1e-7)


def test_separation_and_collinearity_are_nan() -> None:
    x = np.linspace(-1, 1, 50)
    columns = np.column_stack([np.ones(50), x])
    assert np.isnan(fit_replicates(columns, (x > 0).astype(float))).all()
    doubled = np.column_stack([columns, x])
    outcome = np.tile([0.0, 1.0], 25)
    assert np.isnan(fit_replicates(doubled, outcome)).all()
    assert np.isfinite(fit_replicates(columns, outcome)).all()


IN_R = r"""
trial <- read.csv("{path}")
x <- as.matrix(trial[, 1:8]); t <- trial$treatment; y <- trial$outcome
tight <- glm.control(epsilon = 1e-12)
constant <- glm(y ~ t + x, family = binomial, control = tight)
full <- glm(y ~ t * x, family = binomial, control = tight)
single <- lapply(1:8, function(k) glm(y ~ t + x + I(t * x[, k]), family = binomial, control = tight))
p <- sapply(single, function(model) anova(constant, model, test = "LRT")[2, "Pr(>Chi)"])
lp <- predict(glm(y ~ x, family = binomial, control = tight))
path <- anova(glm(y ~ t + lp, family = binomial, control = tight), glm(y ~ t * lp, family = binomial, control = tight),
  test = "LRT")
overall <- anova(constant, full, test = "LRT")
cat(format(c(overall[2, "Pr(>Chi)"], overall[2, "Deviance"], path[2, "Pr(>Chi)"],
  sapply(single, function(m) coef(m)[11]), p, p.adjust(p, "holm")), digits = 15), "\n")
"""


@pytest.mark.r
def test_against_r(tmp_path) -> None:
    numbers, path = numbers_of(), tmp_path / "trial.csv"
    columns = np.column_stack([numbers.covariates, numbers.treatment, numbers.outcome])
    header = ",".join([*COVARIATES, "treatment", "outcome"])
    np.savetxt(path, columns, delimiter=",", header=header, comments="", fmt="%.17g")
    script = IN_R.replace("{path}", str(path))
    done = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, check=True)
    overall, deviance, path_p, *others = np.array(done.stdout.split(), dtype=float)
    interaction, p_value, holm = np.split(np.array(others), 3)
    together, table = all_interactions(trial_of()), interactions_one_at_a_time(trial_of())
    assert together.p_value == pytest.approx(overall, rel=1e-6)
    assert together.statistic == pytest.approx(deviance, rel=1e-6)
    assert risk_interaction(trial_of()).p_value == pytest.approx(path_p, rel=1e-6)
    np.testing.assert_allclose(table["interaction"], interaction, rtol=1e-5)
    np.testing.assert_allclose(table["p_value"], p_value, rtol=1e-6)
    np.testing.assert_allclose(table["p_holm"], holm, rtol=1e-6)
    assert list(table.index) == list(COVARIATES)


def test_p_values_are_uniform_if_one_odds_ratio_holds_for_all() -> None:
    trial, random = trial_of(), np.random.default_rng(1)
    risk = 0.15 * np.exp(0.4 * (trial["treatment"] == "Treatment"))
    p_values = [all_interactions(trial.assign(event=random.binomial(1, risk / (1 + risk)))).p_value for _ in range(60)]
    assert kstest(p_values, "uniform").pvalue > 0.001


def test_a_large_trial_finds_the_heterogeneity() -> None:
    trial = trial_of(20_000, 1)
    assert all_interactions(trial).p_value < 1e-6
    assert risk_interaction(trial).p_value < 1e-6
    assert interactions_one_at_a_time(trial).loc["age", "interaction"] == pytest.approx(0.6, abs=0.15)  # 0.05 a year


def test_published_quantile_of_chi_squared() -> None:
    assert LikelihoodRatioTest(3.841458820694124, 1).p_value == pytest.approx(0.05)


def test_listing_2s_interactions_against_statsmodels() -> None:
    """On the paper's trial: the terms of Listing 2 by formula, with and without their interactions."""
    trial = simulate_trial(2000, 123)
    main = "event ~ age + anticoagulant + bmi + diabetes + prior_bleeding + gender + treatment"
    crossed = " + treatment:(age + anticoagulant + diabetes + gender)"
    smaller, larger = (logit(formula, trial).fit(disp=0, maxiter=100).llf for formula in (main, main + crossed))
    found = listing_2_interactions(trial)
    assert found.statistic == pytest.approx(2 * (larger - smaller), abs=1e-5)
    assert found.df == 4
    assert found.p_value == pytest.approx(0.176, abs=5e-4)
