"""Hold what a fresh run of a notebook shows against the recorded run: entries by tolerance, the rest as displayed.

``tests/conftest.py`` puts :func:`differences` and :func:`display_differences` in the place of nbval's comparison.

A display is whatever no ledger entry holds: values in the text, tables, printed lines. Its words must be equal, and
each number must lie within one unit of its last displayed digit, or a relative 1e-6: the arithmetic of another machine
moves a value by some 1e-9 of itself, so a displayed number moves only if it lies that close to where rounding turns
over (or to zero, where its sign turns). A whole number without "%" is a count and must be equal.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from difflib import unified_diff
from html import unescape
from typing import Any

from hte_utils.ledger.entries import LedgerEntry, is_statement, z_threshold
from hte_utils.ledger.report import LEDGER_MIME

VARIES_TAG = "replay-varies"
"""A cell so tagged shows something that is meant to differ from run to run; it is run, and its display not compared."""

RELATIVE_FLOAT_NOISE = 1e-9
"""Two exact computations may differ by this much (relative): other BLAS, other order of summation."""

RELATIVE_ROUNDING = 1e-6

_SHOWN_FIRST = ("text/html", "text/markdown", "text/latex", "text/plain")
_NUMBER = re.compile(
    r"(?:(?<![\w.)\]])[+\-\u2212])?"  # a sign, not the dash of a range
    r"(?<![\w.])(?:\d{1,3}(?:[,\u00a0\u202f]\d{3})+|\d+)(?:\.\d+)?(?:[eE][+\-]?\d+)?(?!\w)"
    r"(?=\s?(%?))"
)


def ledger_entries(outputs: Iterable[Mapping[str, Any]]) -> list[LedgerEntry]:
    """Collect the entries that the outputs of a notebook cell carry."""
    bundles = (output.get("data", {}).get(LEDGER_MIME) for output in outputs)
    return [LedgerEntry(**record) for bundle in bundles if bundle for record in bundle["entries"]]


def differences(fresh: Iterable[LedgerEntry], recorded: Iterable[LedgerEntry]) -> list[str]:
    """Say in words where a fresh run departs from the recorded one, beyond the tolerance of each entry."""
    now, then = ({entry.id: entry for entry in entries} for entries in (fresh, recorded))
    lost = [f"{i}: recorded, but the fresh run gives no value" for i in then if i not in now]
    new = [f"{i}: not in the recording; record the notebooks again" for i in now if i not in then]
    return lost + new + [text for i in then if i in now for text in _entry_differences(now[i], then[i])]


def _entry_differences(now: LedgerEntry, then: LedgerEntry) -> list[str]:
    found = []
    said = is_statement(now) and is_statement(then)
    if now.printed != then.printed:
        found.append(f"the paper's {'words are' if said else 'number is'} now {now.printed!r}, not {then.printed!r}")
    if now.kind != then.kind:
        found.append(f"compared as {now.kind!r}, it was recorded as {then.kind!r}")
    if now.fails or now.verdict != then.verdict or (said and now.note != then.note):
        found.append(
            f"verdict {now.verdict!r} ({now.note}; found {now.reproduced!r}, printed {now.printed!r}, tolerance "
            f"{now.tolerance!r}), recorded as {then.verdict!r} ({then.note}; found {then.reproduced!r})"
        )
    # The evidence for a statement may move as long as its claims keep their answers.
    if not said and not _same_value(now, then, z_threshold() * math.hypot(now.mcse or 0.0, then.mcse or 0.0)):
        found.append(
            f"reproduced {now.reproduced!r} (MCSE {now.mcse!r}), recorded {then.reproduced!r} (MCSE {then.mcse!r})"
        )
    return [f"{now.id}: {text}" for text in found]


def _same_value(now: LedgerEntry, then: LedgerEntry, allowed: float = 0.0) -> bool:
    if not isinstance(now.reproduced, float) or not isinstance(then.reproduced, float | int):
        return now.reproduced == then.reproduced
    noise = max(allowed, RELATIVE_FLOAT_NOISE * abs(then.reproduced), 1e-12)
    return abs(now.reproduced - then.reproduced) <= noise


def describe_changes(before: Iterable[LedgerEntry], after: Iterable[LedgerEntry]) -> list[str]:
    """Say which entries are new, gone or changed, and by how much."""
    old, new = ({entry.id: entry for entry in entries} for entries in (before, after))
    gone = [f"{i}: gone (was {old[i].reproduced})" for i in old if i not in new]
    return gone + [line for i, entry in new.items() if (line := _change(old.get(i), entry))]


def _change(old: LedgerEntry | None, new: LedgerEntry) -> str:
    if old is None:
        return f"{new.id}: new, {new.reproduced} ({new.verdict})"
    parts = []
    if not _same_value(new, old):
        numbers = isinstance(old.reproduced, float | int) and isinstance(new.reproduced, float)
        by = f" (by {new.reproduced - old.reproduced:+.3g})" if numbers else ""  # type: ignore[operator]
        parts.append(f"{old.reproduced} -> {new.reproduced}{by}")
    if old.verdict != new.verdict:
        parts.append(f"verdict {old.verdict!r} -> {new.verdict!r}")
    if old.printed != new.printed:
        parts.append(f"the paper's number {old.printed!r} -> {new.printed!r}")
    return f"{new.id}: {'; '.join(parts)}" if parts else ""


def displayed(outputs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the words and numbers that a cell displays, one text an output."""
    return [text for output in outputs if (text := _text_of(output))]


def display_differences(fresh: Iterable[Mapping[str, Any]], recorded: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say in words where the display of a fresh run departs from the recorded one."""
    now, then = displayed(fresh), displayed(recorded)
    if len(now) != len(then):
        return [f"the cell shows {len(now)} outputs, {len(then)} were recorded"]
    pairs = zip(now, then, strict=True)
    return [f"displayed: {_where_they_part(new, old)}" for new, old in pairs if not _displays_agree(new, old)]


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
    same_words = _NUMBER.sub("#", now) == _NUMBER.sub("#", then)
    return same_words and all(map(_numbers_agree, _NUMBER.finditer(now), _NUMBER.finditer(then)))


def _numbers_agree(now: re.Match[str], then: re.Match[str]) -> bool:
    if now[0] == then[0]:
        return True
    new, old = (float(re.sub(r"[,\u00a0\u202f]", "", each[0]).replace("\u2212", "-")) for each in (now, then))
    if math.isclose(new, old, rel_tol=RELATIVE_ROUNDING):
        return True
    # The coarser of two displays ("1e+01" and "9.9"), and a hair for the subtraction itself.
    return abs(new - old) <= max(_last_digit(now), _last_digit(then)) * (1 + 1e-9)


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
