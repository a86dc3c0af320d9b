"""Error rates of the intervals: the nulls are nulls, rates are counted right, and the stored results can be proved."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from hte_utils.corrected import rates
from hte_utils.corrected.cross_fitting import AGE, IMPLIED
from hte_utils.corrected.rates import CONSTANT_DIFFERENCE, CONSTANT_RATIO, DESIGNS, PAPER_DESIGN
from hte_utils.corrected.validation import NOTHING
from hte_utils.trial import simulate_truth, trial_table

STORED = rates.stored()
OWN = trial_table(simulate_truth(2000, 123))


def test_the_nulls_have_nothing_to_find_and_the_events_of_the_trial() -> None:
    untreated, treated = rates.constant_effect_risks(OWN, CONSTANT_RATIO)
    assert np.ptp(logit(treated) - logit(untreated)) == pytest.approx(0.0, abs=1e-9)
    arm = OWN["treatment"].eq("Treatment").to_numpy()
    # The score equations of maximum likelihood: as many events in each arm as there were.
    for here, risk in ((arm, treated), (~arm, untreated)):
        assert risk[here].sum() == pytest.approx(OWN.loc[here, "event"].sum(), abs=1e-5)
    same, shifted = rates.constant_effect_risks(OWN, CONSTANT_DIFFERENCE)
    assert np.ptp(shifted - same) == pytest.approx(0.0, abs=1e-12)
    assert (shifted - same).mean() == pytest.approx((treated - untreated).mean())


@pytest.mark.parametrize("design", [CONSTANT_RATIO, CONSTANT_DIFFERENCE])
def test_null_trials_have_the_patients_and_the_allocation_of_the_trial(design) -> None:
    one, cohort = rates.simulated_trial(design, 1)
    pd.testing.assert_frame_equal(one.drop(columns="event"), OWN.drop(columns="event"))
    np.testing.assert_array_equal(cohort.outcome, one["event"])
    assert not one["event"].equals(rates.simulated_trial(design, 2)[0]["event"])
    assert one["event"].equals(rates.simulated_trial(design, 1)[0]["event"])
    events = [rates.simulated_trial(design, number)[0]["event"].sum() for number in range(30)]
    assert np.mean(events) == pytest.approx(cohort.factual_risk.sum(), abs=4 * np.std(events) / np.sqrt(30))


def _made_up() -> pd.DataFrame:
    """Four trials a design of one slope on the risks, and of the test of interactions."""
    ends = {
        CONSTANT_DIFFERENCE: [(-1, 1), (0.1, 1), (-1, 1), (-1, 1)],
        PAPER_DESIGN: [(0.1, 1), (0.2, 3), (-1, 1), (4, 5)],
    }
    rows = [
        (design, number, "made", "slope (risk)", 0.5, 1.0, *pair, 0.5)
        for design, pairs in ends.items()
        for number, pair in enumerate(pairs)
    ]
    nan = (np.nan,) * 4
    rows += [
        (CONSTANT_RATIO, number, rates.INTERACTIONS, "p", p, *nan) for number, p in enumerate((0.01, 0.5, 0.9, 0.3))
    ]
    rows += [
        (PAPER_DESIGN, number, rates.INTERACTIONS, "p", p, *nan) for number, p in enumerate((0.01, 0.04, 0.9, 0.3))
    ]
    return pd.DataFrame(rows, columns=list(rates.COLUMNS))


def test_rates_by_hand() -> None:
    found = rates.rates(_made_up())
    slope, test = found.loc[("made", "slope (risk)")], found.loc[(rates.INTERACTIONS, "p")]
    assert (slope["null_rate"], slope["power"], slope["coverage"]) == (0.25, 0.75, 0.75)
    assert slope["null_rate_mcse"] == pytest.approx(np.std([1, 0, 0, 0], ddof=1) / 2)
    assert (test["null_rate"], test["power"]) == (0.25, 0.5)
    assert np.isnan(test["coverage"])
    assert rates.rates_table(found).loc[("made", "slope (risk)"), "nothing there"] == "25.0 ± 25.0 %"


def test_a_value_moved_by_a_tenth_of_its_sd_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    design, number = PAPER_DESIGN, int(STORED["trial"].iloc[0])
    mine = STORED[(STORED["design"] == design) & (STORED["trial"] == number) & (STORED["method"] != rates.ICI)]
    monkeypatch.setattr(rates, "analyse", lambda *_: mine)
    assert rates.prove(STORED, design, number).passed
    values = STORED[STORED["design"] == design].groupby(["method", "statistic"])["value"].std()
    for place, key in ((mine.index[1], (IMPLIED, "slope (log odds)")), (mine.index[3], (IMPLIED, "AUTOC"))):
        moved = mine.copy()
        moved.loc[place, "value"] += 0.1 * values[key]
        monkeypatch.setattr(rates, "analyse", lambda *_, moved=moved: moved)
        found = rates.prove(STORED, design, number).failures
        assert list(zip(found["method"], found["statistic"], found["number"], strict=True)) == [(*key, "estimate")]
    other = STORED[(STORED["design"] == design) & (STORED["trial"] == STORED["trial"].max())]
    monkeypatch.setattr(rates, "analyse", lambda *_: other[other["method"] != rates.ICI])
    assert len(rates.prove(STORED, design, number).failures) > 100  # another trial's


@pytest.mark.slow
@pytest.mark.parametrize("design", DESIGNS)
def test_stored_results_come_out_again(design) -> None:
    proof = rates.prove(STORED, design, int(STORED["trial"].max()))
    assert proof.passed, proof.to_text()


def test_sequential_intervals_keep_their_level_and_pooled_ones_do_not() -> None:
    found = rates.rates(STORED)
    trials = int(found["trials"].max())
    limit = 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / trials)
    ours = found.loc[[key for key in found.index if key[0] in (IMPLIED, AGE) and key[1] in NOTHING]]
    assert (ours["null_rate"].dropna() < limit).all()
    pooled = found.loc[rates.POOLED, "null_rate"].dropna()
    assert (pooled > 0.05 + 2 * found.loc[rates.POOLED, "null_rate_mcse"].dropna()).sum() >= 3
    assert found.loc[(rates.ICI, "percentile bootstrap"), "coverage"] < 0.6


@pytest.mark.slow
def test_workers_change_no_number_and_nothing_is_done_twice(tmp_path) -> None:
    found = rates.run(tmp_path, 1, workers=2)
    kept, lost, *_ = sorted(tmp_path.iterdir())
    written = kept.stat().st_mtime_ns
    lost.unlink()
    pd.testing.assert_frame_equal(rates.run(tmp_path, 1), found)
    assert kept.stat().st_mtime_ns == written
