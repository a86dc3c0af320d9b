"""No result is typed by hand: decimals in prose, captions and alternative texts are glued, quoted, or conventions.

What may stand: code, mathematics, roles (glued numbers, references), the paper's own words in double quotes as the
ledger of statements holds them, numbers of sections, and the conventions listed here with their reasons.
"""

import re

import pytest

from hte_utils.ledger.recorded import Project, read_text_notebook
from hte_utils.paper.statements import statements

PROJECT = Project.find()
PAGES = sorted(path.stem for path in PROJECT.text_notebooks.glob("*.md"))

CONVENTIONS = {
    "1.96": "97.5 % point of the standard normal distribution",
    "1.01": "limit of R-hat (Vehtari et al. 2021)",
    "1.1": "limit of the PSRF in older use",
    "1.2": "limit of the PSRF in 1992",
    "0.3": "limit of E-BFMI",
    "0.7": "limit of Pareto's k",
    "0.1": "usual alarm for a standardised difference; p below 0.1",
    "0.5": "no discrimination (AUC); no effect (probability of a log odds of zero)",
    "0.05": "level of a test",
}
NOT_TYPED = (
    r"```.*?```",
    r"\$\$.*?\$\$",
    r"\\begin\{.*?\\end\{[^}]*\}",
    r"\{[\w:-]+\}`[^`]*`",
    r"`[^`]*`",
    r"\$[^$]+\$",
    r"\]\([^)]*\)",
    r"<[^>]+>",
    r"\b[Ss]ections? \d+\.\d+(?:(?:,| and| to) \d+\.\d+)*",
    r"\bR \d+\.\d+\.\d+",
)
DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+")
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


def typed_decimals(text):
    """Decimals that a person typed, each with the words around it."""
    text = PROSE_DIRECTIVE.sub(r"\1", text)
    for pattern in NOT_TYPED:
        text = re.sub(pattern, " ", text, flags=re.DOTALL)
    text = QUOTATION.sub(_unless_the_papers_words, " ".join(text.split()))
    return [
        f"{found.group()} in: {text[max(0, found.start() - 40) : found.end() + 20]}"
        for found in DECIMAL.finditer(text)
        if found.group() not in CONVENTIONS
    ]


def _unless_the_papers_words(quotation):
    """Drop a quotation that is the paper's, to the letter, in an entry of the ledger."""
    return " " if quotation.group(1).rstrip(".,;") in PAPERS_WORDS else quotation.group()


@pytest.mark.parametrize("name", PAGES)
def test_no_decimal_number_is_typed_by_hand(name):
    assert [found for text in prose_of(name) for found in typed_decimals(text)] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The correlation is 0.784.", ["0.784"]),
        ("It is {glue:text}`r` here, see section 2.1 and equation $p = 0.52$.", []),
        ("`rbinom(n, 1, 0.25)` and R 4.0.0", []),
        ("a limit of 1.01", []),
        ("```{table} Results\n| r | 0.784 |\n```", ["0.784"]),
        ("```sh\nrun 0.784\n```", []),
        ('the paper says "a number 12.34 it never wrote"', ["12.34"]),
    ],
)
def test_the_check_bites(text, found):
    assert [each.split()[0] for each in typed_decimals(text)] == found


def test_a_quotation_of_the_paper_may_hold_its_numbers():
    quote = next(statement.quote for statement in statements() if DECIMAL.search(statement.quote))
    assert typed_decimals(f'The paper says "{quote}".') == []
