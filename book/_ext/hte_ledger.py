"""The ledger in the built book: its downloads, and the scripts of its page.

DataTables (search, sorting) come with the package itables. Browsers refuse to load a module from a page that was
opened as a file, so the bundle is wrapped into a plain script that makes the module from its own text.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hte_utils.ledger.notebooks import Project
from hte_utils.ledger.page import write_downloads

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LEDGER_PAGE = "book/ledger"
WRAPPER = """/* DataTables and jQuery (MIT licences), as bundled by itables %(version)s. */
window.bookDataTables = () =>
  import(URL.createObjectURL(new Blob([%(source)s], { type: "text/javascript" }))).then((bundle) => bundle.default);
"""


def wrapped_datatables() -> str:
    """Return the script that offers DataTables as ``window.bookDataTables()``."""
    import itables

    source = (files("itables") / "html" / "dt_bundle.js").read_text(encoding="utf-8")
    # "</" could end a script element if a tool inlined this file.
    literal = json.dumps(source).replace("</", "<\\/")
    return WRAPPER % {"version": itables.__version__, "source": literal}


def add_scripts(app: Sphinx, page: str, _template: str, _context: dict[str, Any], _doctree: object) -> None:
    """Load DataTables on the ledger's page alone."""
    if page == LEDGER_PAGE:
        app.add_js_file("datatables.js")
        app.add_css_file("datatables.css")
    app.add_js_file("ledger.js")


def write_files(app: Sphinx, error: Exception | None) -> None:
    """Put the downloads beside the ledger's page, and the library among the book's own files."""
    if error is not None or app.builder.format != "html":
        return
    output = Path(app.outdir)
    (output / "_static" / "datatables.js").write_text(wrapped_datatables(), encoding="utf-8")
    style = (files("itables") / "html" / "dt_bundle.css").read_text(encoding="utf-8")
    (output / "_static" / "datatables.css").write_text(style, encoding="utf-8")
    write_downloads(Project.find(), output / Path(LEDGER_PAGE).parent)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", write_files)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
