from __future__ import annotations

import subprocess
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hand_made_posteriors import random_posterior, small_design
from hypothesis import given, settings
from hypothesis import strategies as st

from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.strata import (
    RiskStrata,
    ntile,
    observed_by_stratum,
    quantile_groups,
    stratify_by_risk,
    tied_ranks,
)
from hte_utils.model.checks import TrialWarning
from hte_utils.model.spec import PAPER_SPEC
from hte_utils.trial import simulate_trial

# Own base-R statement of what dplyr documents: rank with ties by position, larger groups first.
NTILE_IN_R = """
groups_of_equal_size <- function(x, k) {
  position <- rank(x, ties.method = "first")
  sizes <- rep(length(x) %/% k, k) + (seq_len(k) <= length(x) %% k)
  rep(seq_len(k), sizes)[position]
}
set.seed(1)
for (n in c(5, 7, 12, 23, 100)) for (k in c(1, 2, 3, 5)) {
  x <- round(rnorm(n), 1)
  cat(k, "|", format(x, digits = 17), "|", groups_of_equal_size(x, k), "\\n")
}
"""


def draws_of(
    seed: int, n_patients: int = 300, n_draws: int = 200, autocorrelation: float = 0.0
) -> tuple[xr.DataArray, xr.DataArray]:
    posterior, design = random_posterior(seed, 2, n_draws, autocorrelation), small_design(n_patients)
    return (
        baseline_risk_draws(posterior, design, group_effects=GroupEffects.INCLUDED),
        cate_draws(posterior, design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=GroupEffects.INCLUDED),
    )


def labelled(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, dims=("chain", "draw", "patient"), attrs={"scale": "log odds ratio"})


class TestNtile:
    @pytest.mark.parametrize(
        ("values", "n_groups", "expected"),
        [
            # The examples of dplyr's help page (?ntile, dplyr 1.1), without its missing value.
            ([5, 1, 3, 2, 2], 2, [2, 1, 2, 1, 1]),
            ([5, 1, 3, 2, 2], 4, [4, 1, 3, 1, 2]),
            (range(1, 9), 3, [1, 1, 1, 2, 2, 2, 3, 3]),
            ([1] * 8, 3, [1, 1, 1, 2, 2, 2, 3, 3]),
        ],
    )
    def test_examples_of_dplyr(self, values: list[float], n_groups: int, expected: list[int]) -> None:
        np.testing.assert_array_equal(ntile(list(values), n_groups), expected)

    @given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), data=st.data())
    def test_sizes_and_order(self, values: list[float], data: st.DataObject) -> None:
        n_groups = data.draw(st.integers(1, len(values)))
        groups = ntile(values, n_groups)
        sizes = np.bincount(groups, minlength=n_groups + 1)[1:]
        assert sizes.sum() == len(values)
        assert np.ptp(sizes) <= 1
        assert (np.diff(sizes) <= 0).all()
        ordered = groups[np.argsort(values, kind="stable")]
        assert (np.diff(ordered) >= 0).all()

    @given(values=st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=40, unique=True), seed=st.integers(0, 100))
    def test_order_of_patients_does_not_matter_without_ties(self, values: list[float], seed: int) -> None:
        order = np.random.default_rng(seed).permutation(len(values))
        np.testing.assert_array_equal(ntile(np.array(values)[order], 5), ntile(values, 5)[order])

    @pytest.mark.r
    def test_base_r_agrees(self) -> None:
        printed = subprocess.run(["Rscript", "-e", NTILE_IN_R], check=True, capture_output=True, text=True).stdout
        cases = [line.split("|") for line in printed.splitlines()]
        assert len(cases) == 20
        for n_groups, values, groups in cases:
            found = ntile([float(value) for value in values.split()], int(n_groups))
            np.testing.assert_array_equal(found, [int(group) for group in groups.split()])


class TestQuantileGroups:
    @given(values=st.lists(st.integers(0, 6), min_size=5, max_size=60), seed=st.integers(0, 2**32 - 1))
    def test_equals_are_together_in_any_order_of_the_table(self, values: list[int], seed: int) -> None:
        order = np.random.default_rng(seed).permutation(len(values))
        found = quantile_groups(values, 5)
        np.testing.assert_array_equal(quantile_groups(np.array(values)[order], 5), found[order])
        table = pd.DataFrame({"value": values, "group": found})
        assert table.groupby("value")["group"].agg(np.ptp).eq(0).all()
        assert table.sort_values("value")["group"].is_monotonic_increasing

    @given(values=st.lists(st.integers(-1000, 1000), min_size=1, max_size=30, unique=True), n_groups=st.integers(1, 6))
    def test_without_ties_they_are_those_of_r(self, values: list[int], n_groups: int) -> None:
        whole = [each + 0.1 * copy for each in values for copy in range(n_groups)]  # a multiple of n_groups
        np.testing.assert_array_equal(quantile_groups(whole, n_groups), ntile(whole, n_groups))

    def test_a_block_goes_where_its_middle_is(self) -> None:
        assert quantile_groups([1, 2, 2, 2, 3, 4], 3).tolist() == [1, 2, 2, 2, 3, 3]
        assert quantile_groups([7.0] * 10, 5).tolist() == [3] * 10

    def test_last_bits_make_no_difference(self) -> None:
        third = 1.0 / 3.0
        assert quantile_groups([third, np.nextafter(third, 1.0), 1.0, 2.0], 4).tolist() == [2, 2, 3, 4]

    def test_ranks_of_ties(self) -> None:
        first, last = tied_ranks(np.array([[3.0, 1.0, 3.0, 2.0], [1.0, 1.0, 1.0, 1.0]]))
        assert first.tolist() == [[2, 0, 2, 1], [0, 0, 0, 0]]
        assert last.tolist() == [[3, 0, 3, 1], [3, 3, 3, 3]]


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_any_order_of_the_rows_gives_the_same_table(seed: int) -> None:
    """Three binary covariates, so eight different predictions; sorted by arm and outcome, and shuffled."""
    rng = np.random.default_rng(seed)
    n = 80
    x = rng.integers(0, 2, (n, 3))
    frame = simulate_trial(n, 1).assign(
        event=rng.integers(0, 2, n), treatment=pd.Categorical(rng.choice(["Control", "Treatment"], n))
    )
    chances = rng.uniform(0.1, 0.5, (2, 40, 3)) @ x.T / 3.0
    tables = []
    for order in (np.lexsort((frame["event"], frame["treatment"].cat.codes)), rng.permutation(n)):
        strata = stratify_by_risk(
            labelled(chances[..., order]), labelled(chances[..., order] ** 2), n_groups=3, n_replicates=20
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrialWarning)
            design = PAPER_SPEC.design(frame.iloc[order].reset_index(drop=True))
        tables.append(pd.concat([strata.table, observed_by_stratum(design, strata)], axis=1))
    pd.testing.assert_frame_equal(tables[0], tables[1], rtol=1e-9)


class TestTable8:
    def test_columns_are_what_pandas_finds(self) -> None:
        risk, effect = draws_of(1)
        found = stratify_by_risk(risk, effect, interval=0.9)
        every = ("chain", "draw")
        patients = pd.DataFrame(
            {
                "risk": risk.mean(every),
                "te": effect.mean(every),
                "lower": effect.quantile(0.05, every),
                "upper": effect.quantile(0.95, every),
            }
        )
        quintile = pd.qcut(patients["risk"], 5, labels=["Q1", "Q2", "Q3", "Q4", "Q5"])
        by = patients.groupby(quintile, observed=True)
        table = found.table
        assert table.index.tolist() == ["Q1", "Q2", "Q3", "Q4", "Q5"]
        assert table["n"].tolist() == [60] * 5
        np.testing.assert_allclose(table["mean_risk"], by["risk"].mean())
        np.testing.assert_allclose(table["mean_te"], by["te"].mean())
        np.testing.assert_allclose(table["te_sd"], by["te"].std())
        np.testing.assert_allclose(table["te_lower"], by["lower"].mean())
        np.testing.assert_allclose(table["te_upper"], by["upper"].mean())
        assert table["mean_risk"].is_monotonic_increasing

    def test_the_groups_average_is_that_of_the_draws(self) -> None:
        risk, effect = draws_of(2)
        found = stratify_by_risk(risk, effect)
        for number, (_, row) in enumerate(found.table.iterrows(), start=1):
            average = effect.to_numpy()[:, :, found.group == number].mean(axis=2)
            assert row["mean_te"] == pytest.approx(average.mean())
            assert row["average_sd"] == pytest.approx(average.std(ddof=1))
            np.testing.assert_allclose(row[["average_lower", "average_upper"]], np.quantile(average, [0.025, 0.975]))

    def test_an_average_is_surer_than_its_patients(self) -> None:
        table = stratify_by_risk(*draws_of(3)).table
        paper, own = table["te_upper"] - table["te_lower"], table["average_upper"] - table["average_lower"]
        assert (own < paper).all()

    def test_a_hand_made_posterior(self) -> None:
        # Risks 0.1 to 0.6, effects 1 to 6, no uncertainty: halves have the means 2 and 5, and the SD 1.
        values = np.tile(np.arange(1.0, 7.0), (1, 20, 1))
        found = stratify_by_risk(labelled(values / 10), labelled(values), n_groups=2)
        np.testing.assert_allclose(found.table["mean_risk"], [0.2, 0.5])
        np.testing.assert_allclose(found.table["mean_te"], [2.0, 5.0])
        np.testing.assert_allclose(found.table["te_sd"], [1.0, 1.0])
        np.testing.assert_allclose(found.table["te_lower"], [2.0, 5.0])
        np.testing.assert_allclose(found.table["average_sd"], [0.0, 0.0], atol=1e-12)
        np.testing.assert_allclose(found.mcse, 0.0, atol=1e-12)

    def test_groups_of_one_have_no_sd(self) -> None:
        values = np.random.default_rng(1).random((2, 20, 3))
        found = stratify_by_risk(labelled(values), labelled(values), n_groups=3)
        assert found.table["te_sd"].isna().all()
        assert found.table["mean_te"].notna().all()

    @settings(max_examples=10)
    @given(seed=st.integers(0, 1000))
    def test_order_of_patients_does_not_matter(self, seed: int) -> None:
        # Two hundred of these patients may share their covariates, so risks with ties are told apart first.
        risk, effect = draws_of(4, n_patients=80)
        risk = risk + 1e-6 * np.arange(80)
        order = np.random.default_rng(seed).permutation(80)
        here, there = (
            stratify_by_risk(r, e, n_replicates=2)
            for r, e in ((risk, effect), (risk[:, :, order].assign_coords(patient=range(80)),
                                           effect[:, :, order].assign_coords(patient=range(80))))
        )  # fmt: skip
        pd.testing.assert_frame_equal(here.table, there.table)
        np.testing.assert_array_equal(here.group[order], there.group)

    def test_mcse_is_the_spread_over_independent_runs(self) -> None:
        runs = [
            stratify_by_risk(*draws_of(seed, 99, 400, autocorrelation=0.5), n_groups=3, n_replicates=60, seed=seed)
            for seed in range(40)
        ]
        spread = np.std([run.table for run in runs], axis=0, ddof=1)[:, 1:]
        claimed = np.sqrt(np.mean([np.square(run.mcse) for run in runs], axis=0))[:, 1:]
        ratio = pd.DataFrame(claimed / spread, columns=runs[0].table.columns[1:])
        # Forty runs know their own spread to 11 %; quantiles err on the safe side (see monte_carlo).
        assert (ratio > 0.65).all(axis=None), ratio
        assert (ratio < 1.5).all(axis=None), ratio
        assert np.exp(np.log(ratio).mean(axis=None)) == pytest.approx(1.05, abs=0.2)


class TestObserved:
    def test_counts_are_those_of_the_trial(self) -> None:
        design = small_design()
        strata = stratify_by_risk(*draws_of(1))
        found = observed_by_stratum(design, strata)
        trial = pd.DataFrame({"g": strata.group, "t": design.treatment, "y": design.outcome})
        by = trial.pivot_table(index="g", columns="t", values="y", aggfunc=["size", "sum", "mean"])
        np.testing.assert_array_equal(found["n_control"], by["size", 0.0])
        np.testing.assert_array_equal(found["events_treated"], by["sum", 1.0])
        np.testing.assert_allclose(found["rate_difference"], by["mean", 1.0] - by["mean", 0.0])
        assert (found["difference_lower"] <= found["rate_difference"]).all()
        assert (found["difference_upper"] >= found["rate_difference"]).all()
        assert found[["events_control", "events_treated"]].to_numpy().sum() == design.outcome.sum()

    def test_interval_of_newcombes_first_example(self) -> None:
        # Newcombe (1998), Statistics in Medicine 17:873, Table II (a), method 10: 56/70 - 48/80 has 0.0524 to 0.3339.
        trial = simulate_trial(n_subjects=150, seed=1)
        treated = np.arange(150) < 70
        event = np.where(treated, np.arange(150) < 56, np.arange(150) - 70 < 48)
        trial = trial.assign(event=event.astype(int), treatment=treated.astype(int))
        strata = RiskStrata(pd.DataFrame({"mean_risk": [0.6]}, index=["Q1"]), pd.DataFrame(), np.ones(150, np.int64))
        row = observed_by_stratum(PAPER_SPEC.design(trial), strata).iloc[0]
        assert row["rate_difference"] == pytest.approx(0.2)
        assert round(row["difference_lower"], 4) == 0.0524
        assert round(row["difference_upper"], 4) == 0.3339

    def test_an_empty_arm_has_no_rate(self) -> None:
        design = small_design()
        group = np.where(design.treatment == 1.0, 2, 1)
        strata = RiskStrata(pd.DataFrame({"mean_risk": [0.1, 0.2]}, index=["Q1", "Q2"]), pd.DataFrame(), group)
        found = observed_by_stratum(design, strata)
        assert found["rate_difference"].isna().all()
        assert found["difference_lower"].isna().all()
        assert found["n_treated"].tolist() == [0, int(design.treatment.sum())]


class TestBadInput:
    @pytest.mark.parametrize("bad", [0, -1, 4])
    def test_number_of_groups(self, bad: int) -> None:
        with pytest.raises(ValueError, match="n_groups must be from 1 to the 3 patients"):
            quantile_groups([1.0, 2.0, 3.0], bad)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_values(self, bad: float) -> None:
        with pytest.raises(ValueError, match="not finite for 1 patients, first at position 1"):
            quantile_groups([1.0, bad, 3.0], 2)
        with pytest.raises(ValueError, match="one value for each patient"):
            quantile_groups([[1.0, 2.0]], 2)

    def test_draws_of_other_patients(self) -> None:
        risk, effect = draws_of(1)
        with pytest.raises(ValueError, match=r"differ in their patient labels \(299 and 300\)"):
            stratify_by_risk(risk[:, :, 1:], effect)
        with pytest.raises(ValueError, match="differ in their patient labels"):
            stratify_by_risk(risk.assign_coords(patient=np.arange(300)[::-1]), effect)
        with pytest.raises(ValueError, match="differ in their draw labels"):
            stratify_by_risk(risk[:, 1:], effect)

    def test_values_that_are_not_finite(self) -> None:
        risk, effect = draws_of(1)
        effect = effect.copy()
        effect[0, 0, 5] = np.nan
        with pytest.raises(ValueError, match="not finite for 1 patients, first at position 5"):
            stratify_by_risk(risk, effect)

    def test_interval(self) -> None:
        with pytest.raises(ValueError, match="interval must be a probability"):
            stratify_by_risk(*draws_of(1), interval=95.0)
