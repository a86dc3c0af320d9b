"""Verdicts on statements and proofs of stored results: computed, shown, replayed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hte_utils.ledger import LEDGER_MIME, Finding, LedgerEntry, Verdict, check
from hte_utils.ledger.entries import is_statement, missing
from hte_utils.ledger.replay import differences, ledger_entries
from hte_utils.ledger.report import Proof, entry_text, judge_statement
from hte_utils.paper import statement

SAID = statement("statement.equation-4")
PART = Finding({"one thing": True, "another": False}, "It was 3 of 4.")
ENTRY = judge_statement(SAID, PART)


@given(st.lists(st.booleans(), min_size=1, max_size=6))
def test_the_verdict_follows_from_the_claims(answers):
    verdict = Finding({f"claim {k}": answer for k, answer in enumerate(answers)}, "computed").verdict
    expected = {0: Verdict.DOES_NOT_HOLD, len(answers): Verdict.HOLDS}
    assert verdict == expected.get(sum(answers), Verdict.HOLDS_IN_PART)


def test_what_cannot_be_computed_says_why():
    entry = judge_statement(SAID, Finding.not_checkable("a recommendation"))
    assert (entry.verdict, entry.note) == (Verdict.NOT_CHECKABLE, "a recommendation")
    assert not entry.fails


def test_truth_values_of_numpy_are_taken_and_numbers_are_not():
    assert Finding({"a claim": np.float64(1.0) > 0}, "1 is above 0").verdict == Verdict.HOLDS
    for value in (1, 0.5, math.nan, "yes", None, np.array([True])):
        with pytest.raises(TypeError, match="must be True or False"):
            Finding({"a claim": value}, "computed")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "claims or a reason"),
        ({"claims": {"a": True}, "evidence": "e", "not_checkable_because": "b"}, "give one of the two"),
        ({"claims": {"a": True}}, "without evidence"),
    ],
)
def test_half_a_finding_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Finding(**arguments)


def test_an_unknown_statement_is_refused():
    with pytest.raises(KeyError, match=r"no statement has the id 'statement\.no-such'"):
        check("Section 2.1", {"statement.no-such": PART})


def test_the_entry_has_the_words_the_claims_and_the_evidence():
    assert is_statement(ENTRY)
    assert (ENTRY.printed, ENTRY.source) == (SAID.quote, SAID.source)
    assert ENTRY.note == "one thing: yes; another: no"
    assert ENTRY.reproduced == "It was 3 of 4."
    assert LedgerEntry(**ENTRY.to_json()) == ENTRY
    for text in (SAID.quote, SAID.id, "holds in part", "another: no", "3 of 4"):
        assert text in entry_text(ENTRY)


def test_a_verdict_against_the_paper_is_no_failure_and_a_missing_one_is():
    assert not judge_statement(SAID, Finding({"it": False}, "not so")).fails
    assert missing(SAID).fails


def test_statements_travel_through_the_output_of_a_cell():
    report = check("Section 2.1", {SAID.id: PART, "statement.equation-1": Finding({"a < b": True}, "yes & no")})
    bundle = report._repr_mimebundle_()
    assert ledger_entries([{"data": bundle}]) == list(report.entries)
    assert [entry.id for entry in report.entries] == ["statement.equation-1", SAID.id]  # the paper's order
    assert bundle["text/plain"].startswith("Section 2.1: 2 statements; 1 holds, 1 holds in part")
    html = bundle["text/html"]
    assert f"<tr id='{SAID.id}'>" in html
    assert f"href='ledger.html#{SAID.id}'" in html
    assert "a &lt; b: yes" in html
    assert "yes &amp; no" in html
    assert set(bundle) == {LEDGER_MIME, "text/html", "text/plain"}


def test_evidence_may_move_and_nothing_else():
    assert differences([replace(ENTRY, reproduced="It was 4 of 5.")], [ENTRY]) == []


@pytest.mark.parametrize(
    "now",
    [
        judge_statement(SAID, Finding({"one thing": True, "another": True}, "e")),
        judge_statement(SAID, Finding({"one thing": False, "another": True}, "e")),  # the same verdict, other answers
        judge_statement(SAID, Finding.not_checkable("why")),
        replace(ENTRY, printed="other words"),
        replace(ENTRY, kind="exact"),
    ],
)
def test_another_verdict_answer_or_wording_turns_the_replay_red(now):
    assert any(SAID.id in text for text in differences([now], [ENTRY]))


def test_a_statement_without_a_verdict_is_red_even_if_recorded_so():
    assert differences([missing(SAID)], [missing(SAID)])
    assert "gives no value" in differences([], [ENTRY])[0]


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
