"""Scenario records: valid by construction, and complete."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import pytest

from hte_utils.study.scenario import Mechanism, Scenario
from hte_utils.trial import BaselineCoefficients, EffectCoefficients
from hte_utils.trial.as_described import RISK_DIFFERENCE_EFFECTS

GOOD = Scenario("good", "good")


def test_defaults_are_the_papers_design() -> None:
    assert GOOD.n_patients == 2000
    assert GOOD.baseline == BaselineCoefficients()
    assert GOOD.effect == EffectCoefficients()
    assert GOOD.mechanism is Mechanism.LISTING
    assert replace(GOOD, effect=RISK_DIFFERENCE_EFFECTS).mechanism is Mechanism.DESCRIBED


def test_a_scenario_travels_and_is_a_key() -> None:
    again = pickle.loads(pickle.dumps(GOOD))
    assert again == GOOD
    assert hash(again) == hash(GOOD)


@pytest.mark.parametrize("name", ["", "Upper", "two words", "a/b", "../up", "-x", "x--y", None, 3])
def test_names_become_folders(name: object) -> None:
    with pytest.raises(ValueError, match="name must be lower-case"):
        replace(GOOD, name=name)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("label", " ", ValueError, "needs a label"),
        ("n_patients", 19, ValueError, "n_patients must be from 20"),
        ("n_patients", 2000.0, TypeError, "n_patients"),
        ("population_size", 0, ValueError, "population_size must be from 20"),
        ("baseline", None, TypeError, "baseline of scenario 'good' must be a record"),
        ("effect", BaselineCoefficients(), TypeError, "effect of scenario 'good' must be a record"),
        ("baseline", BaselineCoefficients(age=math.nan), ValueError, "baseline.age of scenario 'good' must be finite"),
        ("effect", EffectCoefficients(base=math.inf), ValueError, "effect.base of scenario 'good' must be finite"),
        ("event_rate", 5, ValueError, "event_rate of scenario 'good' must be a share"),
        ("event_rate", math.nan, ValueError, "must be a share"),
        ("event_rate", True, ValueError, "must be a share"),
    ],
)
def test_bad_fields_are_refused(field: str, value: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        replace(GOOD, **{field: value})  # type: ignore[arg-type]


def test_an_event_rate_needs_listing_1() -> None:
    with pytest.raises(ValueError, match="Listing 1's mechanism alone"):
        Scenario("x", "x", effect=RISK_DIFFERENCE_EFFECTS, event_rate=0.05)
