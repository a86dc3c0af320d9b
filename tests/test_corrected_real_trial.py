"""What chapter 15 shows of a real trial: statsmodels' numbers, groups that do not know the arms, and the figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from actg175_trials import real_posterior, real_times
from matplotlib import pyplot as plt

from hte_utils.corrected import real_trial
from hte_utils.effects.strata import quantile_groups
from hte_utils.effects.survival import hazard_ratio, observed_by, risks_by, summarise_times
from hte_utils.model.spec import TrialDesign
from hte_utils.model.survival import TimesDesign


def everybody() -> pd.DataFrame:
    return pd.DataFrame({"all": np.ones(real_times().time.size, dtype=bool)})


def test_without_censoring_the_observed_risks_are_shares() -> None:
    times = real_times()
    early = np.where(times.trial.outcome == 1.0, times.time, 2000.0)
    watched = TimesDesign(times.trial, early, times.ends)
    row = observed_by(watched, everybody(), 730.0).loc["all"]
    for arm, code in (("control", 0.0), ("treated", 1.0)):
        chosen = times.trial.treatment == code
        share = ((early <= 730.0) & chosen).sum() / chosen.sum()
        assert row[arm] == pytest.approx(share)
        assert row[f"se_{arm}"] == pytest.approx(np.sqrt(share * (1 - share) / chosen.sum()), rel=1e-6)
    assert row["estimate"] == pytest.approx(row["treated"] - row["control"])
    assert row["n_control"] + row["n_treated"] == 1054


def test_hazard_ratio_is_the_published_one_nearly() -> None:
    found = hazard_ratio(real_times())
    assert found["lower"] < 0.5 < found["upper"]
    assert found["estimate"] == pytest.approx(0.495, abs=0.001)


def test_groups_of_risk_do_not_know_the_arms() -> None:
    times, design = real_times(), real_times().trial
    swapped = TrialDesign(
        design.prognostic, design.modifiers, design.group, design.coding, design.outcome, 1.0 - design.treatment
    )
    risk = real_trial.blind_risk(times)
    np.testing.assert_array_equal(risk, real_trial.blind_risk(TimesDesign(swapped, times.time, times.ends)))
    events = pd.Series(design.outcome).groupby(quantile_groups(risk, 5)).mean()
    assert events.iloc[-1] > 2 * events.iloc[0]


def test_figures_show_arms_and_groups() -> None:
    before = plt.get_backend()
    plt.switch_backend("agg")
    try:
        posterior = real_posterior().isel(draw=slice(0, 20))
        figure = real_trial.arms_over_time(real_times(), {"model": posterior}, everybody())
        labels = {text.get_text() for text in figure.legends[0].get_texts()}
        assert labels == {"observed, control", "model, control", "observed, treatment", "model, treatment"}
        fifths = quantile_groups(real_trial.blind_risk(real_times()), 5)
        groups = pd.DataFrame({f"Q{k}": fifths == k for k in range(1, 6)})
        risks = risks_by(posterior, real_times().trial, 730.0, groups)
        observed = observed_by(real_times(), groups, 730.0)
        figure = real_trial.risk_groups(observed, risks, summarise_times(risks))
        assert [tick.get_text() for tick in figure.axes[1].get_xticklabels()] == list(groups)
    finally:
        plt.switch_backend(before)


def test_disagreement_is_laid_on_the_covariate_that_made_it() -> None:
    design = real_times().trial
    standard = real_trial.covariates_of(design)
    assert list(standard.columns) == [*design.prognostic_labels, design.group_labels[1]]
    np.testing.assert_allclose(standard.mean(), 0.0, atol=1e-12)
    np.testing.assert_allclose(standard.std(), 1.0)
    ours = np.random.default_rng(3).normal(size=design.n_patients)
    effects = pd.DataFrame({"ours": ours, "other": ours + 0.02 * standard["cd4"] - 0.1})
    row = real_trial.disagreement(effects, standard).loc["other"]
    expected = {name: 0.02 * (name == "cd4") for name in standard} | {"explained": 1.0}
    np.testing.assert_allclose(row[list(expected)], list(expected.values()), atol=1e-12)


def test_figure_of_methods_shows_their_means_and_what_differences_follow() -> None:
    before = plt.get_backend()
    plt.switch_backend("agg")
    try:
        standard = real_trial.covariates_of(real_times().trial)
        effects = pd.DataFrame({"ours": 0.01 * standard["cd4"], "other": 0.03 * standard["age"]})
        groups = pd.DataFrame({"low": standard["age"] < 0, "high": standard["age"] >= 0})
        observed = observed_by(real_times(), groups, 730.0)
        why = real_trial.disagreement(effects, standard)
        left, right = real_trial.methods_compared(effects, groups, observed, why).axes
        lines = {line.get_label(): line.get_ydata() for line in left.lines}
        np.testing.assert_allclose(lines["other"], [100 * effects["other"][groups[name]].mean() for name in groups])
        shown = dict(
            zip([tick.get_text() for tick in right.get_yticklabels()], right.lines[0].get_xdata(), strict=True)
        )
        assert shown["age"] == pytest.approx(3.0)
        assert shown["cd4"] == pytest.approx(-1.0)
    finally:
        plt.switch_backend(before)
