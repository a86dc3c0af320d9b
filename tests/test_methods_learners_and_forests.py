"""Meta-learners, causal forest and Bayesian causal forest."""

from __future__ import annotations

import numpy as np
import pytest
from comparator_trials import SAME_FOR_ALL, numbers_of, rng, trial_of, truth_of, with_events
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from hte_utils.methods import METHODS, EffectEstimates
from hte_utils.methods.learners_and_forests import BOOSTING, risk_draws, sampled_forest


def trial_effects(name: str, *trial: object) -> EffectEstimates:
    table = trial_of(*trial)
    return METHODS[name](table, [table], rng()).estimates[0]


class TestMetaLearners:
    def arms(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Covariates, and risks without and with treatment, by boosted trees of our own in each arm."""
        numbers = numbers_of()
        risks = []
        for arm in (0.0, 1.0):
            mine = numbers.treatment == arm
            model = HistGradientBoostingClassifier(**BOOSTING).fit(numbers.covariates[mine], numbers.outcome[mine])
            risks.append(model.predict_proba(numbers.covariates)[:, 1])
        return numbers.covariates, risks[0], risks[1]

    def test_t_learner_is_two_models(self) -> None:
        _, untreated, treated = self.arms()
        ours = trial_effects("t_learner")
        np.testing.assert_allclose(ours.baseline_risk, untreated, rtol=1e-12)
        np.testing.assert_allclose(ours.risk_difference.value, treated - untreated, atol=1e-12)
        odds_ratio = treated / (1 - treated) * (1 - untreated) / untreated
        np.testing.assert_allclose(np.exp(ours.log_odds_ratio.value), odds_ratio, rtol=1e-9)

    def test_s_learner_is_one_model(self) -> None:
        numbers = numbers_of()
        features = np.column_stack([numbers.covariates, 1 - numbers.treatment, numbers.treatment])
        model = HistGradientBoostingClassifier(**BOOSTING).fit(features, numbers.outcome)
        risks = []
        for arm in (0.0, 1.0):
            features[:, -2:] = 1 - arm, arm
            risks.append(model.predict_proba(features)[:, 1])
        ours = trial_effects("s_learner")
        np.testing.assert_allclose(ours.baseline_risk, risks[0], rtol=1e-12)
        np.testing.assert_allclose(ours.risk_difference.value, risks[1] - risks[0], atol=1e-12)

    def test_x_learner_by_its_definition(self) -> None:
        numbers = numbers_of()
        covariates, untreated, treated = self.arms()
        is_treated = numbers.treatment == 1.0
        from_controls = HistGradientBoostingRegressor(**BOOSTING).fit(
            covariates[~is_treated], (treated - numbers.outcome)[~is_treated]
        )
        from_treated = HistGradientBoostingRegressor(**BOOSTING).fit(
            covariates[is_treated], (numbers.outcome - untreated)[is_treated]
        )
        share = is_treated.mean()
        expected = share * from_controls.predict(covariates) + (1 - share) * from_treated.predict(covariates)
        np.testing.assert_allclose(trial_effects("x_learner").risk_difference.value, expected, atol=1e-12)

    def test_dr_learner_regresses_the_doubly_robust_scores(self) -> None:
        """With folds of its own the average is the scores', near the raw difference, whatever the trees see."""
        trial = trial_of()
        ours = trial_effects("dr_learner")
        rates = trial.groupby("treatment", observed=True)["event"].mean()
        assert ours.average_risk_difference.value == pytest.approx(rates["Treatment"] - rates["Control"], abs=0.006)
        assert ours.baseline_risk is None
        assert ours.log_odds_ratio is None

    @pytest.mark.parametrize("name", ["t_learner", "x_learner", "dr_learner"])
    def test_average_in_a_large_trial(self, name: str) -> None:
        ours, truth = trial_effects(name, 20_000, 1), truth_of(20_000, 1)
        # The standard error of a difference of two such rates is 0.003.
        assert ours.average_risk_difference.value == pytest.approx(truth.risk_difference.mean(), abs=0.01)
        assert np.corrcoef(ours.risk_difference.value, truth.risk_difference)[0, 1] > 0.6

    def test_s_learner_shrinks_a_constant_effect_towards_none(self) -> None:
        ours, truth = trial_effects("s_learner", 20_000, 2, SAME_FOR_ALL), truth_of(20_000, 2, SAME_FOR_ALL)
        assert 0.0 < ours.average_risk_difference.value < truth.risk_difference.mean() + 0.006

    @pytest.mark.parametrize("name", ["t_learner", "x_learner"])
    def test_an_arm_without_events(self, name: str) -> None:
        trial = trial_of(200, 3)
        treated = np.flatnonzero(trial["treatment"] == "Treatment")[:5].tolist()
        with pytest.raises(ValueError, match="control arm has no event"):
            METHODS[name](with_events(trial, treated), [trial], rng())


class TestCausalForest:
    def test_effects_and_intervals_of_the_paper_trial(self) -> None:
        trial = trial_of()
        ours = METHODS["causal_forest"](trial, [trial, trial.iloc[:50]], rng())
        whole, part = ours.estimates
        rates = trial.groupby("treatment", observed=True)["event"].mean()
        raw = rates["Treatment"] - rates["Control"]
        # Doubly robust: near the raw difference, and as certain as that (its standard error is 0.0103).
        assert whole.average_risk_difference.value == pytest.approx(raw, abs=0.004)
        width = whole.average_risk_difference.upper - whole.average_risk_difference.lower
        assert width == pytest.approx(2 * 1.96 * 0.0103, rel=0.1)
        np.testing.assert_array_equal(part.risk_difference.value, whole.risk_difference.value[:50])
        assert part.average_risk_difference.value == pytest.approx(part.risk_difference.value.mean())
        assert whole.baseline_risk is None
        assert whole.log_odds_ratio is None

    def test_another_seed_gives_another_forest(self) -> None:
        trial = trial_of(500)
        one, other = (METHODS["causal_forest"](trial, [trial], rng(seed)).estimates[0] for seed in (1, 2))
        assert not np.array_equal(one.risk_difference.value, other.risk_difference.value)

    def test_fewer_events_than_folds(self) -> None:
        trial = with_events(trial_of(200, 3), [5, 60, 120])
        with pytest.raises(ValueError, match="5 patients with the event"):
            METHODS["causal_forest"](trial, [trial], rng())

    @pytest.mark.slow
    def test_finds_effects_in_a_large_trial(self) -> None:
        ours, truth = trial_effects("causal_forest", 20_000, 1), truth_of(20_000, 1)
        average = ours.average_risk_difference
        assert average.lower < truth.risk_difference.mean() < average.upper
        assert np.corrcoef(ours.risk_difference.value, truth.risk_difference)[0, 1] > 0.7


class TestBayesianCausalForest:
    def test_risks_are_those_the_library_predicts(self) -> None:
        numbers = numbers_of(500)
        model = sampled_forest(numbers, 3)
        risks = risk_draws(model, numbers.covariates[:20])
        for arm, ours in enumerate(risks):
            theirs = model.predict(
                X=numbers.covariates[:20],
                Z=np.full(20, float(arm)),
                type="posterior",
                terms="y_hat",
                scale="probability",
            )
            np.testing.assert_allclose(ours, theirs, atol=1e-12)

    @pytest.mark.slow
    def test_paper_trial(self) -> None:
        trial, truth = trial_of(), truth_of()
        result = METHODS["bcf"](trial, [trial], rng())
        ours = result.estimates[0]
        rates = trial.groupby("treatment", observed=True)["event"].mean()
        error = result.notes["mcse_average"]
        assert error < 0.005
        raw = rates["Treatment"] - rates["Control"]
        assert ours.average_risk_difference.value == pytest.approx(raw, abs=0.006 + 4 * error)
        assert np.corrcoef(ours.risk_difference.value, truth.risk_difference)[0, 1] > 0.4
        assert (ours.risk_difference.lower < ours.risk_difference.value).all()
