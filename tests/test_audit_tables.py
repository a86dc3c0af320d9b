"""The tables of the chapter."""

import numpy as np
import pytest
from audit_cases import paper_case, paper_proofs

from hte_utils.audit import experiments as tables
from hte_utils.paper import printed_number


def test_table_8_by_reading_begins_with_the_printed_numbers():
    table = tables.table_8_by_reading(paper_case())
    assert table.loc["Q5", ("mean effect", "printed")] == printed_number("table8.Q5.mean_te")
    gap = (table["mean risk"]["gender effects left out"] - table["mean risk"]["printed"]).abs()
    assert gap.max() < 0.01
    assert (table["mean risk"]["gender effects in"] < table["mean risk"]["printed"] / 2).all()


def test_truth_by_quintile_is_in_percentage_points():
    case, table = paper_case(), tables.truth_by_quintile(paper_case())
    true = 100 * case.truth.risk_difference
    assert table["true difference"].mean() == pytest.approx(true.mean())
    assert table["predicted difference"].mean() == pytest.approx(100 * case.as_implied.risk_difference.mean())
    in_q5 = case.as_computed.group == 5  # the patients of Table 8, in every column
    assert table.loc["Q5", "true difference"] == pytest.approx(true[in_q5].mean())
    assert table.loc["Q5", "predicted difference"] == pytest.approx(100 * case.as_implied.risk_difference[in_q5].mean())
    assert table["truly harmed (%)"].mean() == pytest.approx(100 * np.mean(true > 0))


def test_the_described_trial_has_no_lumps_and_harms_everybody():
    table = tables.described_beside_run()
    assert table.loc["patients exactly on a limit of age or BMI"].tolist() == [0, 39]
    assert table.loc["patients whose risk treatment raises (%)", "as described"] == 100
    above, below = table.loc["the same, BMI above 30"], table.loc["the same, BMI up to 30"]
    assert above["as described"] > below["as described"]
    assert above["as run"] < below["as run"]


def test_allocations_are_shown_in_points_and_per_cent():
    proofs = paper_proofs()
    table = tables.confounding_by_allocation({"by risk": proofs.by_risk})
    assert table.loc["by risk"].tolist() == [
        proofs.by_risk.confounding,
        proofs.by_risk.spread,
        100 * proofs.by_risk.found,
    ]
