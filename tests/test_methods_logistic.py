"""The logistic methods against statsmodels' own margins, R's glm, closed forms, and the truth in large trials."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
import statsmodels.api as sm
from comparator_trials import LINEAR, SAME_FOR_ALL, numbers_of, rng, trial_of, truth_of, with_events
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import chi2

from hte_utils.effects.logistic import (
    COVARIATES,
    TrialNumbers,
    all_interactions,
    fit_logistic,
    interaction_terms,
    is_separated,
    listing_2_interactions,
    main_effect_terms,
    risk_interaction,
)
from hte_utils.methods import METHODS, EffectEstimates
from hte_utils.methods.logistic import firth_coefficients, inverse_information
from hte_utils.model.spec import PAPER_SPEC

Z = 1.959963984540054

IN_R = r"""
trial <- read.csv("{path}")
x <- as.matrix(trial[, 1:8]); t <- trial$treatment; y <- trial$outcome
full <- glm(y ~ t * x, family = binomial, control = glm.control(epsilon = 1e-12))
design <- function(arm) cbind(1, arm, x, arm * x)
p1 <- plogis(design(1) %*% coef(full)); p0 <- plogis(design(0) %*% coef(full))
gradient <- as.vector(p1 * (1 - p1)) * design(1) - as.vector(p0 * (1 - p0)) * design(0)
se <- sqrt(rowSums((gradient %*% vcov(full)) * gradient))
mean_gradient <- colMeans(gradient)
risk <- glm(y ~ x, family = binomial, control = glm.control(epsilon = 1e-12))
lp <- predict(risk)
path <- glm(y ~ t * lp, family = binomial, control = glm.control(epsilon = 1e-12))
lor <- coef(path)["t"] + coef(path)["t:lp"] * lp
cat(format(c(mean(p1 - p0), sqrt(t(mean_gradient) %*% vcov(full) %*% mean_gradient), (p1 - p0)[1:5], se[1:5], lor[1:5]),
  digits = 15), "\n")
"""


def trial_effects(name: str, *trial: object) -> EffectEstimates:
    table = trial_of(*trial)
    return METHODS[name](table, [table], rng()).estimates[0]


def test_constant_against_the_margins_of_statsmodels() -> None:
    numbers = numbers_of()
    ours = trial_effects("constant")
    logit = sm.Logit(numbers.outcome, main_effect_terms(numbers.covariates, numbers.treatment)).fit(disp=0)
    margins = logit.get_margeff(at="overall", dummy=True)
    assert ours.average_risk_difference.value == pytest.approx(margins.margeff[0], rel=1e-6)
    half_width = (ours.average_risk_difference.upper - ours.average_risk_difference.lower) / 2
    assert half_width == pytest.approx(Z * margins.margeff_se[0], rel=1e-5)
    assert ours.log_odds_ratio.value[0] == pytest.approx(logit.params[1], rel=1e-5)
    assert ours.log_odds_ratio.upper[0] == pytest.approx(logit.conf_int()[1, 1], rel=1e-5)


@pytest.mark.r
def test_interactions_and_path_against_r(tmp_path) -> None:
    numbers = numbers_of()
    path = tmp_path / "trial.csv"
    columns = np.column_stack([numbers.covariates, numbers.treatment, numbers.outcome])
    header = ",".join([*COVARIATES, "treatment", "outcome"])
    np.savetxt(path, columns, delimiter=",", header=header, comments="", fmt="%.17g")
    script = IN_R.replace("{path}", str(path))
    done = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, check=True)
    average, average_se, *others = np.array(done.stdout.split(), dtype=float)
    difference, se, path_ratio = np.split(np.array(others), 3)
    ours = trial_effects("interactions_ml")
    assert ours.average_risk_difference.value == pytest.approx(average, rel=1e-7)
    assert ours.average_risk_difference.upper == pytest.approx(average + Z * average_se, rel=1e-6)
    np.testing.assert_allclose(ours.risk_difference.value[:5], difference, rtol=1e-6)
    np.testing.assert_allclose(ours.risk_difference.lower[:5], difference - Z * se, rtol=1e-5)
    np.testing.assert_allclose(trial_effects("path").log_odds_ratio.value[:5], path_ratio, rtol=1e-6)


def test_individual_risk_difference_gradient_by_finite_differences() -> None:
    numbers = numbers_of(500)
    ours = trial_effects("interactions_ml", 500)
    fitted = fit_logistic(interaction_terms(numbers.covariates, numbers.treatment), numbers.outcome)
    untreated, treated = (interaction_terms(numbers.covariates[:4], arm) for arm in (0.0, 1.0))

    def difference(coefficients: np.ndarray) -> np.ndarray:
        risks = [1 / (1 + np.exp(-terms @ coefficients)) for terms in (untreated, treated)]
        return risks[1] - risks[0]

    step = 1e-6 * np.eye(fitted.coefficients.size)
    gradient = np.array(
        [(difference(fitted.coefficients + h) - difference(fitted.coefficients - h)) / 2e-6 for h in step]
    ).T
    se = np.sqrt(np.diag(gradient @ fitted.covariance @ gradient.T))
    expected = np.minimum(difference(fitted.coefficients) + Z * se, 1.0)
    np.testing.assert_allclose(ours.risk_difference.upper[:4], expected, rtol=1e-5)


class TestFirth:
    def test_two_by_two_table_has_a_closed_form(self) -> None:
        # With a saturated model the penalty adds one half to each cell (Firth 1993), even to an empty one.
        events, n = np.array([0, 7]), np.array([20, 30])
        arm = np.repeat([0.0, 1.0], n)
        outcome = np.concatenate([np.arange(k) < e for k, e in zip(n, events, strict=True)]).astype(float)
        terms = np.column_stack([np.ones(arm.size), arm])
        found, converged = firth_coefficients(terms, outcome)
        log_odds = np.log((events + 0.5) / (n - events + 0.5))
        assert converged
        np.testing.assert_allclose(found, [log_odds[0], log_odds[1] - log_odds[0]], rtol=1e-5)
        risk = (events + 0.5) / (n + 1.0)
        variance = 1 / (n * risk * (1 - risk))
        np.testing.assert_allclose(
            inverse_information(found, terms).diagonal(), [variance[0], variance.sum()], rtol=1e-4
        )

    def test_mean_predicted_risk_is_the_observed_rate(self) -> None:
        trial, ours = trial_of(500), trial_effects("interactions_firth", 500)
        treated = (trial["treatment"] == "Treatment").to_numpy()
        predicted = ours.baseline_risk + np.where(treated, ours.risk_difference.value, 0.0)
        assert predicted.mean() == pytest.approx(trial["event"].mean(), rel=1e-7)

    def test_is_maximum_likelihood_in_a_large_trial(self) -> None:
        firth, likelihood = (trial_effects(f"interactions_{name}", 20_000, 1) for name in ("firth", "ml"))
        np.testing.assert_allclose(firth.log_odds_ratio.value, likelihood.log_odds_ratio.value, atol=0.02)


class TestLargeTrials:
    @pytest.mark.parametrize("name", ["interactions_ml", "interactions_firth"])
    def test_recovers_the_truth_where_the_model_is_right(self, name: str) -> None:
        truth, ours = truth_of(20_000, 1, LINEAR), trial_effects(name, 20_000, 1, LINEAR)
        average = ours.average_risk_difference
        assert average.lower < truth.risk_difference.mean() < average.upper
        assert np.sqrt(np.mean(np.square(ours.risk_difference.value - truth.risk_difference))) < 0.015
        assert np.corrcoef(ours.log_odds_ratio.value, truth.treatment_effect)[0, 1] > 0.96
        inside = (ours.log_odds_ratio.lower <= truth.treatment_effect) & (
            truth.treatment_effect <= ours.log_odds_ratio.upper
        )
        assert inside.mean() > 0.8

    @pytest.mark.parametrize("name", ["constant", "path", "interactions_ml", "interactions_firth"])
    def test_one_odds_ratio_for_all(self, name: str) -> None:
        ours = trial_effects(name, 20_000, 2, SAME_FOR_ALL)
        # The standard error of the log odds ratio is some 0.06 at this size.
        assert ours.log_odds_ratio.value.mean() == pytest.approx(0.4, abs=0.18)
        expected = truth_of(20_000, 2, SAME_FOR_ALL).risk_difference
        assert np.sqrt(np.mean(np.square(ours.risk_difference.value - expected))) < 0.02

    def test_path_finds_that_effects_rise_with_risk(self) -> None:
        ours = trial_effects("path", 20_000, 1)
        truth = truth_of(20_000, 1)
        assert np.corrcoef(ours.log_odds_ratio.value, np.log(truth.baseline_risk))[0, 1] > 0.8
        assert np.corrcoef(ours.risk_difference.value, truth.risk_difference)[0, 1] > 0.6


class TestAwkwardTrials:
    def separated(self) -> object:
        """200 patients, five events, none of them among smokers: two interactions and a main effect run to infinity."""
        trial = trial_of(400, 3)
        nonsmokers = np.flatnonzero(trial["smoking"] == "No")
        return with_events(trial, nonsmokers[[3, 30, 90, 150, 200]].tolist())

    def test_separation_is_noted_and_makes_intervals_useless(self) -> None:
        trial = self.separated()
        result = METHODS["interactions_ml"](trial, [trial], rng())
        assert result.notes["separation"] == 1.0
        width = result.estimates[0].log_odds_ratio.upper - result.estimates[0].log_odds_ratio.lower
        assert np.median(width) > 100.0

    def test_firth_stays_finite_and_says_nothing(self) -> None:
        trial = self.separated()
        result = METHODS["interactions_firth"](trial, [trial], rng())
        assert dict(result.notes) == {}
        assert np.abs(result.estimates[0].log_odds_ratio.value).max() < 20.0

    @pytest.mark.parametrize("name", ["constant", "path", "interactions_ml"])
    def test_complete_separation(self, name: str) -> None:
        trial = trial_of(200, 3)
        trial = trial.assign(event=(trial["age"] > 65).astype(int))
        result = METHODS[name](trial, [trial], rng())
        assert result.notes["separation"] == 1.0
        assert np.isfinite(result.estimates[0].risk_difference.value).all()

    def test_no_false_alarm(self) -> None:
        assert "separation" not in METHODS["interactions_ml"](trial_of(), [trial_of()], rng()).notes

    def test_separation_in_one_covariate(self) -> None:
        x = np.array([1.0, 2, 3, 4, 5, 6])
        terms = np.column_stack([np.ones(6), x])
        assert is_separated(terms, (x > 3).astype(float))
        assert not is_separated(terms, np.array([0.0, 1, 0, 1, 0, 1]))

    @pytest.mark.parametrize("name", ["interactions_ml", "interactions_firth"])
    def test_a_risk_factor_in_one_arm_only(self, name: str) -> None:
        trial = trial_of(500)
        controls = trial["treatment"] == "Control"
        prior = trial["prior_bleeding"].mask(controls, "No")
        trial = trial.assign(prior_bleeding=prior.astype(trial["prior_bleeding"].dtype))
        with pytest.raises(ValueError, match="17 of the model's 18 terms"):
            METHODS[name](trial, [trial], rng())


LISTING_2_TRIAL = trial_of(1500, 11)
DESIGN = PAPER_SPEC.design(LISTING_2_TRIAL)


def listing_2_columns(arm: np.ndarray, *, gender: bool) -> np.ndarray:
    parts = [np.ones(arm.size), arm, DESIGN.prognostic, arm[:, None] * DESIGN.modifiers]
    return np.column_stack([*parts, DESIGN.group, arm * DESIGN.group] if gender else parts)


def listing_2_estimates(name: str):
    return METHODS[name](LISTING_2_TRIAL, [LISTING_2_TRIAL], np.random.default_rng(1)).estimates[0]


@pytest.mark.parametrize(("name", "gender"), [("listing_2_ml", True), ("listing_2_ml_no_gender", False)])
def test_listing_2s_terms_by_statsmodels(name, gender):
    fitted = sm.GLM(
        DESIGN.outcome, listing_2_columns(DESIGN.treatment, gender=gender), family=sm.families.Binomial()
    ).fit()
    untreated, treated = (listing_2_columns(np.full(1500, arm), gender=gender) for arm in (0.0, 1.0))
    found = listing_2_estimates(name)
    assert found.log_odds_ratio.value == pytest.approx((treated - untreated) @ fitted.params, rel=1e-6)
    assert found.baseline_risk == pytest.approx(fitted.predict(untreated), rel=1e-6)
    assert found.risk_difference.value == pytest.approx(fitted.predict(treated) - fitted.predict(untreated), abs=1e-8)
    assert found.log_odds_ratio.lower is not None


def test_the_mode_of_listing_2s_terms_is_that_of_the_posterior():
    terms = listing_2_columns(DESIGN.treatment, gender=False)

    def minus_log_posterior(b: np.ndarray) -> float:
        return float(np.logaddexp(0.0, terms @ b).sum() - DESIGN.outcome @ (terms @ b) + 0.5 * b @ b)

    mode = minimize(minus_log_posterior, np.zeros(terms.shape[1]), method="BFGS", options={"gtol": 1e-7}).x
    found = listing_2_estimates("listing_2_ridge")
    untreated = listing_2_columns(np.zeros(1500), gender=False)
    assert found.baseline_risk == pytest.approx(expit(untreated @ mode), rel=1e-4)
    assert found.risk_difference.lower is None


def test_interactions_are_tested_against_none() -> None:
    """Beside the tests of chapter 12; and one written out with statsmodels' other likelihood."""
    trial = trial_of()
    found = {
        name: METHODS[name](trial, [trial], rng()).notes.get("interaction_p")
        for name in ("interactions_ml", "listing_2_ml", "listing_2_ml_no_gender", "path", "constant")
    }
    assert found["interactions_ml"] == pytest.approx(all_interactions(trial).p_value, rel=1e-9)
    assert found["listing_2_ml"] == pytest.approx(listing_2_interactions(trial).p_value, rel=1e-9)
    assert found["path"] == pytest.approx(risk_interaction(trial).p_value, rel=1e-9)
    assert found["constant"] is None
    numbers = TrialNumbers.of(trial, PAPER_SPEC)
    without = numbers.covariates[:, :-1]
    products = numbers.treatment[:, None] * without[:, PAPER_SPEC.modifier_index]
    small = np.column_stack([np.ones(len(without)), numbers.treatment, without])
    both = [sm.Logit(numbers.outcome, terms).fit(disp=0).llf for terms in (small, np.hstack([small, products]))]
    assert found["listing_2_ml_no_gender"] == pytest.approx(chi2.sf(2.0 * (both[1] - both[0]), 3), rel=1e-6)
