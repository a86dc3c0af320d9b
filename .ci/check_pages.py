"""Check the built book: every page is there, nothing is fetched from a network, every figure and table is described.

Usage: python .ci/check_pages.py [folder of the built pages]
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}
LINK_RELATIONS_THAT_LOAD = {"stylesheet", "icon", "preload", "shortcut icon", "apple-touch-icon"}


class Page(HTMLParser):
    """What a page loads, which pictures lack a description, and which captions lack a number."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.remote: list[str] = []
        self.without_alt: list[str] = []
        self.captions_without_number: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self._caption: list[str] | None = None
        self._caption_numbered = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one element."""
        given = {name: value or "" for name, value in attrs}
        if given.get("id"):
            self.ids.add(given["id"])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        self._note_loaded(tag, given)
        if tag == "img" and not given.get("alt", "").strip():
            self.without_alt.append(given.get("src", "?"))
        if tag == "figcaption" or (tag == "caption"):
            self._caption, self._caption_numbered = [], False
        if self._caption is not None and "caption-number" in given.get("class", ""):
            self._caption_numbered = True

    def handle_data(self, data: str) -> None:
        """Collect the text of a caption."""
        if self._caption is not None:
            self._caption.append(data)

    def handle_endtag(self, tag: str) -> None:
        """Judge a finished caption."""
        if tag in {"figcaption", "caption"} and self._caption is not None:
            if not self._caption_numbered:
                self.captions_without_number.append("".join(self._caption).strip()[:60])
            self._caption = None

    def _note_loaded(self, tag: str, given: dict[str, str]) -> None:
        address = given.get(LOADED.get(tag, ""), "")
        loads = tag != "link" or given.get("rel", "") in LINK_RELATIONS_THAT_LOAD
        if loads and address.startswith(("http:", "https:", "//")):
            self.remote.append(address)


def pages_of_contents() -> list[str]:
    """List the pages that the table of contents promises."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
    return [contents["root"], *chapters]


def faults_of(name: str, html: Path) -> list[str]:
    """Say what is wrong with one page."""
    path = html / f"{name}.html"
    if not path.is_file():
        return [f"{name}: the page is missing"]
    page = Page(path.read_text(encoding="utf-8"))
    return [
        *(f"{name}: loads {address} from a network" for address in page.remote),
        *(f"{name}: picture {source} has no alternative text" for source in page.without_alt),
        *(f"{name}: caption without a number: {caption}" for caption in page.captions_without_number),
        *(f"{name}: link to {link} leads nowhere" for link in page.links if not _leads_somewhere(link, path, page)),
    ]


def _leads_somewhere(link: str, path: Path, page: Page) -> bool:
    address, _, fragment = link.partition("#")
    if address.startswith(("http:", "https:", "mailto:")) or link in {"#", ""}:
        return True
    target = (path.parent / address) if address else path
    if not target.exists():
        return False
    if not fragment or target.suffix != ".html":
        return True
    ids = page.ids if target == path else Page(target.read_text(encoding="utf-8")).ids
    return fragment in ids


def main() -> int:
    """Check all pages; returns the exit status."""
    html = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "_build" / "html"
    names = pages_of_contents()
    faults = [fault for name in names for fault in faults_of(name, html)]
    if not (html / "_static" / "mathjax" / "tex-chtml.js").is_file():
        faults.append("MathJax is not among the book's own files")
    print("\n".join(faults) or f"{len(names)} pages, no faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
