from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pymc as pm
import pytest
from comparator_trials import SAME_FOR_ALL, rng, trial_of, with_events
from paper_fits import paper_design, paper_posterior
from scipy import stats
from scipy.special import expit, logit

from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.methods import METHODS
from hte_utils.methods.bayesian import horseshoe_model
from hte_utils.methods.learners_and_forests import effects_from_risk_draws, monte_carlo_notes
from hte_utils.model.fit import FitWarning, IndependenceSettings
from hte_utils.model.quick_posterior import QuickFallbackWarning, QuickPosterior, quick_posterior


class TestAgainstAnIndependentRun:
    """Other draws of the same posterior, through the functions of the paper's chapters."""

    @pytest.mark.parametrize(
        ("name", "group_effects"),
        [("paper_way", GroupEffects.LEFT_OUT), ("paper_corrected", GroupEffects.INCLUDED)],
    )
    def test_effects_and_risks(self, name: str, group_effects: GroupEffects) -> None:
        trial, design = trial_of(), paper_design()
        ours = METHODS[name](trial, [trial], rng()).estimates[0]
        posterior = paper_posterior(IndependenceSettings(draws=1000, chains=2, seed=99))
        for scale, found in (
            (EffectScale.LOG_ODDS_RATIO, ours.log_odds_ratio),
            (EffectScale.RISK_DIFFERENCE, ours.risk_difference),
        ):
            draws = cate_draws(posterior, design, scale=scale, group_effects=group_effects)
            spread = draws.std(["chain", "draw"]).to_numpy()
            # Two runs of about 1000 and 2000 effective draws: means within some 5 standard errors, ends within 4.
            assert (np.abs(found.value - draws.mean(["chain", "draw"]).to_numpy()) < 0.25 * spread).all()
            lower = draws.quantile(0.025, ["chain", "draw"]).to_numpy()
            assert np.median(np.abs(found.lower - lower) / spread) < 0.35
        risk = baseline_risk_draws(posterior, design, group_effects=group_effects)
        spread = risk.std(["chain", "draw"]).to_numpy()
        assert (np.abs(ours.baseline_risk - risk.mean(["chain", "draw"]).to_numpy()) < 0.25 * spread).all()

    def test_the_papers_way_has_the_papers_risks(self) -> None:
        trial = trial_of()
        way, corrected = (
            METHODS[name](trial, [trial], rng()).estimates[0] for name in ("paper_way", "paper_corrected")
        )
        assert way.baseline_risk.mean() > 0.17  # Table 8: 17 to 42 %
        assert corrected.baseline_risk.mean() == pytest.approx(0.05, abs=0.01)


def test_summaries_of_known_draws() -> None:
    draws = np.linspace(0.0, 1.0, 41)
    risk = np.array([expit(-2.0 + draws), np.full(41, 0.2)])
    treated = np.array([expit(-1.0 + draws), np.full(41, 0.3)])
    found = effects_from_risk_draws(risk, treated)
    np.testing.assert_allclose(found.log_odds_ratio.value, [1.0, logit(0.3) - logit(0.2)])
    np.testing.assert_allclose(found.risk_difference.lower[0], expit(-1.0 + 0.025) - expit(-2.0 + 0.025))
    np.testing.assert_allclose(found.risk_difference.upper[0], expit(0.0 - 0.025) - expit(-1.0 - 0.025))
    assert found.average_risk_difference.value == pytest.approx((treated - risk).mean())


def test_risks_of_zero_and_one_have_finite_odds() -> None:
    found = effects_from_risk_draws(np.zeros((1, 50)), np.ones((1, 50)))
    assert np.isfinite(found.log_odds_ratio.value).all()


def test_monte_carlo_error_of_independent_draws() -> None:
    draws = rng().normal(0.0, 2.0, (2, 4000))
    notes = monte_carlo_notes(draws)
    assert notes["ess_average"] == pytest.approx(8000, rel=0.15)
    assert notes["mcse_average"] == pytest.approx(2.0 / np.sqrt(8000), rel=0.1)


class TestAwkwardTrials:
    @pytest.mark.parametrize("name", ["paper_corrected", "all_modifiers"])
    def test_five_events(self, name: str) -> None:
        trial = with_events(trial_of(200, 3), [5, 60, 120, 150, 180])
        result = METHODS[name](trial, [trial], rng())
        assert np.isfinite(result.estimates[0].log_odds_ratio.upper).all()
        assert result.notes["pareto_k"] < 0.7 or result.notes["nuts_fallback"] == 1.0

    def test_a_fit_that_falls_back_and_fails_is_noted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def failing(*arguments: object, **options: object) -> QuickPosterior:
            warnings.warn("k-hat too large", QuickFallbackWarning, stacklevel=1)
            warnings.warn("R-hat too large", FitWarning, stacklevel=1)
            found = quick_posterior(*arguments, **options)
            return dataclasses.replace(found, record=dataclasses.replace(found.record, sampler="nuts"), pareto_k=0.9)

        monkeypatch.setattr("hte_utils.methods.bayesian.quick_posterior", failing)
        trial = trial_of(200, 3)
        notes = METHODS["paper_corrected"](trial, [trial], rng()).notes
        assert (notes["nuts_fallback"], notes["not_converged"], notes["pareto_k"]) == (1.0, 1.0, 0.9)

    def test_other_warnings_are_not_swallowed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def overflowing(*_arguments: object, **_options: object) -> None:
            np.exp(np.array([1e4]))

        monkeypatch.setattr("hte_utils.methods.bayesian.quick_posterior", overflowing)
        with pytest.raises(RuntimeWarning, match="overflow"):
            METHODS["paper_corrected"](trial_of(200, 3), [trial_of(200, 3)], rng())


class TestHorseshoe:
    def test_the_density_is_that_of_its_formula(self) -> None:
        """The regularised horseshoe of Piironen & Vehtari (2017), equation 2.8, with brms's defaults, by SciPy."""
        model, draw = horseshoe_model(2), rng(3)
        point = {
            "intercept": -3.0,
            "main": draw.normal(size=3),
            "overall": 0.3,
            "local": np.array([0.5, 4.0]),
            "slab": 2.5,
            "standard": draw.normal(size=2),
        }
        terms, event = draw.normal(size=(30, 6)), (draw.random(30) < 0.3).astype(float)
        with model:
            pm.set_data({"terms": terms, "event": event})
        tilde = np.sqrt(2.5 * point["local"] ** 2 / (2.5 + 0.3**2 * point["local"] ** 2))
        coefficients = np.concatenate([[-3.0], point["main"], 0.3 * tilde * point["standard"]])
        probability = expit(terms @ coefficients)
        expected = (
            stats.norm.logpdf(-3.0, logit(0.05), 1.0)
            + stats.norm.logpdf(point["main"]).sum()
            + stats.halfcauchy.logpdf([0.3, *point["local"]]).sum()
            + stats.invgamma.logpdf(2.5, 2.0, scale=8.0)
            + stats.norm.logpdf(point["standard"]).sum()
            + stats.bernoulli.logpmf(event, probability).sum()
        )
        found = model.compile_logp(jacobian=False)(
            {
                value.name: np.log(point[variable.name]) if value.name.endswith("_log__") else point[variable.name]
                for variable, value in model.rvs_to_values.items()
                if variable.name in point
            }
        )
        assert found == pytest.approx(expected, rel=1e-9)

    @pytest.mark.slow
    def test_it_shrinks_where_there_is_nothing_to_find(self) -> None:
        trial = trial_of(2000, 2, SAME_FOR_ALL)
        free, shrunken = (METHODS[name](trial, [trial], rng()) for name in ("interactions_ml", "horseshoe"))
        spread = [result.estimates[0].log_odds_ratio.value.std() for result in (free, shrunken)]
        assert spread[1] < 0.6 * spread[0]
        assert shrunken.notes["ess_average"] > 400
