"""The paper's statements as data: complete records, unique, and none of the prose's numbers forgotten."""

import re

import pytest

from hte_utils.ledger.notebooks import Project
from hte_utils.paper import paper_entries
from hte_utils.paper.statements import Statement, statement, statements, statements_of

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
    words = " ".join(one.quote for one in statements_of(item))
    assert [number for number in numbers if number not in words] == []


def test_statements_and_numbers_do_not_share_ids_or_items():
    assert not {one.id for one in statements()} & {entry.id for entry in paper_entries()}
    assert not {one.item for one in statements()} & {entry.item for entry in paper_entries()}


def test_a_statement_knows_its_place():
    found = statement("statement.equation-4")
    assert isinstance(found, Statement)
    assert found.source == "Section 2.1, equation (4)"


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(KeyError, match=r"no statement has the id 'statement\.x'"):
        statement("statement.x")
    with pytest.raises(KeyError, match=r"there are Abstract, Section 1\.1"):
        statements_of("Section 5")


def test_every_caption_of_a_table_figure_and_listing_is_there():
    places = {one.place for one in statements()}
    for what in (*(f"Table {k}" for k in range(1, 9)), *(f"Figure {k}" for k in range(1, 7)), "Listing 1", "Listing 2"):
        assert f"caption of {what}" in places


def test_every_claim_in_the_comments_of_listing_1_is_there():
    words = " ".join(one.quote for one in statements_of("Appendix A"))
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
