"""The paper's diagnostics among recorded JAGS runs."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hte_utils.ledger import Verdict, record
from hte_utils.paper import entries_of, printed_number
from hte_utils.reproduction import tables_5_6
from hte_utils.reproduction.tables_5_6 import joint_distance, normal_exceedance, recorded_runs


@pytest.fixture(scope="module")
def runs():
    return recorded_runs()


def test_one_setting_gives_the_papers_time_series_errors_and_it_is_not_the_glm_module():
    table = tables_5_6.compare_settings()
    fits = table[table["distance"] < 2 * table["typical"]]
    assert list(fits.index) == [("slice", tables_5_6.PAPER_THINNING)]


def test_the_implied_effective_sizes_are_the_quotient_of_two_printed_numbers():
    implied = tables_5_6.implied_ess()
    assert implied["b_intercept"] == pytest.approx((0.968 / 0.091) ** 2)
    assert len(implied) == 12


@pytest.mark.parametrize(("item", "table"), [("Table 5", tables_5_6.table_5), ("Table 6", tables_5_6.table_6)])
def test_the_printed_diagnostics_lie_among_those_of_the_papers_sampler(item, table, runs):
    report = record(item, table(runs))
    assert report.verdict_counts() == {Verdict.CONSISTENT: len(table(runs))}
    assert all(entry.note.startswith("p = ") for entry in report.entries)
    assert tables_5_6.joint_test(item, runs) > 0.01


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("table5.b_intercept.point", 2.2),
        ("table5.multivariate", 1.4),
        ("table5.b_age.point", 1.1),
        ("table6.b_age.chain_1", -4.2),
        ("table6.b_prior.chain_2", 5.5),
        ("table6.b_trt.chain_3", -5.0),
    ],
)
def test_what_such_runs_do_not_print_is_refused(name, value, runs):
    table = tables_5_6.table_5 if name.startswith("table5") else tables_5_6.table_6
    found = table(runs)[name]
    assert not found.lower <= value <= found.upper


def test_scores_that_spread_too_far_are_told_from_such_runs(runs):
    names = [entry.id for entry in entries_of("Table 6")]
    rng = np.random.default_rng(5)

    def rejected(spread: float) -> float:
        tables = [dict(zip(names, rng.normal(0.0, spread, len(names)), strict=True)) for _ in range(20)]
        return float(np.mean([tables_5_6.joint_test("Table 6", runs, each) < 0.05 for each in tables]))

    assert rejected(1.0) <= 0.1
    assert rejected(1.5) > 0.4


def test_a_table_of_scale_reductions_is_judged_as_a_whole(runs):
    slow = {entry.id: 1.0 + 8.0 * (float(entry.printed) - 1.0) + 0.004 for entry in entries_of("Table 5")}
    assert tables_5_6.joint_test("Table 5", runs, slow) < 0.01


def test_the_rate_of_false_alarms_is_counted_over_the_runs(runs):
    rate, error = tables_5_6.family_wise_rate(runs)
    assert 0.0 <= rate <= 0.3
    assert error >= 0.0


def test_a_run_such_as_the_papers():
    chains = tables_5_6.recorded_chains()
    assert chains.sizes == {"chain": 3, "draw": 1000}
    intercept = chains["b_intercept"].to_numpy()
    lag = np.mean([np.corrcoef(chain[:-1], chain[1:])[0, 1] for chain in intercept])
    assert 0.85 < lag < 0.97  # the default samplers creep along the ridge
    for name in ("b_age", "b_prior", "te_gender[2]"):
        entry = printed_number(f"table4.{name}.Mean")
        assert float(chains[name].mean()) == pytest.approx(entry, abs=0.05)


def test_they_do_not_lie_among_those_of_another_sampler():
    glm = recorded_runs("glm", 5)
    failing = {entry.id for entry in record("Table 5", tables_5_6.table_5(glm)).entries if entry.fails}
    assert {"table5.b_intercept.point", "table5.b_intercept.upper"} <= failing
    slow = recorded_runs("slice", 3)
    errors = tables_5_6.time_series_se(slow)
    assert errors["b_trt"].lower > 0.028


def test_limits_are_a_t_law_of_the_logarithms():
    values = np.exp(np.linspace(-1, 1, 9))
    runs = pd.DataFrame({"parameter": "b_age", "ts_se": values, "run": range(9), "independent": True})
    found = tables_5_6.time_series_se(runs)["b_age"]
    reach = np.exp(stats.t.isf(tables_5_6.LEVEL / 2, 8) * np.log(values).std(ddof=1) * np.sqrt(1 + 1 / 9))
    assert (found.value, found.lower, found.upper) == pytest.approx((1.0, 1 / reach, reach))


def test_a_thinning_that_was_not_recorded_is_refused():
    with pytest.raises(ValueError, match=r"no runs at thinning 7; recorded are \[1, 2, 3"):
        recorded_runs("slice", 7)


def test_joint_distance_by_hand():
    ten = pd.DataFrame({"a": np.arange(1.0, 11.0)})
    distance, typical = joint_distance(pd.Series({"a": 9.0}), ten, decimals=0)
    assert distance == pytest.approx(3.5**2 / (ten["a"].var() + 1 / 12))
    assert typical == pytest.approx((2.5**2 + 2.5**2) / 2 / (ten["a"].var() + 1 / 12))


def test_joint_distance_tells_a_run_of_another_law():
    generator = np.random.default_rng(6)
    simulated = pd.DataFrame(generator.normal(size=(999, 12)))
    same, typical = joint_distance(pd.Series(generator.normal(size=12)), simulated, decimals=3)
    other, _ = joint_distance(pd.Series(2 + generator.normal(size=12)), simulated, decimals=3)
    assert typical == pytest.approx(11.34, rel=0.1)  # the median of chi-squared with 12 degrees of freedom
    squares = simulated.pow(2).sum(axis=1)
    assert same < squares.quantile(0.99) < squares.max() < other


def test_joint_distance_bears_a_quantity_that_never_varies_in_print():
    simulated = pd.DataFrame({"a": np.arange(20.0), "b": 0.002})
    distance, typical = joint_distance(pd.Series({"a": 9.0, "b": 0.002}), simulated, decimals=3)
    assert distance < typical
    # Four thousandths instead of two: 2 units, of which rounding has the standard deviation 1 / sqrt(12).
    assert joint_distance(pd.Series({"a": 9.5, "b": 0.004}), simulated, decimals=3)[0] == pytest.approx(4 * 12)


def test_normal_exceedance_in_closed_form():
    expected, probability = normal_exceedance(36, 3.168)
    assert probability == pytest.approx(1 - (1 - 2 * stats.norm.sf(3.168)) ** 36, rel=1e-12)
    assert expected == pytest.approx(36 * 2 * stats.norm.sf(3.168), rel=1e-12)
    assert normal_exceedance(36, 0)[1] == 1
    assert normal_exceedance(5, 1.959963984540054, at_least=5)[1] == pytest.approx(0.05**5, rel=1e-9)
