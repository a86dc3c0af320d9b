"""The book's own Sphinx extension: tables are numbered as tables, numbers are set in one style, stale pages noticed.

Pages are run side by side, as many as there are cores.

MyST-NB gives every captioned cell output a figure number. Here an output whose name starts with ``tab-`` becomes a
table: it counts "Table 1, Table 2, ..." and its caption stands above it.

Sphinx rebuilds a page when the page's own text changes. These pages also depend on ``hte_utils`` (every number on
them), on the recorded runs and on the reference values: a change in any of these marks all pages as out of date.
"""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bs4 import BeautifulSoup
from docutils import nodes
from sphinx import addnodes, builders
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform

from hte_utils.ledger.typography import NO_BREAK_SPACE, set_heading, set_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bs4 import Tag
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment
    from sphinx.writers.html5 import HTML5Translator

ROOT = Path(__file__).resolve().parents[2]
WATCHED = ("hte_utils", "tests/recorded", "tests/reference")
SAY_NOTHING_OF_PARALLEL = ("sphinx_jupyterbook_latex", "sphinx_multitoc_numbering", "sphinx-mathjax-offline")
"""They keep nothing between pages while these are read, and do not say so."""
TABLE_PREFIX = "tab-"
VERBATIM = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw, nodes.comment, addnodes.desc)
AS_PRINTED = ("<details class='ledger'>", "<table id='ledger-table'>", "<table class='glance'>")
"""Outputs whose characters stay as they are."""
WORDS = re.compile(r"\s*[^\W\d_]")
LABEL_THAT_HIDES_ITS_TEXT = ' aria-label="Toggle hidden content"'  # MyST-NB's, on "Show code cell source"
EMPTY_HEADING = re.compile(r'<th class="(head[^"]*)">(?:<p></p>)?</th>')
DEPRECATED_ROLES = re.compile(r' role="(?:doc-biblioentry|list)"')  # docutils', on the references


class table_figure(nodes.figure):  # noqa: N801 - docutils names its nodes in lower case
    """A figure that counts as a table."""


class NumberTablesAsTables(SphinxTransform):
    """Turn captioned outputs named ``tab-...`` into tables before Sphinx hands out numbers."""

    default_priority = 200

    def apply(self, **_: Any) -> None:
        """Replace the nodes."""
        for figure in list(self.document.findall(nodes.figure)):
            if any(name.startswith(TABLE_PREFIX) for name in figure["names"]):
                table = table_figure("", *figure.children, **figure.attributes)
                table["classes"] = [*figure["classes"], "numbered-table"]
                figure.replace_self(table)
                self.document.ids.update(dict.fromkeys(table["ids"], table))


class SetNumbers(SphinxPostTransform):
    """Set the numbers of prose, captions, alternative texts and output tables in the style of the book."""

    default_priority = 900  # after MyST-NB has chosen what an output shows, and the values of {eval} are in place

    def run(self, **_: Any) -> None:
        """Replace the texts; code, mathematics and the ledger's characters stay as they are."""
        before = ""
        for text in list(self.document.findall(nodes.Text)):
            shown = text.astext()
            if not is_verbatim(text):
                shown = set_numbers(shown)
                if before[-1:].isdigit():  # a number by {eval}; its per cent sign begins the next text
                    shown = re.sub(r"^\s?%", f"{NO_BREAK_SPACE}%", shown)
                text.parent.replace(text, nodes.Text(shown))
            before = shown
        for image in self.document.findall(nodes.image):
            image["alt"] = set_numbers(image.get("alt", ""))
        for raw in list(self.document.findall(nodes.raw)):
            if "html" in raw.get("format", ""):
                raw.replace_self(nodes.raw("", set_cells(raw.astext()), format=raw["format"]))


def is_verbatim(text: nodes.Text) -> bool:
    """Whether a text stands in code, mathematics or raw HTML."""
    node = text.parent
    while node is not None and not isinstance(node, VERBATIM):
        node = node.parent
    return node is not None


def set_cells(html: str) -> str:
    """Set the tables of an output: numbers, names, headings; the ledger shows characters as they were printed."""
    if "<table" not in html or any(mark in html for mark in AS_PRINTED):
        return html
    page = BeautifulSoup(html, "html.parser")
    for table in page.find_all("table"):
        _join_headings(table)
        for cell in table.find_all(["td", "th"]):
            _set_cell(cell)
        _mark_headings_of_words(table)
    return str(page)


def _join_headings(table: Tag) -> None:
    """Put the names of the index, to which pandas gives a row of their own, beside those of the columns."""
    rows = table.select("thead tr")
    if len(rows) < 2:
        return
    above, below = (row.find_all("th") for row in rows[-2:])
    names = [cell.text.strip() for cell in below]
    levels = next((place for place, cell in enumerate(above) if cell.text.strip()), 0)
    if any(names[levels:]) or len(above) != len(below):
        return
    for cell, name in zip(above[:levels], names[:levels], strict=True):
        cell.string = name
    rows[-1].decompose()


def _set_cell(cell: Tag) -> None:
    """Set a cell's text; words are marked, so that they stand at the left, and an empty heading heads nothing."""
    if cell.name == "th":
        cell["scope"] = "col" if cell.find_parent("thead") else "row"
        if not cell.text.strip():
            cell.name = "td"
            del cell["scope"]
    if (text := cell.string) is None:
        return
    shown = set_numbers(set_heading(text) if cell.name == "th" else text)
    text.replace_with(shown)
    if cell.name == "td" and WORDS.match(shown):
        cell["data-words"] = ""


def _mark_headings_of_words(table: Tag) -> None:
    """Let the heading of a column of words stand at the left as well; cells are counted from the right end of a row."""
    rows = [row.find_all(["td", "th"]) for row in table.select("tbody tr")]
    headings = table.select("thead tr")[-1].find_all(["td", "th"]) if table.select("thead tr") else []
    for place in range(1, 1 + min(map(len, [headings, *rows]))):
        if rows and all(row[-place].name == "th" or row[-place].has_attr("data-words") for row in rows):
            headings[-place]["data-words"] = ""


def visit_table_figure(translator: HTML5Translator, node: nodes.Element) -> None:
    """Write the opening of a numbered table."""
    translator.visit_figure(node)


def depart_table_figure(translator: HTML5Translator, node: nodes.Element) -> None:
    """Write the end of a numbered table."""
    translator.depart_figure(node)


def caption_of(node: nodes.Element) -> str:
    """Caption text, for references by number."""
    return next((child.astext() for child in node if isinstance(child, nodes.caption)), "")


def watched_digest() -> str:
    """Digest of everything the pages are computed from: the package, the recorded runs and the reference values."""
    digest = sha256()
    for path in sorted(path for folder in WATCHED for path in (ROOT / folder).rglob("*")):
        if path.suffix in {".py", ".csv", ".gz", ".ipynb"}:
            digest.update(str(path.relative_to(ROOT)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def outdated_by_sources(_app: Sphinx, env: BuildEnvironment, *_changes: set[str]) -> list[str]:
    """Mark all pages as out of date when what they are computed from is not what they were built with."""
    digest = watched_digest()
    if getattr(env, "hte_digest", None) == digest:
        return []
    env.hte_digest = digest  # type: ignore[attr-defined]
    return sorted(env.found_docs)


def read_side_by_side(app: Sphinx) -> None:
    """Let Sphinx read pages, and so run them, in as many processes as there are cores."""
    app.parallel = max(app.parallel, os.cpu_count() or 1)
    for name in SAY_NOTHING_OF_PARALLEL:
        app.extensions[name].parallel_read_safe = True
    builders.make_chunks = one_page_a_task  # by itself, Sphinx cuts the list of pages into as many pieces as processes


def one_page_a_task(pages: Sequence[str], *_: int) -> list[list[str]]:
    """Return tasks of one page each."""
    return [[page] for page in pages]


def longest_first(_app: Sphinx, env: BuildEnvironment, pages: list[str]) -> None:
    """Sort the pages so that long ones are not begun last: Sphinx begins with the first ones and goes on at the end."""
    pages.sort(key=lambda page: Path(env.doc2path(page)).stat().st_size)


def mend_page(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Take out what other extensions write wrongly: labels that hide a text, headings of nothing, old roles, Thebe."""
    if "body" in context:
        body = context["body"].replace(LABEL_THAT_HIDES_ITS_TEXT, "")
        context["body"] = EMPTY_HEADING.sub(r'<td class="\1"></td>', DEPRECATED_ROLES.sub("", body))
    scripts = context.get("script_files", [])
    context["script_files"] = [one for one in scripts if "thebe" not in f"{one.filename} {one.attributes}".lower()]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_enumerable_node(table_figure, "table", caption_of, html=(visit_table_figure, depart_table_figure))
    app.add_transform(NumberTablesAsTables)
    app.add_post_transform(SetNumbers)
    app.connect("builder-inited", read_side_by_side)
    app.connect("env-get-outdated", outdated_by_sources)
    app.connect("env-before-read-docs", longest_first)
    app.connect("html-page-context", mend_page, priority=900)  # after the others
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True, "env_version": 1}
