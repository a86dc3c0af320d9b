"""The paper's numbers and statements as data: all there, and consistent where arithmetic ties them."""

import math
import re
import runpy
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from hte_utils.ledger.notebooks import Project
from hte_utils.paper import (
    Kind,
    Statement,
    entries_of,
    paper_entries,
    paper_entry,
    printed,
    printed_number,
    statement,
    statements,
)

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


PARTS = [
    "Abstract",
    *(f"Section {number}" for number in ("1.1", "1.2", "2.1", "2.2", "3", "4.1", "4.2")),
    *(f"Appendix {letter}" for letter in "ABC"),
]


def test_every_part_of_the_paper_is_there_in_its_order():
    assert list(dict.fromkeys(one.item for one in statements())) == PARTS


def test_every_statement_is_whole_and_named_once():
    for one in statements():
        assert re.fullmatch(r"statement\.[a-z0-9]+(-[a-z0-9]+)*", one.id)
        for text in (one.place, one.quote, one.check):
            assert text
            assert text == text.strip()
    assert len({one.id for one in statements()}) == len(statements())
    assert len({(one.item, one.quote) for one in statements()}) == len(statements())


def words_of(item):
    return " ".join(one.quote for one in statements() if one.item == item)


@pytest.mark.parametrize(
    ("item", "numbers"),
    [
        ("Abstract", ["0.78", "0.53", "0.547", "-0.359"]),
        ("Section 3", ["0.78", "0.53", "1.04", "within 2"]),
        ("Section 2.1", ["0.52", "σ = 12", "σ = 5", "0.2 + 0.2", "0.25 - 0.1", "p = 0.3", "p = 0.1"]),
        ("Section 2.2", ["N(0, 1)", "Gamma(2, 2)", "three levels", "μ_τ", "σ_τ²", "σ_η²"]),
        ("Appendix A", ["-3.5", "0.02", "0.8", "1.2", "0.01", "-0.2", "0.5", "0.4", "-0.3"]),
    ],
)
def test_the_numbers_of_the_prose_and_the_listings_are_quoted(item, numbers):
    words = words_of(item)
    assert [number for number in numbers if number not in words] == []


def test_statements_and_numbers_do_not_share_ids_or_items():
    assert not {one.id for one in statements()} & {entry.id for entry in paper_entries()}
    assert not {one.item for one in statements()} & {entry.item for entry in paper_entries()}


def test_a_statement_knows_its_place():
    found = statement("statement.equation-4")
    assert isinstance(found, Statement)
    assert found.source == "Section 2.1, equation (4)"


def test_unknown_statements_are_refused():
    with pytest.raises(KeyError, match=r"no statement has the id 'statement\.x'"):
        statement("statement.x")


def test_every_caption_of_a_table_figure_and_listing_is_there():
    places = {one.place for one in statements()}
    for what in (*(f"Table {k}" for k in range(1, 9)), *(f"Figure {k}" for k in range(1, 7)), "Listing 1", "Listing 2"):
        assert f"caption of {what}" in places


def test_every_claim_in_the_comments_of_listing_1_is_there():
    words = words_of("Appendix A")
    for comment in (
        "Truncate age",
        "Truncate BMI",
        "some correlation",
        "possibility of harm",
        "centered at 55",
        "Positive effect",
    ):
        assert comment in words


def test_the_readme_counts_the_statements():
    readme = (Project.find().root / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"Every statement \((\d+)\)", readme) == [str(len(statements()))]
