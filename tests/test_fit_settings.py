"""Settings are checked when they are made."""

from __future__ import annotations

import pytest

from hte_utils.model.fit import Form, IndependenceSettings, NutsSettings


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (IndependenceSettings, "draws", 3),
        (IndependenceSettings, "draws", 100.0),
        (IndependenceSettings, "chains", 1),
        (IndependenceSettings, "chains", True),
        (IndependenceSettings, "proposals_per_draw", 0),
        (IndependenceSettings, "seed", -1),
        (IndependenceSettings, "seed", None),
        (NutsSettings, "tune", 10),
        (NutsSettings, "seed", "1"),
        (NutsSettings, "target_accept", 1.0),
        (NutsSettings, "target_accept", 0),
        (NutsSettings, "target_accept", float("nan")),
        (NutsSettings, "form", "sum"),
    ],
)
def test_bad_settings_are_refused(kind: type, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"'sum'" if name == "form" else name):
        kind(**{name: value})


def test_settings_are_values() -> None:
    assert NutsSettings(form="listing") == NutsSettings(form=Form.LISTING)  # type: ignore[arg-type]
    assert hash(IndependenceSettings()) == hash(IndependenceSettings(seed=123))
