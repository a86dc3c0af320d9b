"""The paper's diagnostics among recorded JAGS runs."""

import numpy as np
import pandas as pd
import pytest

from hte_utils import paper_sampler
from hte_utils.ledger import Verdict, record
from hte_utils.ledger.tolerance import z_threshold
from hte_utils.paper_sampler import JagsSampler


@pytest.fixture(scope="module")
def runs():
    return paper_sampler.at_thinning(paper_sampler.recorded_runs(JagsSampler.SLICE), paper_sampler.PAPER_THINNING)


def test_one_setting_gives_the_papers_time_series_errors_and_it_is_not_the_glm_module():
    table = paper_sampler.compare_settings()
    fits = table[table["distance"] < 2 * table["typical"]]
    assert list(fits.index) == [(str(JagsSampler.SLICE), paper_sampler.PAPER_THINNING)]


def test_the_implied_effective_sizes_are_the_quotient_of_two_printed_numbers():
    implied = paper_sampler.implied_ess()
    assert implied["b_intercept"] == pytest.approx((0.968 / 0.091) ** 2)
    assert len(implied) == 12


@pytest.mark.parametrize(("item", "table"), [("Table 5", paper_sampler.table_5), ("Table 6", paper_sampler.table_6)])
def test_the_printed_diagnostics_lie_among_those_of_the_papers_sampler(item, table, runs):
    assert record(item, table(runs)).verdict_counts() == {Verdict.WITHIN_ERROR: len(table(runs))}


def test_they_do_not_lie_among_those_of_another_sampler():
    glm = paper_sampler.at_thinning(paper_sampler.recorded_runs(JagsSampler.GLM), 5)
    failing = {entry.id for entry in record("Table 5", paper_sampler.table_5(glm)).entries if entry.fails}
    assert {"table5.b_intercept.point", "table5.b_intercept.upper"} <= failing
    slow = paper_sampler.at_thinning(paper_sampler.recorded_runs(JagsSampler.SLICE), 3)
    errors = paper_sampler.time_series_se(slow)
    assert errors["b_trt"].lower > 0.028


def test_limits_follow_a_hand_made_set_of_runs():
    values = np.exp(np.linspace(-1, 1, 9))
    runs = pd.DataFrame({"parameter": "b_age", "ts_se": values, "run": range(9)})
    found = paper_sampler.time_series_se(runs)["b_age"]
    reach = np.exp(z_threshold() * np.log(values).std(ddof=1))
    assert (found.value, found.lower, found.upper) == pytest.approx((1.0, 1 / reach, reach))


def test_a_thinning_that_was_not_recorded_is_refused():
    with pytest.raises(ValueError, match=r"no runs at thinning 7; recorded are \[1, 2, 3"):
        paper_sampler.at_thinning(paper_sampler.recorded_runs(JagsSampler.SLICE), 7)
