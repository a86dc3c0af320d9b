"""Table 3 and the variants that might have made it."""

from hte_utils import simulate_trial
from hte_utils.ledger import Verdict, record
from hte_utils.paper import paper_entry
from hte_utils.reproduction.table_3 import agreement_by_variant, reproduce_table_three, table_three_values


def test_the_single_draw_variant_gives_every_cell():
    variant = simulate_trial(variant="first-draw-removed")
    report = record("Table 3", table_three_values(variant))
    assert report.verdict_counts() == {Verdict.REPRODUCED: 60}


def test_the_analysed_trial_contradicts_three_treatments_and_nothing_else():
    entries = record("Table 3", table_three_values(simulate_trial())).entries
    assert {entry.id for entry in entries if entry.fails} == {f"table3.{i}.treatment" for i in (2, 3, 5)}


def test_cells_the_analysed_trial_lacks_are_marked():
    found = reproduce_table_three(simulate_trial(), simulate_trial(variant="first-draw-removed"))
    marked = {entry_id for entry_id, value in found.items() if value.paper_error}
    assert {paper_entry(entry_id).column for entry_id in marked} == {"treatment"}
    assert len(marked) == 3


def test_no_reading_but_a_single_counting_draw_fits_and_table_3_cannot_tell_those_two_apart():
    table = agreement_by_variant()
    assert table.loc["as-printed", "cells"] == 57
    assert table.loc["first-draw-removed", "cells"] == table.loc["first-draw-kept", "cells"] == 60
    assert list(table.loc["as-printed", ["events, control", "events, treatment"]]) == [50, 63]
    assert list(table.loc["first-draw-kept", ["events, control", "events, treatment"]]) != [50, 63]
