"""Which trial is behind which table."""

from audit_cases import paper_proofs

from hte_utils.audit.experiments import TABLE_1, TABLE_3, TABLE_4
from hte_utils.trial import TrialVariant


def test_the_listing_as_printed_gives_tables_1_and_4_and_nothing_else_does():
    table = paper_proofs().variants
    assert table.loc[TrialVariant.AS_PRINTED].to_dict() == {TABLE_1: 90, TABLE_3: 57, TABLE_4: 12}
    others = table.drop(index=TrialVariant.AS_PRINTED)
    assert (others[TABLE_1] < 10).all()
    assert (others[TABLE_4] < 12).all()
    assert (others[TABLE_3] == 60).all()
