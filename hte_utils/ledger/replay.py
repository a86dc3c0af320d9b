"""Hold the entries of a fresh run against those of the recorded run, each with its own tolerance.

nbval compares text; this is the numeric comparison that the test suite puts in its place for the cells that emit
ledger entries (see ``tests/conftest.py``). It has no knowledge of pytest or nbval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from hte_utils.ledger.entries import LedgerEntry, z_threshold
from hte_utils.ledger.report import LEDGER_MIME, is_statement

RELATIVE_FLOAT_NOISE = 1e-9
"""Two exact computations may differ by this much (relative): other BLAS, other order of summation."""


def ledger_entries(outputs: Iterable[Mapping[str, Any]]) -> list[LedgerEntry]:
    """Collect the entries that the outputs of a notebook cell carry."""
    bundles = (output.get("data", {}).get(LEDGER_MIME) for output in outputs)
    return [LedgerEntry(**record) for bundle in bundles if bundle for record in bundle["entries"]]


def differences(fresh: Iterable[LedgerEntry], recorded: Iterable[LedgerEntry]) -> list[str]:
    """Say in words where a fresh run departs from the recorded one."""
    fresh_by_id = {entry.id: entry for entry in fresh}
    recorded_by_id = {entry.id: entry for entry in recorded}
    lost = [f"{i}: recorded, but the fresh run gives no value" for i in recorded_by_id if i not in fresh_by_id]
    new = [f"{i}: not in the recording; record the notebooks again" for i in fresh_by_id if i not in recorded_by_id]
    shared = [(fresh_by_id[i], recorded_by_id[i]) for i in recorded_by_id if i in fresh_by_id]
    return lost + new + [text for now, then in shared for text in _entry_differences(now, then)]


def _entry_differences(now: LedgerEntry, then: LedgerEntry) -> list[str]:
    if is_statement(now) and is_statement(then):
        return _statement_differences(now, then)
    found = []
    if now.printed != then.printed:
        found.append(f"{now.id}: the paper's number is now {now.printed!r}, it was recorded as {then.printed!r}")
    if now.kind != then.kind:
        found.append(f"{now.id}: compared as {now.kind!r}, it was recorded as {then.kind!r}")
    if now.fails or now.verdict != then.verdict:
        found.append(
            f"{now.id}: verdict {now.verdict!r} (reproduced {now.reproduced!r}, printed {now.printed!r}, "
            f"tolerance {now.tolerance!r}), recorded as {then.verdict!r}"
        )
    if not _same_value(now, then):
        found.append(
            f"{now.id}: reproduced {now.reproduced!r} (MCSE {now.mcse!r}), "
            f"recorded {then.reproduced!r} (MCSE {then.mcse!r})"
        )
    return found


def _statement_differences(now: LedgerEntry, then: LedgerEntry) -> list[str]:
    found = []
    if now.printed != then.printed:
        found.append(f"{now.id}: the paper's words are now {now.printed!r}, they were recorded as {then.printed!r}")
    if now.fails or (now.verdict, now.note) != (then.verdict, then.note):
        found.append(
            f"{now.id}: verdict {now.verdict!r} ({now.note}), recorded as {then.verdict!r} ({then.note}); "
            f"evidence: {now.reproduced!r}, recorded as {then.reproduced!r}"
        )
    return found


def _same_value(now: LedgerEntry, then: LedgerEntry) -> bool:
    if not isinstance(now.reproduced, float) or not isinstance(then.reproduced, (float, int)):
        return now.reproduced == then.reproduced
    if math.isclose(now.reproduced, then.reproduced, rel_tol=RELATIVE_FLOAT_NOISE, abs_tol=1e-12):
        return True
    allowed = z_threshold() * math.hypot(now.mcse or 0.0, then.mcse or 0.0)
    return abs(now.reproduced - then.reproduced) <= allowed
