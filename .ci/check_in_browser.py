"""Look at the built pages in a browser: axe, what is cut, errors of scripts, requests that leave the machine.

Usage: npm install --no-save axe-core, then: python .ci/check_in_browser.py [folder of the built pages] [page ...]

One Chromium opens every page in a frame, at the widths of a desk and of a phone, light and dark. The pages come from a
server of this process, which hands each a policy that blocks, and so reports, whatever it asks of another machine.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "msedge")
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
VIEWS = [[width, scheme] for width in (1400, 390) for scheme in ("light", "dark")]
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; font-src 'self' data:"
LISTENER = b"""<head><script>window.faults = [];
const said = (event) => event.message || event.target.src || event.target.href;
addEventListener("error", (event) => faults.push(["script", said(event)]), true);
addEventListener("unhandledrejection", (event) => faults.push(["script", String(event.reason)]));
addEventListener("securitypolicyviolation", (event) => faults.push(["network", event.blockedURI]));</script>"""
LOOKING = """<!doctype html><script type="module">
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const put = (found) => fetch("/found", { method: "POST", body: JSON.stringify(found) });
async function ready(inside) {
  await inside.MathJax?.startup?.promise;
  for (let times = 0; times < 50 && inside.document.querySelector("#ledger-table") &&
       !inside.document.querySelector(".dt-container"); times += 1) await wait(100);
  await wait(200);
}
/* What a reader at a desk has to scroll sideways for (code apart), and what makes a page wider than its window. */
function cut(page, width) {
  const found = [];
  if (page.documentElement.scrollWidth > width + 1) found.push(["wide", "the page itself"]);
  if (width > 1000) for (const box of page.querySelectorAll("article *:not(pre, .math, .math *)")) {
    const over = box.scrollWidth - box.clientWidth;
    if (over > 1 && ["auto", "scroll", "hidden"].includes(getComputedStyle(box).overflowX) && box.clientWidth > 40)
      found.push(["cut", `${over} px of ${(box.closest("[id]")?.id ?? "")} ${box.localName}.${box.className}`]);
  }
  return found;
}
for (const name of %(pages)s) {
  const frame = document.body.appendChild(document.createElement("iframe"));
  frame.style = "border: 0; height: 1000px; width: 1400px";
  frame.src = `/${name}.html`;
  await new Promise((done) => frame.addEventListener("load", done));
  const inside = frame.contentWindow;
  await ready(inside);
  const still = inside.document.createElement("style"); // a colour on its way from light to dark is neither
  still.textContent = "* { transition: none !important; }";
  const script = inside.document.createElement("script");
  script.src = "/axe.js";
  await new Promise((done) => { script.onload = done; inside.document.head.append(still, script); });
  for (const [width, scheme] of %(views)s) {
    frame.style.width = `${width}px`;
    inside.document.documentElement.dataset.theme = scheme;
    await wait(400);
    inside.dispatchEvent(new Event("resize")); // a busy machine may not have said so yet
    const found = cut(inside.document, width);
    const { violations } = await inside.axe.run(inside.document, { resultTypes: ["violations"] });
    for (const { id, nodes } of violations)
      for (const node of nodes) found.push([id, `${node.target.join(" ")} ${node.any[0]?.message ?? ""}`]);
    await put({ name, view: `${width} ${scheme}`, found });
  }
  await put({ name, view: "loading", found: inside.faults });
  frame.remove();
}
await put(null);
</script>"""


class Pages(SimpleHTTPRequestHandler):
    """The built pages, the page that looks at them, and the place where it puts what it found."""

    def __init__(self, *arguments: Any, looking: str, axe: Path, found: Queue[Any], **named: Any) -> None:
        self.looking, self.axe, self.found = looking, axe, found
        super().__init__(*arguments, **named)

    def do_GET(self) -> None:
        """Answer with a page, and the listener and policy it goes with."""
        path = Path(self.translate_path(self.path))
        if self.path == "/":
            self._answer(self.looking.encode())
        elif self.path == "/axe.js":
            self._answer(self.axe.read_bytes(), "text/javascript")
        elif path.suffix == ".html" and path.is_file():
            self._answer(path.read_bytes().replace(b"<head>", LISTENER, 1), policy=POLICY)
        else:
            super().do_GET()

    def do_POST(self) -> None:
        """Take what was found."""
        self.found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._answer(b"")

    def _answer(self, body: bytes, kind: str = "text/html; charset=utf-8", policy: str = "") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if policy:
            self.send_header("Content-Security-Policy", policy)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing of requests."""


def missing() -> str:
    """What is not here of a browser and axe, in words; empty where both are."""
    if _browser() is None:
        return f"no Chromium (looked for {', '.join(BROWSERS)})"
    return "" if AXE.is_file() else "no axe-core: npm install --no-save axe-core"


def look(html: Path, names: Sequence[str], *, seconds: float = 300) -> list[tuple[str, str, str, str]]:
    """Open pages in a browser; returns (page, view, fault, where) of all that was found, at least every `seconds`."""
    found: Queue[Any] = Queue()
    looking = LOOKING % {"pages": json.dumps(list(names)), "views": json.dumps(VIEWS)}
    handler = partial(Pages, directory=str(html), looking=looking, axe=AXE, found=found)
    faults: list[tuple[str, str, str, str]] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, tempfile.TemporaryDirectory() as profile:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        command = [str(_browser()), *OPTIONS, f"--user-data-dir={profile}", "--remote-debugging-port=0", address]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as browser:
            try:
                while (one := found.get(timeout=seconds)) is not None:
                    faults += [(one["name"], one["view"], fault, where) for fault, where in one["found"]]
            finally:
                browser.terminate()
                browser.wait()
                server.shutdown()
    return faults


def _browser() -> str | None:
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def main() -> int:
    """Look at all pages, or at those that are named; returns the exit status."""
    from check_pages import pages_of_contents

    if lacking := missing():
        sys.stderr.write(f"nothing was looked at: {lacking}\n")
        return 2
    html = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "_build" / "html"
    names = sys.argv[2:] or pages_of_contents()
    faults = look(html, names)
    for name, view, fault, where in faults:
        print(f"{name} ({view}): {fault}: {where}")
    print(f"{len(names)} pages, {len(faults)} faults")
    for (fault, view), number in sorted(Counter((fault, view) for _, view, fault, _ in faults).items()):
        print(f"  {number:>6} {fault} ({view})")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
