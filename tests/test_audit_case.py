"""The case that the statements are about: both readings of the paper's posterior."""

import numpy as np
import pytest
from audit_worlds import paper_case, reversed_case

from hte_utils import simulate_trial
from hte_utils.audit.case import HAS_BLED, UNCOVERED_ITEMS, table_8_by_reading, truth_by_quintile
from hte_utils.model.listing_2 import table4_draws
from hte_utils.paper import printed, printed_number


def test_the_draws_have_the_means_and_sds_of_table_4():
    for name, draws in table4_draws(paper_case().posterior).items():
        assert float(draws.mean()) == pytest.approx(printed_number(f"table4.{name}.Mean"), abs=1e-6)
        assert float(draws.std(ddof=1)) == pytest.approx(printed_number(f"table4.{name}.SD"), abs=1e-4)


def test_the_paper_s_reading_gives_table_8_and_the_model_s_does_not():
    case = paper_case()
    for quintile in case.as_computed.log_odds.index:
        for column in ("mean_risk", "mean_te"):
            expected = printed_number(f"table8.{quintile}.{column}")
            assert case.as_computed.log_odds.loc[quintile, column] == pytest.approx(expected, abs=0.01)
            assert abs(case.as_implied.log_odds.loc[quintile, column] - expected) > 0.05


def test_table_7_comes_from_table_4_without_the_gender_effects():
    case = paper_case()
    for name in ("correlation", "rmse", "mae"):
        assert f"{getattr(case.metrics_of_table_4(gender_effects=False), name):.3f}" == printed(f"table7.{name}")
        assert f"{getattr(case.metrics_of_table_4(gender_effects=True), name):.3f}" != printed(f"table7.{name}")


def test_what_is_true_of_a_quintile_is_the_mean_over_its_patients():
    case = reversed_case()
    in_q5 = case.as_implied.group == 5
    assert case.as_implied.true.loc["Q5", "risk_difference"] == pytest.approx(case.truth.risk_difference[in_q5].mean())
    np.testing.assert_allclose(case.as_implied.cate, paper_case().as_implied.cate)


def test_table_8_by_reading_begins_with_the_printed_numbers():
    table = table_8_by_reading(paper_case())
    assert table.loc["Q5", ("mean effect", "printed")] == printed_number("table8.Q5.mean_te")
    gap = (table["mean risk"]["gender effects left out"] - table["mean risk"]["printed"]).abs()
    assert gap.max() < 0.01
    assert (table["mean risk"]["gender effects in"] < table["mean risk"]["printed"] / 2).all()


def test_truth_by_quintile_is_in_percentage_points():
    case, table = paper_case(), truth_by_quintile(paper_case())
    true = 100 * case.truth.risk_difference
    assert table["true difference"].mean() == pytest.approx(true.mean())
    assert table["predicted difference"].mean() == pytest.approx(100 * case.as_implied.risk_difference.mean())
    in_q5 = case.as_computed.group == 5  # the patients of Table 8, in every column
    assert table.loc["Q5", "true difference"] == pytest.approx(true[in_q5].mean())
    assert table.loc["Q5", "predicted difference"] == pytest.approx(100 * case.as_implied.risk_difference[in_q5].mean())
    assert table["truly harmed (%)"].mean() == pytest.approx(100 * np.mean(true > 0))


def test_the_score_has_nine_items_and_its_columns_exist():
    assert len(HAS_BLED) == 9
    covered = {column for column in HAS_BLED.values() if column}
    assert covered <= set(simulate_trial(5).columns)
    assert len(UNCOVERED_ITEMS) == 9 - len(covered)
