"""The case that the statements are about: both readings of the paper's posterior."""

import numpy as np
import pytest
from audit_cases import paper_case, reversed_case

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
