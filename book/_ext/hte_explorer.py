"""The patient explorer in the built book: its data, written as a script, since pages may be opened as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hte_utils.corrected.explorer import explorer_data

if TYPE_CHECKING:
    from sphinx.application import Sphinx

EXPLORER_PAGE = "book/patient-explorer"


def add_scripts(app: Sphinx, page: str, _template: str, _context: dict[str, Any], _doctree: object) -> None:
    """Load the data and the script on the explorer's page alone."""
    if page == EXPLORER_PAGE:
        app.add_js_file("explorer-data.js")
        app.add_js_file("explorer.js")


def write_data(app: Sphinx, error: Exception | None) -> None:
    """Put the draws among the book's own files."""
    if error is None and app.builder.format == "html":
        text = f"window.explorerData = {json.dumps(explorer_data(), separators=(',', ':'))};\n"
        (Path(app.outdir) / "_static" / "explorer-data.js").write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", write_data)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
