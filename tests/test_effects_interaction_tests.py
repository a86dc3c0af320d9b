"""The tests of heterogeneity, against R's anova and p.adjust, and under the null hypothesis."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from comparator_trials import numbers_of, trial_of
from scipy.stats import kstest
from statsmodels.formula.api import logit

from hte_utils.effects.interaction_tests import (
    LikelihoodRatioTest,
    all_interactions,
    interactions_one_at_a_time,
    listing_2_interactions,
    risk_interaction,
)
from hte_utils.effects.logistic import COVARIATES
from hte_utils.trial import simulate_trial

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
