"""Print the whole book as one PDF: `uv run python .ci/book_as_pdf.py` after a build; writes _build/book.pdf.

Sphinx joins the pages to one (what was executed is not executed again), and Chromium prints it, with an outline.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "msedge")
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--virtual-time-budget=60000")


def main() -> int:
    """Join, print, move into place; returns the exit status."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.stderr.write(f"no browser prints here: install Chromium (looked for {', '.join(BROWSERS)})\n")
        return 2
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    subprocess.run([jupyter_book, "build", ROOT, "--builder", "singlehtml"], check=True)
    joined = ROOT / "_build" / "singlehtml"
    # The joined page stands in the folder of the first one; its links to _static are those of the folder above.
    page = joined / "whole-book.html"
    shutil.copyfile(joined / "book" / "index.html", page)
    with tempfile.TemporaryDirectory() as folder:
        printed = Path(folder) / "book.pdf"
        how = [f"--user-data-dir={folder}/profile", "--generate-pdf-document-outline", "--no-pdf-header-footer"]
        subprocess.run([browser, *OPTIONS, *how, f"--print-to-pdf={printed}", page.as_uri()], check=True, timeout=600)
        target = ROOT / "_build" / "book.pdf"
        shutil.move(printed, target)
    sys.stdout.write(f"{target}: {target.stat().st_size / 1e6:.1f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
