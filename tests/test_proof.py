"""A proof says what it found, as text, as a box, and as a number that the replay compares."""

from __future__ import annotations

import pandas as pd

from hte_utils.ledger.replay import differences, ledger_entries
from hte_utils.ledger.report import Proof

FAILURES = pd.DataFrame({"column": ["rd_rmse", "<b>"], "stored": [1.0, 2.0], "again": [1.5, 2.5]})
GOOD, BAD = Proof("study", "Four runs.", FAILURES.head(0)), Proof("study", "Four runs.", FAILURES)


def outputs(proof: Proof) -> list[dict[str, object]]:
    return [{"data": proof._repr_mimebundle_()}]


def test_a_good_one_is_said_in_a_sentence():
    assert GOOD.passed
    assert GOOD.to_text() == "Reproduced. Four runs."
    assert "proof-failed" not in GOOD.to_html()


def test_a_bad_one_is_a_red_box_with_the_numbers():
    assert not BAD.passed
    assert "NOT REPRODUCED: 2 values. Four runs." in BAD.to_text()
    html = BAD.to_html()
    assert "proof-failed" in html
    assert "rd_rmse" in html
    assert "1.5" in html
    assert "<b>" not in html


def test_the_replay_turns_red_when_a_good_one_turns_bad():
    good, bad = ledger_entries(outputs(GOOD)), ledger_entries(outputs(BAD))
    assert differences(good, good) == []
    (sentence,) = differences(bad, good)
    assert sentence.startswith("proof.study: reproduced 2.0")


def test_a_number_may_move_by_what_is_allowed_and_not_by_more():
    compared = pd.DataFrame(
        {"stored": [1.0, 1.0, float("nan"), 1.0], "again": [1.5, 1.6, float("nan"), float("nan")], "allowed": 0.5}
    )
    assert Proof.by_tolerance("study", "Four runs.", compared).failures.index.tolist() == [1, 3]
