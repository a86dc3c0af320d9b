"""The paper's numbers as data: all there, and consistent with one another where arithmetic ties them."""

import math
import runpy
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from hte_utils.paper import Kind, entries_of, paper_entries, paper_entry, printed, printed_number

AS_PRINTED = Path(__file__).parent / "reference" / "paper_as_printed.py"
ARMS = ("control", "treatment")


def test_every_table_has_as_many_numbers_as_the_paper_prints():
    counts = Counter(entry.item for entry in paper_entries())
    expected = {1: 90, 3: 60, 4: 60, 5: 25, 6: 36, 7: 4, 8: 30}
    assert counts == {f"Table {k}": n for k, n in expected.items()}
    assert len({entry.id for entry in paper_entries()}) == 305


def test_no_printed_number_has_changed_since_it_was_held_against_the_paper():
    """Changed on purpose? ``python tests/reference/paper_as_printed.py --write``."""
    assert runpy.run_path(str(AS_PRINTED))["difference"]() == []


def test_one_changed_digit_is_shown(monkeypatch):
    reference = runpy.run_path(str(AS_PRINTED))
    changed = [replace(e, printed="-0.358") if e.id == "table8.Q1.mean_te" else e for e in paper_entries()]
    monkeypatch.setitem(reference["lines"].__globals__, "paper_entries", lambda: changed)
    gone, new = reference["difference"]()
    assert "Q1.mean_te = -0.359," in gone
    assert "Q1.mean_te = -0.358," in new


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize(
    ("variable", "levels"),
    [
        ("gender", ("male", "female")),
        *((name, ("no", "yes")) for name in ("hypertension", "diabetes", "smoking", "anticoagulant", "prior_bleeding")),
        ("event", ("0", "1")),
    ],
)
def test_table_1_counts_add_up_and_give_the_printed_percentages(arm, variable, levels):
    total = printed_number(f"table1.n.{arm}")
    counts = [printed_number(f"table1.{variable}.{level}.count.{arm}") for level in levels]
    assert sum(counts) == total
    for level, count in zip(levels, counts, strict=True):
        assert f"{100 * count / total:.1f}" == printed(f"table1.{variable}.{level}.percent.{arm}")


def test_table_4_prob_is_the_logistic_function_of_the_mean():
    for row in {entry.row for entry in entries_of("Table 4")}:
        mean = printed_number(f"table4.{row}.Mean")
        assert abs(1 / (1 + math.exp(-mean)) - printed_number(f"table4.{row}.prob")) < 0.001


def test_table_4_naive_errors_belong_to_3000_draws():
    for row in {entry.row for entry in entries_of("Table 4")}:
        naive = printed_number(f"table4.{row}.SD") / math.sqrt(3000)
        assert f"{naive:.3f}" == printed(f"table4.{row}.Naive.SE")


def test_upper_limits_of_table_5_are_above_the_points():
    for entry in entries_of("Table 5"):
        if entry.id.endswith(".upper"):
            assert float(entry.printed) >= printed_number(entry.id.replace(".upper", ".point"))


def test_an_entry_knows_its_place_kind_and_decimals():
    entry = paper_entry("table7.rmse")
    assert (entry.item, entry.kind, entry.decimals) == ("Table 7", Kind.MONTE_CARLO, 3)
    assert entry.source == "Table 7, row 'RMSE', column 'Value'"
    assert paper_entry("table1.n.control").decimals == 0


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(KeyError, match="Table 2"):
        entries_of("Table 2")
    with pytest.raises(KeyError, match=r"no printed number has the id 'table9\.x'"):
        printed("table9.x")
