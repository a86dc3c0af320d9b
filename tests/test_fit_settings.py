"""Settings are checked when they are made."""

from __future__ import annotations

import pytest

from hte_utils.fit_settings import Form, IndependenceSettings, NutsSettings


@pytest.mark.parametrize(
    ("kind", "name", "value", "error"),
    [
        (IndependenceSettings, "draws", 3, ValueError),
        (IndependenceSettings, "draws", 100.0, TypeError),
        (IndependenceSettings, "chains", 1, ValueError),
        (IndependenceSettings, "chains", True, TypeError),
        (IndependenceSettings, "proposals_per_draw", 0, ValueError),
        (IndependenceSettings, "burn_in", -1, ValueError),
        (IndependenceSettings, "seed", -1, ValueError),
        (IndependenceSettings, "seed", None, TypeError),
        (NutsSettings, "tune", 10, ValueError),
        (NutsSettings, "seed", "1", TypeError),
        (NutsSettings, "target_accept", 1.0, ValueError),
        (NutsSettings, "target_accept", 0, TypeError),
        (NutsSettings, "target_accept", float("nan"), ValueError),
        (NutsSettings, "form", "sum", ValueError),
    ],
)
def test_bad_settings_are_refused(kind: type, name: str, value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"'sum'" if name == "form" else name):
        kind(**{name: value})


def test_settings_are_values() -> None:
    assert NutsSettings(form="listing") == NutsSettings(form=Form.LISTING)  # type: ignore[arg-type]
    assert hash(IndependenceSettings()) == hash(IndependenceSettings(seed=123))
