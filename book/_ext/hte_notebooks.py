"""The notebooks of the built book: each page offers its own, with outputs, and buttons to run it where it is hosted.

JupyterLab shows roles as they are written. In the notebook that is offered the text reads as on the page: numbers are
those of the recorded run, to which every build is held, and references are words.

Where the book is built by GitHub's Actions, the repository's address is in the environment; elsewhere nobody knows it,
and the buttons for Binder and Colab are left out.
"""

from __future__ import annotations

import ast
import os
import posixpath
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from hte_utils.ledger.notebooks import PROSE_VALUES, Project, code_cells, read_recording, write_whole

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

BEFORE_THE_THEME = 400  # whose handlers have Sphinx's 500 and find `ipynb_source`
AFTER_THE_THEME = 600
BINDER = "https://mybinder.org/v2/gh/{repository}/{branch}?urlpath=lab/tree/{page}.md"
COLAB_NEEDS = "Colab; first a cell: !git clone https://github.com/{repository} hte && pip install -e hte; then restart"
COLAB = "https://colab.research.google.com/github/{repository}/blob/{branch}/tests/recorded/{name}.ipynb"
VALUE = re.compile(r"\{eval\}`[^`]+`")
REFERENCE = re.compile(r"\{(doc|numref|term|eq|cite:[pt])\}`([^`]+)`")


def is_notebook(app: Sphinx, page: str) -> bool:
    """Whether a page was executed: its header names a kernel."""
    return "kernelspec" in app.env.metadata.get(page, {})


def offer_notebook(app: Sphinx, page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Put the executed notebook beside the page's source, where the theme's download button looks for it."""
    executed = Path(app.outdir).parent / "jupyter_execute" / f"{page}.ipynb"
    if is_notebook(app, page) and executed.is_file():
        notebook = nbformat.read(executed, as_version=4)  # type: ignore[no-untyped-call]
        recording = read_recording(Project.find().recording(Path(page).name))
        put_into_words(notebook, recording, partial(words_of, app.env, page))
        text = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
        write_whole(Path(app.outdir) / "_sources" / f"{page}.ipynb", text)
        context["ipynb_source"] = f"{page}.ipynb"


def put_into_words(
    notebook: nbformat.NotebookNode, recording: nbformat.NotebookNode, words: Callable[[str, str], str]
) -> None:
    """Replace the roles of a notebook's text: values as they were recorded, references by `words(role, content)`.

    A picture stays in one form, PNG: SVG is not shown in a notebook that its reader has not run.
    """
    values = recorded_values(recording)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("image/svg+xml", None)
        caption = cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "")
        if cell.cell_type == "markdown":
            cell.source = VALUE.sub(lambda role: next(values, role[0]), cell.source)
            cell.source = REFERENCE.sub(lambda role: words(role[1], role[2]), cell.source)
        else:
            for _ in VALUE.findall(caption):
                next(values, None)


def recorded_values(recording: nbformat.NotebookNode) -> Iterator[str]:
    """Return what the values in the text were in a recorded run, in the order of the text."""
    for cell in code_cells(recording):
        if cell.source.startswith(PROSE_VALUES):
            for line in "".join(output.get("text", "") for output in cell.outputs).splitlines():
                yield str(ast.literal_eval(line))


def words_of(env: BuildEnvironment, page: str, role: str, content: str) -> str:
    """Say a reference in words: a page by its title, a figure or table by its number, others by what they name."""
    text, _, target = content.rstrip(">").rpartition("<")
    place = posixpath.join(posixpath.dirname(page), target)
    if text or role.startswith("cite"):
        return text.strip() or f"[{target}]"
    if role == "doc" and place in env.titles:
        return f"[{env.titles[place].astext()}]({target}.ipynb)"
    if role == "numref":
        kind = "table" if target.startswith("tab-") else "figure"
        home, label, _ = env.domaindata["std"]["labels"].get(target, ("", "", ""))
        number = env.toc_fignumbers.get(home, {}).get(kind, {}).get(label, ())
        return f"{kind.capitalize()} {'.'.join(map(str, number)) or target}"
    return target


def offer_machines(app: Sphinx, page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Add the buttons that open the notebook on somebody else's machine."""
    repository = os.environ.get("GITHUB_REPOSITORY")
    if not repository or not is_notebook(app, page):
        return
    where = {"repository": repository, "branch": os.environ.get("GITHUB_REF_NAME", "main")}
    where |= {"page": page, "name": Path(page).name}
    places = {"Binder": (BINDER, "Run on Binder"), "Colab": (COLAB, COLAB_NEEDS)}
    buttons = [
        {"type": "link", "icon": "fas fa-rocket", "text": name}
        | {"url": url.format_map(where), "tooltip": tooltip.format_map(where)}
        for name, (url, tooltip) in places.items()
    ]
    group = {"type": "group", "tooltip": "Run this page", "icon": "fas fa-rocket", "label": "launch-buttons"}
    context["header_buttons"].append(group | {"buttons": buttons})


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("html-page-context", offer_notebook, priority=BEFORE_THE_THEME)
    app.connect("html-page-context", offer_machines, priority=AFTER_THE_THEME)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
