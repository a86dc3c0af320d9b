"""Check the built book: every page is there, nothing is fetched from a network, every figure and table is described.

Usage: python .ci/check_pages.py [folder of the built pages]
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import yaml
from bs4 import BeautifulSoup, Tag

ROOT = Path(__file__).resolve().parents[1]
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}
LINK_RELATIONS_THAT_LOAD = {"stylesheet", "icon", "preload", "shortcut icon", "apple-touch-icon"}
FILES_BESIDE_THE_PAGES = (
    "_static/mathjax/tex-chtml.js",
    "_static/datatables.js",
    "book/ledger.json",
    "book/ledger.csv",
)


def pages_of_contents() -> list[str]:
    """List the pages that the table of contents promises."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
    return [contents["root"], *chapters]


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
    ]


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
        if not (_in_captioned_figure(table) or _has_number(table.find("caption")) or _is_folded_ledger(table))
    ]


def _in_captioned_figure(element: Tag) -> bool:
    figure = element.find_parent("figure")
    return figure is not None and _has_number(figure.find("figcaption"))


def _is_folded_ledger(table: Tag) -> bool:
    """Entries folded below a sentence that says what they are; the ledger's page has them as a numbered table."""
    return table.find_parent("details", class_="ledger") is not None


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
    print("\n".join(faults) or f"{len(names)} pages, no faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
