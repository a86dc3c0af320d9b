"""The numeric comparison between a fresh run and the recorded one."""

from dataclasses import replace

import pytest

from hte_utils.ledger import LEDGER_MIME, guard, record
from hte_utils.ledger.entries import Reproduced, judge, own_number, z_threshold
from hte_utils.ledger.replay import describe_changes, differences, ledger_entries
from hte_utils.paper import entries_of, printed_number

RMSE = judge("table7.rmse", Reproduced(0.529, mcse=0.002, printed_mcse=0.002))
MEAN = judge("table1.age.mean.control", Reproduced(55.54006))


def test_the_same_run_shows_no_difference():
    assert differences([RMSE, MEAN], [MEAN, RMSE]) == []


def test_monte_carlo_noise_passes_and_a_real_shift_does_not():
    allowed = z_threshold() * 0.002 * 2**0.5
    assert differences([replace(RMSE, reproduced=0.529 + 0.99 * allowed)], [RMSE]) == []
    assert len(differences([replace(RMSE, reproduced=0.529 + 1.01 * allowed)], [RMSE])) == 1


def test_an_exact_number_may_move_by_floating_point_noise_only():
    assert differences([replace(MEAN, reproduced=55.54006 * (1 + 1e-12))], [MEAN]) == []
    assert differences([replace(MEAN, reproduced=55.54007)], [MEAN])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"printed": "0.530"}, "the paper's number is now '0.530'"),
        ({"verdict": "contradicted"}, "verdict 'contradicted'"),
        ({"kind": "exact"}, "compared as 'exact'"),
        ({"reproduced": "Male"}, "reproduced 'Male'"),
    ],
)
def test_every_kind_of_change_is_named(change, word):
    assert any(word in text for text in differences([replace(RMSE, **change)], [RMSE]))


def test_an_entry_that_fails_now_is_red_even_if_it_was_recorded_so():
    failing = judge("table7.rmse", Reproduced(0.9, 0.001))
    assert differences([failing], [failing])


def test_a_lost_and_a_new_entry_are_named():
    assert "gives no value" in differences([], [RMSE])[0]
    assert "not in the recording" in differences([RMSE], [])[0]


def test_entries_travel_through_the_output_of_a_cell():
    report = record("Table 7", {entry.id: Reproduced(float(entry.printed), 0.001) for entry in entries_of("Table 7")})
    bundle = report._repr_mimebundle_()
    assert ledger_entries([{"data": bundle}, {"name": "stdout", "text": "x"}]) == list(report.entries)
    assert "4 reproduced within Monte Carlo error" in bundle["text/plain"]
    assert bundle["text/html"].count("<tr") == 5
    assert "<tr id='table7.rmse'>" in bundle["text/html"]
    assert set(bundle) == {LEDGER_MIME, "text/html", "text/plain"}


def test_record_wants_every_number_of_the_item_and_no_other():
    values = {entry.id: printed_number(entry.id) for entry in entries_of("Table 7")}
    with pytest.raises(ValueError, match=r"no value for \['table7.rmse'\]"):
        record("Table 7", {key: value for key, value in values.items() if key != "table7.rmse"})
    with pytest.raises(ValueError, match=r"no printed number for \['table7.bias'\]"):
        record("Table 7", values | {"table7.bias": 0.3})


def test_numbers_of_our_own_are_guarded_too():
    [entry] = guard("Standardised differences", {"smd.age": -0.035252}).entries
    assert entry == own_number("smd.age", "Standardised differences", Reproduced(-0.035252))
    assert differences([replace(entry, reproduced=-0.0353)], [entry])


def test_recording_again_says_what_changed_and_by_how_much():
    lines = describe_changes([RMSE, MEAN], [replace(RMSE, reproduced=0.531)])
    assert lines == ["table1.age.mean.control: gone (was 55.54006)", "table7.rmse: 0.529 -> 0.531 (by +0.002)"]
