"""Covariates as design columns: natural cubic splines against patsy and on a trial whose truth is curved."""

from __future__ import annotations

import numpy as np
import pandas as pd
import patsy
import pytest
from report_trials import own_question, own_trial_frame
from scipy.special import expit

from hte_utils.report import DataError, Question
from hte_utils.report.columns import own_trial
from hte_utils.report.covariates import Codes
from hte_utils.report.heterogeneity import heterogeneity, risk_quintiles
from hte_utils.report.question import QuestionError


def test_a_curve_is_the_line_and_what_a_natural_cubic_spline_adds() -> None:
    x = np.random.default_rng(1).gamma(2.0, 10.0, 300)
    columns, names = Codes("x", x, curved=True).columns()
    assert names == ["x", "x: curve 1", "x: curve 2"]
    np.testing.assert_allclose(np.corrcoef(columns.T), np.eye(3), atol=1e-10)
    np.testing.assert_allclose(columns.mean(axis=0), 0.0, atol=1e-10)
    np.testing.assert_allclose(columns.std(axis=0, ddof=1), 1.0)
    np.testing.assert_array_equal(columns[:, :1], Codes("x", x).columns()[0])
    # Beside a constant they span what patsy's spline spans.
    spline = np.column_stack([np.ones(x.size), np.asarray(patsy.cr(x, df=3, constraints="center"))])
    own = np.column_stack([np.ones(x.size), columns])
    for one, other in ((own, spline), (spline, own)):
        np.testing.assert_allclose(one @ np.linalg.lstsq(one, other)[0], other, atol=1e-8)


def test_an_effect_that_bends_is_found_with_a_spline_and_not_without() -> None:
    rng = np.random.default_rng(2)
    x, arm = rng.normal(size=2000), rng.integers(0, 2, 2000)
    event = rng.random(2000) < expit(-1.0 + arm * (x**2 - 1.0))
    frame = pd.DataFrame({"event": event.astype(int), "arm": arm, "x": x})
    p = {}
    for splines in ((), ("x",)):
        trial = own_trial(frame, Question("event", "arm", ("x",), splines=splines, simulations=60))
        columns, names = trial.covariates[0].columns()
        found = heterogeneity(trial, risk_quintiles(trial), columns, names, lambda _: None)
        p[splines] = found.tests["p"].iloc[1]
    assert p["x",] == pytest.approx(1 / 61)
    assert p[()] > 0.1


def test_imputed_covariates_stay_curved() -> None:
    frame = own_trial_frame(200)
    frame.loc[:20, "age"] = np.nan
    trial = own_trial(frame, own_question(splines=("age",), missing="impute"))
    for version in trial.imputed:
        [age] = [each for each in version if each.name == "age"]
        assert age.columns()[0].shape == (200, 3)


@pytest.mark.parametrize(
    ("splines", "message"),
    [(("sex",), "'sex' holds categories: a spline needs numbers"), (("visits",), "'visits' has only 4 different")],
)
def test_what_cannot_bend_is_refused(splines: tuple[str, ...], message: str) -> None:
    frame = own_trial_frame(200).assign(visits=lambda table: table["id"] % 4)
    with pytest.raises(DataError, match=message):
        own_trial(frame, own_question(covariates=("age", "sex", "visits"), splines=splines))
    with pytest.raises(QuestionError, match="spline 'weight' is not among the covariates"):
        own_question(splines=("weight",))
