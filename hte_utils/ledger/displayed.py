"""Hold what the cells of a fresh run display against the recorded run: words as words, numbers as numbers.

This covers what no ledger entry holds: glued values, tables, printed lines. Equal text passes. Otherwise the words must
be equal, and each number must lie within one unit of its last displayed digit, or a relative 1e-6. Where that comes
from: the arithmetic of another machine moves a value by some 1e-9 of itself, so a displayed number moves only if it
lies that close to where rounding turns over (or to zero, where its sign turns), and then by one unit. A whole number
without "%" is a count and must be equal. Pictures are not compared.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from difflib import unified_diff
from html import unescape
from typing import Any

from hte_utils.ledger.report import LEDGER_MIME

VARIES_TAG = "replay-varies"
"""A cell so tagged shows something that is meant to differ from run to run; it is run, and its display not compared."""

RELATIVE_ROUNDING = 1e-6

_GLUED = "application/papermill.record/"
_SHOWN_FIRST = ("text/html", "text/markdown", "text/latex", "text/plain")
_NUMBER = re.compile(
    r"(?:(?<![\w.)\]])[+\-\u2212])?"  # a sign, not the dash of a range
    r"(?<![\w.])(?:\d{1,3}(?:[,\u00a0\u202f]\d{3})+|\d+)(?:\.\d+)?(?:[eE][+\-]?\d+)?(?!\w)"
    r"(?=\s?(%?))"
)


def displayed(outputs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what a cell displays, one text an output: its glued name or nothing, and the words and numbers."""
    texts = [_text_of(output) for output in outputs]
    return [text for text in texts if text]


def display_differences(fresh: Iterable[Mapping[str, Any]], recorded: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say in words where the display of a fresh run departs from the recorded one."""
    now, then = displayed(fresh), displayed(recorded)
    if len(now) != len(then):
        return [f"the cell shows {len(now)} outputs, {len(then)} were recorded"]
    return [
        f"displayed: {_where_they_part(new, old)}"
        for new, old in zip(now, then, strict=True)
        if not _displays_agree(new, old)
    ]


def changed_displays(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """List the lines that a notebook displays otherwise than before, old ones with "-", new ones with "+"."""
    old, new = ([line for text in texts for line in text.split("\n")] for texts in (before, after))
    return [line for line in unified_diff(old, new, n=0, lineterm="") if not line.startswith(("---", "+++", "@@"))]


def _text_of(output: Mapping[str, Any]) -> str:
    if "data" not in output:
        return _tidy(str(output.get("text", "")) + str(output.get("evalue", "")))
    data = output["data"]
    if LEDGER_MIME in data:
        return ""
    if glued := [str(data[mime]) for mime in sorted(data) if mime.startswith(_GLUED)]:
        name = output.get("metadata", {}).get("scrapbook", {}).get("name", "")
        return _tidy(f"{name} = {' '.join(glued)}")
    shown = next((mime for mime in _SHOWN_FIRST if mime in data), None)
    return "" if shown is None else _tidy(_words_of(str(data[shown])) if shown == "text/html" else str(data[shown]))


def _words_of(html: str) -> str:
    """Cells and rows of the HTML, without styles, attributes and random names."""
    html = re.sub(r"<(style|script)\b.*?</\1>", "", html, flags=re.DOTALL)
    html = re.sub(r"\s+", " ", html)
    html = re.sub(r"</t[dh]>", " | ", html)
    html = re.sub(r"</tr>|<br ?/?>|</p>|</summary>", "\n", html)
    return unescape(re.sub(r"<[^>]*>", "", html))


def _tidy(text: str) -> str:
    lines = (re.sub(r"[ \t]+", " ", line).strip(" ") for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _displays_agree(now: str, then: str) -> bool:
    if now == then:
        return True
    fresh, recorded = list(_NUMBER.finditer(now)), list(_NUMBER.finditer(then))
    same_words = _NUMBER.sub("#", now) == _NUMBER.sub("#", then)
    return same_words and all(map(_numbers_agree, fresh, recorded))


def _numbers_agree(now: re.Match[str], then: re.Match[str]) -> bool:
    if now[0] == then[0]:
        return True
    new, old = _value(now), _value(then)
    if math.isclose(new, old, rel_tol=RELATIVE_ROUNDING):
        return True
    # The coarser of two displays ("1e+01" and "9.9"), and a hair for the subtraction itself.
    return abs(new - old) <= max(_last_digit(now), _last_digit(then)) * (1 + 1e-9)


def _value(number: re.Match[str]) -> float:
    return float(re.sub(r"[,\u00a0\u202f]", "", number[0]).replace("\u2212", "-"))


def _last_digit(number: re.Match[str]) -> float:
    """One unit of the last displayed digit; 0 for a count."""
    mantissa, _, exponent = number[0].lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    is_count = not (decimals or exponent or number[1])
    return 0.0 if is_count else 10.0 ** (int(exponent or 0) - decimals)


def _where_they_part(now: str, then: str) -> str:
    new, old = now.split("\n"), then.split("\n")
    if len(new) != len(old):
        return f"{len(new)} lines, {len(old)} were recorded ({new[0]!r})"
    return "; ".join(f"{a!r}, recorded {b!r}" for a, b in zip(new, old, strict=True) if not _displays_agree(a, b))
