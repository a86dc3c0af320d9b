"""HAS-BLED against the columns of the trial."""

from hte_utils import simulate_trial
from hte_utils.audit.case import HAS_BLED, uncovered_items


def test_the_score_has_nine_items_and_its_columns_exist():
    assert len(HAS_BLED) == 9
    covered = {column for column in HAS_BLED.values() if column}
    assert covered <= set(simulate_trial(5).columns)
    assert len(uncovered_items()) == 9 - len(covered)
