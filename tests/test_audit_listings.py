"""The listings' text: taken apart rightly, equal to the paper's words, and the same trial as R's record."""

import re

import numpy as np
import pytest
from reference_values import REFERENCE
from scipy.special import expit

from hte_utils.audit.listings import (
    INDIVIDUAL,
    POPULATION,
    SUBGROUP,
    evaluated,
    listing_1_code,
    listing_1_trial,
    listing_2_model,
    listing_2_posterior,
)
from hte_utils.paper import statement
from hte_utils.trial import simulate_truth

TEXT = (REFERENCE / "jags_listing2.txt").read_text(encoding="utf-8")


def test_listing_2_is_taken_apart():
    model = listing_2_model()
    assert model.random_effects == ["re", "re_trt"]
    assert len(model.fixed_effects) == 10
    assert len(model.terms) == 12
    assert frozenset({"b_trt_age", "treatment", "age"}) in model.terms
    assert model.covariates(of_effect=True) == ["age", "anticoag", "diabetes", "gender"]
    assert model.covariates(of_effect=False) == ["age", "anticoag", "bmi", "diabetes", "gender", "prior_bleeding"]
    assert (model.at_level(SUBGROUP), model.at_level(INDIVIDUAL)) == (["re", "re_trt"], [])
    assert len(model.at_level(POPULATION)) == 12
    assert list(model.nodes.index[model.nodes["observed"]]) == ["y"]
    assert model.sums["te_gender"] == "b_trt + re_trt"
    assert model.have_law(["tau_re", "tau_re_trt"], "dgamma", "2", "2")


def test_another_model_is_read_as_another():
    text = TEXT.replace("+ b_bmi * bmi[i]", "+ b_bmi * bmi[i] +\n      eta[i]").replace(
        "    risk[i] <-", "    eta[i] ~ dnorm(0, tau_eta)\n    risk[i] <-"
    )
    model = listing_2_model(text.replace("b_trt ~ dnorm(0, 1)", "b_trt ~ dnorm(0, 0.25)"))
    assert model.at_level(INDIVIDUAL) == ["eta"]
    assert not model.have_law(["b_trt"], "dnorm", "0", "1")
    assert not model.have_law([], "dnorm", "0", "1")
    assert len(model.terms) == 13


def test_the_r_code_has_the_paper_s_formulas():
    code = listing_1_code()
    for name, variable in (("listing-1-baseline", "baseline_risk"), ("listing-1-effect", "treatment_effect")):
        printed, run = (re.sub(r"\s", "", text) for text in (statement(f"statement.{name}").quote, code[variable][0]))
        assert printed == run
    assert code["treatment"] == ("first_draw",)
    assert code["second_draw"] == ("rbinom(n_subjects, 1, 0.5)",)
    assert code["age"][1] == "pmax(pmin(age, 85), 25)"


def test_a_printed_sum_is_evaluated_as_by_hand():
    trial = listing_1_trial()
    first = trial.iloc[0]
    by_hand = -3.5 + 0.02 * (first["age"] - 55) + 0.3 + 0.01 * (first["sbp"] - 130)  # diabetes only
    assert (first["anticoagulant"], first["prior_bleeding"], first["diabetes"]) == (0, 0, 1)
    found = evaluated(statement("statement.listing-1-baseline").quote, trial)
    assert found[0] == pytest.approx(expit(by_hand), abs=1e-12)
    assert evaluated("1 + 2 * diabetes", trial)[0] == pytest.approx(3)


def test_r_s_trial_is_the_trial_of_the_book():
    trial, truth = listing_1_trial(), simulate_truth()
    assert len(trial) == 2000
    np.testing.assert_allclose(trial["baseline_risk"], truth.baseline_risk, rtol=1e-12)
    np.testing.assert_allclose(trial["true_te"], truth.treatment_effect, rtol=1e-12)
    assert (trial["event"] == truth.event).all()


def test_jags_s_posterior_has_the_eighteen_quantities():
    table = listing_2_posterior()
    assert len(table) == 18
    assert (table["mcse_mean"] < 0.01 * table["sd"]).all()
