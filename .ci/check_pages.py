"""Check the built book: pages, links, descriptions, no network; every number is held and set in the book's style.

Usage: python .ci/check_pages.py [folder of the built pages]
"""

from __future__ import annotations

import copy
import re
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import yaml
from bs4 import BeautifulSoup, Tag
from typed_numbers import count_numbers, unheld_numbers

from hte_utils.ledger.typography import set_numbers
from hte_utils.paper import statements

ROOT = Path(__file__).resolve().parents[1]
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}
LINK_RELATIONS_THAT_LOAD = {"stylesheet", "icon", "preload", "shortcut icon", "apple-touch-icon"}
FILES_BESIDE_THE_PAGES = (
    "_static/mathjax/tex-chtml.js",
    "_static/datatables.js",
    "book/ledger.json",
    "book/ledger.csv",
)
HELD = {
    "the ledger": "details.ledger, #ledger-table, table.glance, .proof",
    "the replay: outputs of cells": ".cell_output",
    "the replay: values in the text": "span.output.text_plain",
}
NOT_PROSE = (
    "script, style, pre, code, .math, .headerlink, .caption-number, .bibtex-citation, dl.citation, a.reference, "
    ".cell_input, dl.py, .prev-next-area, .toctree-wrapper, div.bibliography, .citation"
)
BLOCKS = "p, li, td, th, dt, dd, figcaption, h1, h2, h3, h4"
PAPERS_WORDS = " ".join(" ".join(statement.quote.split()) for statement in statements())
QUOTATION = re.compile(r"[\"“]([^\"“”]+)[\"”]")
UNREADABLE = {
    "raw representation": re.compile(r"\bnp\.\w+\(|\b(?:array|Timestamp|dtype)\(|<[\w.]+ object at|^'[^']*'$"),
    "too many digits": re.compile(r"(?<![\w.])(?=\d*\.\d)(?:0\.0*)?[1-9](?:\.?\d){6,}(?![\w.]*\.\d)(?!\w)"),
    "cut text": re.compile(r"(?<=\w)\.\.\.$"),
    "negative zero": re.compile(r"(?<![\w.)])[-−]0(?:\.0+)?(?![\d.]\d|\d)"),
}


def pages_of_contents() -> list[str]:
    """List the pages that the table of contents promises."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [chapter for part in contents["parts"] for chapter in part["chapters"]]
    pages = [page["file"] for chapter in chapters for page in (chapter, *chapter.get("sections", []))]
    return [contents["root"], *pages]


@cache
def parsed(path: Path) -> BeautifulSoup:
    """Read a page."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(path: Path) -> frozenset[str]:
    """Every id of a page."""
    return frozenset(str(element["id"]) for element in parsed(path).find_all(id=True))


def faults_of(name: str, html: Path) -> list[str]:
    """Say what is wrong with one page."""
    path = html / f"{name}.html"
    if not path.is_file():
        return [f"{name}: the page is missing"]
    page = parsed(path)
    article = page.find("article") or page
    links = dict.fromkeys(str(link["href"]) for link in page.find_all("a", href=True))
    return [
        *(f"{name}: loads {address} from a network" for address in _loaded_from_elsewhere(page)),
        *(f"{name}: picture {_start(image.get('src'))} has no alternative text" for image in _undescribed(page)),
        *(f"{name}: caption without a number: {_start(caption.text)}" for caption in _unnumbered(page)),
        *(f"{name}: picture without a caption: {_start(image.get('alt'))}" for image in _uncaptioned_pictures(article)),
        *(f"{name}: table without a caption: {_start(table.text)}" for table in _uncaptioned_tables(article)),
        *(f"{name}: a proof of stored results failed: {_start(box.text)}" for box in page.select(".proof-failed")),
        *(f"{name}: a cell raised an error: {_start(error.text)}" for error in page.select(".output.traceback")),
        *(f"{name}: link to {link} leads nowhere" for link in links if not _leads_somewhere(link, path)),
        *(f"{name}: {fault}" for fault in _unreadable(article)),
        *(f"{name}: no computation holds {number}" for text in _prose(article) for number in unheld_numbers(text)),
    ]


def holders_of(article: Tag) -> Counter[str]:
    """Count the numbers that a reader sees, by what holds them."""
    counts, rest = Counter[str](), article
    for holder, selector in HELD.items():
        counts[holder] = sum(count_numbers(element.text) for element in rest.select(selector))
        rest = _without(rest, selector, "script, style")
    counts["a reference, a convention or a definition"] = sum(count_numbers(text) for text in _prose(article))
    return counts


def _prose(article: Tag) -> list[str]:
    """Texts that people wrote, without code, outputs, values of {eval}, references and the paper's own words."""
    rest = _without(article, *HELD.values(), NOT_PROSE)
    texts = [_own_text(block) for block in rest.select(BLOCKS)]
    texts += [str(image.get("alt", "")) for image in article.find_all("img")]
    return [QUOTATION.sub(_unless_the_papers_words, text) for text in texts if text.strip()]


def _unreadable(article: Tag) -> list[str]:
    """Texts that are not set as the book sets numbers; the ledger shows characters as they were printed."""
    rest = _without(
        article, HELD["the ledger"], ".cell_input, dl.py", "script, style, code, .math, .bibtex-citation, .citation"
    )
    shown = f"{BLOCKS}, .cell_output pre, span.output.text_plain"
    texts = [" ".join(_own_text(block).split()) for block in rest.select(shown)]
    faults = [
        f"{fault}: {_around(found, text)}"
        for text in texts
        for fault, pattern in UNREADABLE.items()
        if (found := pattern.search(text))
    ]
    set_texts = (_own_text(block) for block in _without(rest, "pre").select(BLOCKS))
    return faults + [f"numbers in another style: {_start(text)}" for text in set_texts if set_numbers(text) != text]


def _without(element: Tag, *selectors: str) -> Tag:
    """Copy an element without what the selectors name."""
    rest = copy.copy(element)
    for unwanted in rest.select(", ".join(selectors)):
        unwanted.replace_with(" ")
    return rest


def _own_text(block: Tag) -> str:
    """Text of a block, without that of the blocks inside it."""
    return _without(block, BLOCKS).text


def _unless_the_papers_words(quotation: re.Match[str]) -> str:
    return " " if " ".join(quotation[1].split()).rstrip(".,;") in PAPERS_WORDS else quotation[0]


def _around(found: re.Match[str], text: str) -> str:
    return text[max(0, found.start() - 30) : found.end() + 15]


def _loaded_from_elsewhere(page: BeautifulSoup) -> list[str]:
    found = []
    for tag, attribute in LOADED.items():
        for element in page.find_all(tag, attrs={attribute: True}):
            relations = set(element.get("rel", [])) | {" ".join(element.get("rel", []))}
            if tag != "link" or relations & LINK_RELATIONS_THAT_LOAD:
                found.append(str(element[attribute]))
    return [address for address in found if address.startswith(("http:", "https:", "//"))]


def _undescribed(page: BeautifulSoup) -> list[Tag]:
    return [image for image in page.find_all("img") if not str(image.get("alt", "")).strip()]


def _unnumbered(page: BeautifulSoup) -> list[Tag]:
    return [caption for caption in page.find_all(["figcaption", "caption"]) if not _has_number(caption)]


def _has_number(caption: Tag | None) -> bool:
    return caption is not None and caption.find(class_="caption-number") is not None


def _uncaptioned_pictures(article: Tag) -> list[Tag]:
    return [image for image in article.find_all("img") if not _in_captioned_figure(image)]


def _uncaptioned_tables(article: Tag) -> list[Tag]:
    return [
        table
        for table in article.find_all("table")
        if not (_in_captioned_figure(table) or _has_number(table.find("caption")) or _is_explained(table))
    ]


def _in_captioned_figure(element: Tag) -> bool:
    figure = element.find_parent("figure")
    return figure is not None and _has_number(figure.find("figcaption"))


def _is_explained(table: Tag) -> bool:
    """What the words above it explain: folded entries, the paper's own tables, a form's read-out."""
    folded = table.find_parent("details", class_="ledger") is not None
    return folded or "glance" in table.get("class", []) or table.has_attr("aria-describedby")


def _leads_somewhere(link: str, path: Path) -> bool:
    address, _, fragment = link.partition("#")
    if address.startswith(("http:", "https:", "mailto:")) or link in {"#", ""}:
        return True
    address = address.partition("?")[0]
    target = (path.parent / unquote(address)).resolve() if address else path
    if not target.exists():
        return False
    return not fragment or target.suffix != ".html" or unquote(fragment) in anchors(target)


def _start(text: object) -> str:
    return " ".join(str(text).split())[:60]


def main() -> int:
    """Check all pages; returns the exit status."""
    html = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "_build" / "html"
    names = pages_of_contents()
    faults = [fault for name in names for fault in faults_of(name, html)]
    faults += [f"{name} is not there" for name in FILES_BESIDE_THE_PAGES if not (html / name).is_file()]
    held = sum((holders_of(parsed(html / f"{name}.html").find("article")) for name in names), Counter[str]())
    print("\n".join(faults) or f"{len(names)} pages, no faults")
    print("numbers on the pages, by what holds them:", *(f"  {count:>6} {by}" for by, count in held.items()), sep="\n")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
