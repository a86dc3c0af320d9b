"""No result is typed by hand: numbers in prose and captions are computed by {eval}, quoted, or conventions.

What may stand: code, mathematics, roles (computed numbers, references), the paper's own words in double quotes as the
ledger of statements holds them, and what ``.ci/typed_numbers.py`` lists with its reasons.
"""

import re

import pytest
from typed_numbers import unheld_numbers

from hte_utils.ledger.notebooks import Project, read_text_notebook
from hte_utils.paper import statements

PROJECT = Project.find()
PAGES = sorted(path.stem for path in PROJECT.text_notebooks.glob("*.md"))

NOT_TYPED = (
    r"```.*?```",
    r"^:\w+:.*?$",
    r"\$\$.*?\$\$",
    r"\\begin\{.*?\\end\{[^}]*\}",
    r"\{[\w:-]+\}`[^`]*`",
    r"`[^`]*`",
    r"\$[^$]+\$",
    r"\]\([^)]*\)",
    r"<[^>]+>",
)
PROSE_DIRECTIVE = re.compile(
    r"^```\{(?:table|list-table|note|tip|warning|admonition)\}(.*?)^```$", re.DOTALL | re.MULTILINE
)
QUOTATION = re.compile(r'"([^"]+)"')
PAPERS_WORDS = " ".join(" ".join(statement.quote.split()) for statement in statements())


def prose_of(name):
    """Yield the texts of a page that a reader reads as sentences."""
    for cell in read_text_notebook(PROJECT.text_notebook(name)).cells:
        if cell.cell_type == "markdown":
            yield cell.source
        else:
            shown = cell.metadata.get("mystnb", {})
            yield shown.get("figure", {}).get("caption", "")
            yield shown.get("image", {}).get("alt", "")


def typed_numbers(text):
    """Numbers that a person typed and no reason holds, each with the words around it."""
    text = PROSE_DIRECTIVE.sub(r"\1", text)
    for pattern in NOT_TYPED:
        text = re.sub(pattern, " ", text, flags=re.DOTALL | re.MULTILINE)
    return unheld_numbers(QUOTATION.sub(_unless_the_papers_words, text))


def _unless_the_papers_words(quotation):
    """Drop a quotation that is the paper's, to the letter, in an entry of the ledger."""
    return " " if " ".join(quotation.group(1).split()).rstrip(".,;") in PAPERS_WORDS else quotation.group()


@pytest.mark.parametrize("name", PAGES)
def test_no_number_is_typed_by_hand(name):
    assert [found for text in prose_of(name) for found in typed_numbers(text)] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The correlation is 0.784.", ["0.784"]),
        ("It is {eval}`f'{r:.2f}'` here, see section 2.1 and equation $p = 0.52$.", []),
        ("`rbinom(n, 1, 0.25)` and R 4.0.0", []),
        ("a limit of 1.01", []),
        ("With 11 covariates, 9 of them binary,", ["11", "9"]),
        ("9 of the 36 scores; 40 per cent; 19,470 or 10 000 runs", ["9", "36", "40", "19,470", "10", "000"]),
        ("in 62 % of 2000 trials", ["62", "2000"]),
        ("1. First, as in Table 2 and chapters 3 to 5 (Wager 2024), 95 % of the 2000 patients above 65", []),
        ("the risk is 1.3 above 65.5", ["1.3", "65.5"]),
        ("a coefficient of -0.36, Q5, `n = 7`, x1", ["-0.36"]),
        ("from −2 to 2", ["−2", "2"]),
        ("```{table} Results\n| r | 0.784 |\n```", ["0.784"]),
        ("```sh\nrun 0.784\n```", []),
        ('the paper says "a number 12.34 it never wrote"', ["12.34"]),
    ],
)
def test_the_check_bites(text, found):
    assert [each.split()[0] for each in typed_numbers(text)] == found


def test_a_quotation_of_the_paper_may_hold_its_numbers():
    quote = next(statement.quote for statement in statements() if re.search(r"\d\.\d", statement.quote))
    assert typed_numbers(f'The paper says "{quote}".') == []
