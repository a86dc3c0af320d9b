"""Definitions of cells: equal if and only if everything that decides a number is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from study_methods import RiskByArm

from hte_utils.comparators import METHODS
from hte_utils.study.cell import CellDefinition, Provenance
from hte_utils.study.scenarios import SCENARIOS

SCENARIO = SCENARIOS["patients-500"]
CELL = CellDefinition.of(SCENARIO, RiskByArm(), 1)


def test_the_same_things_have_the_same_digest() -> None:
    again = CellDefinition.of(replace(SCENARIO, label="other words"), RiskByArm(label="other words", slow=True), 1)
    assert again == CELL
    assert again.digest == CELL.digest
    assert not CELL.differences(again)


def test_whatever_decides_a_number_changes_it() -> None:
    others = {
        "scenario: n_patients 500 -> 600": CellDefinition.of(replace(SCENARIO, n_patients=600), RiskByArm(), 1),
        "method: noise 0.0 -> 0.1": CellDefinition.of(SCENARIO, RiskByArm(noise=0.1), 1),
        "seed: study 1 -> 2": CellDefinition.of(SCENARIO, RiskByArm(), 2),
        "versions: numpy": replace(CELL, versions={**CELL.versions, "numpy": "0.1"}),
        "sources: hte_utils.trial": replace(CELL, sources={**CELL.sources, "hte_utils.trial": "0" * 16}),
        "sources: study_methods": replace(
            CELL, sources={k: v for k, v in CELL.sources.items() if k != "study_methods"}
        ),
    }
    for what, other in others.items():
        assert other.digest != CELL.digest
        (difference,) = CELL.differences(other)
        assert difference.startswith(what)


def test_a_nested_coefficient_counts() -> None:
    changed = replace(SCENARIO, effect=replace(SCENARIO.effect, base=-0.21))  # type: ignore[type-var]
    assert CellDefinition.of(changed, RiskByArm(), 1).digest != CELL.digest


def test_the_ladders_methods_are_defined_by_their_own_code() -> None:
    cell = CellDefinition.of(SCENARIO, METHODS["constant"], 1)
    assert cell.method["module"] == "hte_utils.comparators.constant"
    assert "label" not in cell.method
    assert "hte_utils.comparators.constant" in cell.sources


def test_provenance_is_written_and_read() -> None:
    provenance = Provenance(CELL)
    assert Provenance.from_json(provenance.to_json()) == provenance
    content = json.loads(provenance.to_json())
    assert content["digest"] == CELL.digest
    assert content["definition"]["versions"]["numpy"]
    assert content["began"].endswith("+00:00")
    assert content["lock"] == hashlib.sha256(Path("requirements.lock").read_bytes()).hexdigest()
    del content["lock"]  # as older records are
    assert Provenance.from_json(json.dumps(content)) == replace(provenance, lock="")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"seed": 1', '"seed": 2'),
        lambda text: text.replace('"sources"', '"sauces"'),
        lambda text: text.replace('"commit"', '"committee"'),
        lambda text: "[]",
    ],
)
def test_a_damaged_record_is_seen(spoil) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"no provenance record|its content has"):
        Provenance.from_json(spoil(Provenance(CELL).to_json()))
