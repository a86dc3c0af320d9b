"""The paper's names against the labelled variables."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from paper_fits import paper_posterior

from hte_utils.parameters import listing2_draws, parameters_of, table4_draws

# The rows of Table 4, in its order.
TABLE_4 = [
    *("b_age", "b_anticoag", "b_bmi", "b_diabetes", "b_intercept", "b_prior", "b_trt"),
    *("b_trt_age", "b_trt_anticoag", "b_trt_diabetes", "te_gender[1]", "te_gender[2]"),
]


def test_names_are_those_of_listing_2_and_table_4() -> None:
    assert list(table4_draws(paper_posterior()).data_vars) == TABLE_4
    others = {"re[1]", "re[2]", "re_trt[1]", "re_trt[2]", "tau_re", "tau_re_trt"}
    assert set(listing2_draws(paper_posterior()).data_vars) == {*TABLE_4, *others}


def test_each_name_points_at_its_label() -> None:
    draws, posterior = listing2_draws(paper_posterior()), paper_posterior()["posterior"]
    for name, variable, selection in (
        ("b_age", "b_prognostic", {"prognostic": "age"}),
        ("b_trt_diabetes", "b_interaction", {"modifier": "diabetes"}),
        ("re[1]", "re", {"group": "Male"}),
        ("re_trt[2]", "re_trt", {"group": "Female"}),
        ("te_gender[1]", "te_group", {"group": "Male"}),
        ("tau_re", "tau_re", {}),
    ):
        np.testing.assert_array_equal(draws[name], posterior[variable].sel(selection))
        assert draws[name].dims == ("chain", "draw")


def test_te_gender_is_the_sum_of_lines_47_to_50() -> None:
    draws = listing2_draws(paper_posterior())
    for group in (1, 2):
        np.testing.assert_allclose(draws[f"te_gender[{group}]"], draws["b_trt"] + draws[f"re_trt[{group}]"], atol=1e-12)


def test_positions_are_records() -> None:
    by_name = {parameter.name: parameter for parameter in parameters_of(paper_posterior())}
    assert (by_name["b_trt_age"].variable, by_name["b_trt_age"].label) == ("b_interaction", "age")
    assert by_name["tau_re"].dim is None


def test_other_trees_are_refused() -> None:
    with pytest.raises(ValueError, match="no group 'posterior'"):
        listing2_draws(xr.DataTree())
    lacking = xr.DataTree.from_dict({"posterior": paper_posterior()["posterior"].to_dataset().drop_vars("re")})
    with pytest.raises(ValueError, match=r"lacks \['re'\]"):
        listing2_draws(lacking)
