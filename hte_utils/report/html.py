"""Pieces of the page. Text that is handed over is escaped: a reader's names and levels are never markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

CSS = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;color:#1b1b1b;background:#fff;max-width:62rem;margin:0 auto;padding:1.2rem}
h1{font-size:1.7rem;line-height:1.2;margin:.2rem 0;overflow-wrap:anywhere}
h2{border-top:2px solid #1b1b1b;padding-top:.5rem;margin-top:2.2rem;font-size:1.3rem}
h1[id]{margin-top:3rem}
h3{font-size:1.05rem;margin-top:1.6rem}
p,li{max-width:46rem;overflow-wrap:anywhere}
.lead{font-size:1.15rem}.warning{background:#fff4d6;border-left:4px solid #e69f00;padding:.5rem .8rem}
.quintiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:1rem}
.card{border:1px solid #cfcfcf;border-radius:6px;padding:.7rem}.card h3{margin:0 0 .4rem}
.arms{display:flex;gap:1rem}.arms figure{margin:0;flex:1;min-width:0}.icons{width:100%;max-width:131px}
figcaption{font-size:.85rem;overflow-wrap:anywhere}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.88rem;margin:.5rem 0}
caption{text-align:left;font-weight:600;padding:.3rem 0}
th,td{text-align:left;padding:.22rem .6rem .22rem 0;border-bottom:1px solid #e3e3e3;vertical-align:middle}
td{white-space:nowrap}td:first-child{white-space:normal;min-width:7rem;max-width:20rem;overflow-wrap:anywhere}
.prose td{white-space:normal;max-width:34rem;overflow-wrap:break-word}
.interval{width:260px;height:22px;display:block}.interval text{font-size:11px;fill:#444}
.small{font-size:.85rem;color:#444}
@media print{h2{break-after:avoid}.card,tr{break-inside:avoid}}
"""


def table(
    caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], raw: Sequence[int] = (), prose: bool = False
) -> str:
    """An HTML table of text; columns `raw` hold SVG made here and are not escaped; `prose` wraps long cells."""
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in header)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{each if place in raw else escape(each)}</td>" for place, each in enumerate(row))
        + "</tr>"
        for row in rows
    )
    kind = "scroll prose" if prose else "scroll"
    return (
        f'<div class="{kind}"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def paragraphs(texts: Iterable[str]) -> str:
    """Each text as a paragraph, escaped."""
    return "".join(f"<p>{escape(text)}</p>" for text in texts)


def items(texts: Iterable[str]) -> str:
    """A list of texts, escaped."""
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>"
