"""Unadjusted and standardised comparisons of the arms, against published values and statsmodels' own machinery."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from paper_fits import paper_design
from scipy.special import expit
from scipy.stats import norm
from statsmodels.discrete.discrete_model import Logit
from statsmodels.stats._delta_method import NonlinearDeltaCov
from statsmodels.tools.tools import add_constant

from hte_utils.corrected.subgroups import StandardisedLogit, design_matrix, unadjusted_effects
from hte_utils.effects.averages import EVERYBODY, Measure, everybody
from hte_utils.model.spec import PAPER_SPEC
from hte_utils.trial import simulate_trial

RD, RR, LOR = Measure.RISK_DIFFERENCE.name, Measure.RISK_RATIO.name, Measure.MARGINAL_LOG_ODDS_RATIO.name


def design_with(events: tuple[int, int], n: tuple[int, int]):
    """A trial with these events among these patients (treated, control)."""
    trial = simulate_trial(n_subjects=sum(n), seed=1)
    treated = np.arange(sum(n)) < n[0]
    event = np.zeros(sum(n), dtype=int)
    event[: events[0]] = 1
    event[n[0] : n[0] + events[1]] = 1
    arms = pd.Categorical(np.where(treated, "Treatment", "Control"), categories=["Control", "Treatment"])
    return PAPER_SPEC.design(trial.assign(treatment=arms, event=event))


def test_newcombes_published_interval() -> None:
    # Newcombe (1998), Table II, case (a), method 10: 56/70 - 48/80 = 0.2 (0.0524 to 0.3339).
    row = unadjusted_effects(design_with((56, 48), (70, 80)), everybody(150)).loc[(EVERYBODY, RD)]
    assert row["estimate"] == pytest.approx(0.2)
    assert [row["lower"], row["upper"]] == pytest.approx([0.0524, 0.3339], abs=5e-5)
    assert row[["events_treated", "n_treated", "events_control", "n_control"]].tolist() == [56, 70, 48, 80]


def test_ratios_have_their_textbook_intervals() -> None:
    table = unadjusted_effects(design_with((30, 20), (200, 180)), everybody(380), interval=0.9)
    z = norm.ppf(0.95)
    ratio, se = math.log((30 / 200) / (20 / 180)), math.sqrt(1 / 30 - 1 / 200 + 1 / 20 - 1 / 180)
    found = table.loc[(EVERYBODY, RR), ["estimate", "lower", "upper"]].tolist()
    assert found == pytest.approx([math.exp(ratio + k * z * se) for k in (0, -1, 1)])
    odds, se = math.log((30 / 170) / (20 / 160)), math.sqrt(1 / 30 + 1 / 170 + 1 / 20 + 1 / 160)
    found = table.loc[(EVERYBODY, LOR), ["estimate", "lower", "upper"]].tolist()
    assert found == pytest.approx([odds + k * z * se for k in (0, -1, 1)])


def test_without_events_there_is_a_difference_and_no_ratio() -> None:
    with pytest.warns(UserWarning, match="priors?"):
        design = design_with((5, 0), (50, 50))
    table = unadjusted_effects(design, everybody(100)).loc[EVERYBODY]
    assert table.loc[RD, "estimate"] == pytest.approx(0.1)
    assert table.loc[[RR, LOR], ["estimate", "lower", "upper"]].isna().all(axis=None)


def test_standardisation_is_statsmodels_marginal_effect_without_interactions() -> None:
    design = paper_design()
    rows = add_constant(np.column_stack([design.treatment, design.prognostic]))
    result = Logit(design.outcome, rows).fit(disp=0)
    untreated, treated = rows.copy(), rows.copy()
    untreated[:, 1], treated[:, 1] = 0.0, 1.0
    own = StandardisedLogit(untreated, treated, result.params, result.cov_params()).effects(everybody(2000))
    theirs = result.get_margeff(at="overall", method="dydx", dummy=True)
    assert own.loc[(EVERYBODY, RD), "estimate"] == pytest.approx(theirs.margeff[0], rel=1e-9)
    assert own.loc[(EVERYBODY, RD), "se"] == pytest.approx(theirs.margeff_se[0], rel=1e-6)
    lower, upper = own.loc[(EVERYBODY, RD), ["lower", "upper"]]
    assert [lower, upper] == pytest.approx(list(theirs.conf_int()[0]), rel=1e-6)


def test_an_arm_alone_gives_the_crude_comparison() -> None:
    # With treatment as the only term the standardised risks are the event rates: maximum likelihood matches them.
    design = paper_design()
    rows = add_constant(design.treatment)
    result = Logit(design.outcome, rows).fit(disp=0)
    own = StandardisedLogit(np.eye(2)[[0] * 2000], np.ones((2000, 2)), result.params, result.cov_params())
    crude = unadjusted_effects(design, everybody(2000))
    for measure in (RD, RR, LOR):
        estimate = own.effects(everybody(2000)).loc[(EVERYBODY, measure), "estimate"]
        assert estimate == pytest.approx(crude.loc[(EVERYBODY, measure), "estimate"], rel=1e-6)
    found = own.effects(everybody(2000)).loc[(EVERYBODY, LOR), ["lower", "upper"]].tolist()
    assert found == pytest.approx(crude.loc[(EVERYBODY, LOR), ["lower", "upper"]].tolist(), rel=1e-4)


@pytest.mark.parametrize("measure", list(Measure))
def test_standard_errors_agree_with_numerical_differentiation(measure: Measure) -> None:
    design = paper_design()
    own = StandardisedLogit.fit(design)
    inside = design.group == 1
    matrices = [design_matrix(design, np.full(2000, arm))[inside] for arm in (0.0, 1.0)]

    def value(coefficients: np.ndarray) -> np.ndarray:
        p0, p1 = (expit(matrix @ coefficients).mean() for matrix in matrices)
        found = {
            Measure.RISK_DIFFERENCE: p1 - p0,
            Measure.RISK_RATIO: np.log(p1 / p0),
            Measure.MARGINAL_LOG_ODDS_RATIO: np.log(p1 / (1 - p1)) - np.log(p0 / (1 - p0)),
            Measure.MEAN_LOG_ODDS_RATIO: ((matrices[1] - matrices[0]) @ coefficients).mean(),
        }
        return np.atleast_1d(found[measure])

    numerical = NonlinearDeltaCov(value, own.coefficients, own.covariance)
    row = own.effects(pd.DataFrame({"women": inside})).loc[("women", measure.name)]
    assert row["se"] == pytest.approx(float(numerical.se_vectorized()), rel=1e-4)
    estimate = float(value(own.coefficients)[0])
    assert row["estimate"] == pytest.approx(math.exp(estimate) if measure is Measure.RISK_RATIO else estimate)


def test_separated_outcomes_are_refused() -> None:
    trial = simulate_trial(n_subjects=300, seed=5)
    design = PAPER_SPEC.design(trial.assign(event=(trial["anticoagulant"] == "Yes").astype(int)))
    with pytest.raises(ValueError, match="no maximum"):
        StandardisedLogit.fit(design)


def test_one_arm_alone_is_refused() -> None:
    design = paper_design()
    with pytest.raises(ValueError, match="'treated only' has no control patients"):
        unadjusted_effects(design, pd.DataFrame({"treated only": design.treatment == 1}))
