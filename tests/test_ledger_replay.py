"""A fresh run is held against the recorded one: entries by tolerance, words exactly, numbers to a digit."""

from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hte_utils.ledger import LEDGER_MIME, guard, record
from hte_utils.ledger.entries import Reproduced, judge, own_number, z_threshold
from hte_utils.ledger.replay import (
    changed_displays,
    describe_changes,
    differences,
    display_differences,
    displayed,
    ledger_entries,
)
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


def in_text(value):
    """What the recording of a text with {eval} prints."""
    return {"output_type": "stream", "name": "stdout", "text": f"{value!r}\n"}


def shown(**data):
    return {
        "output_type": "execute_result",
        "metadata": {},
        "data": {f"text/{kind}": text for kind, text in data.items()},
    }


def table(frame):
    return shown(html=frame._repr_html_(), plain=repr(frame))


def differ(now, then):
    return bool(display_differences([now], [then]))


@pytest.mark.parametrize(
    ("now", "then", "red"),
    [
        ("0.55", "0.56", False),  # one unit: a value on the edge of rounding
        ("0.55", "0.57", True),
        ("0.55 (-0.26 to 1.37)", "0.55 (0.05 to 1.06)", True),  # the plain standard error for the robust one
        ("-0.1", "0.1", True),
        ("−0.1", "-0.1", False),  # one sign, set in two ways
        ("-0.0", "0.0", False),  # the same zero from the other side
        ("−0.05", "−0.06", False),
        ("62%", "63%", False),
        ("62%", "64%", True),
        ("62%", "62", True),
        ("5.65 %", "5.66 %", False),
        (62, 63, True),  # a count
        ("19\u00a0470 runs", "19\u00a0471 runs", True),
        ("19\u00a0470 runs", "20\u00a0470 runs", True),
        ("4,800.1", "4,800.2", False),
        ("1.2e-05", "1.3e-05", False),
        ("1.2e-05", "1.2e-04", True),
        (1234567.25, 1234567.75, False),  # a relative 1e-6
        (0.123456789012, 0.123456790112, False),
        (0.123456789012, 0.123457789012, True),
        ("nan", "0.1", True),
        ("nan", "nan", False),
        ("0.5 ± 0.1", "0.5 + 0.1", True),
        ("age is largest", "sex is largest", True),
        ("Q4", "Q5", True),
        ("0.5 to 0.6", "0.5", True),
    ],
)
def test_a_value_in_the_text_is_held(now, then, red):
    assert differ(in_text(now), in_text(then)) is red


FRAME = pd.DataFrame({"arm": ["a", "b"], "risk": [0.104, 0.052]})


@pytest.mark.parametrize(
    "other",
    [
        FRAME.iloc[:1],
        pd.concat([FRAME, FRAME]),
        FRAME.rename(columns={"risk": "odds"}),
        FRAME.assign(risk=[0.104, 0.062]),
        FRAME[["risk", "arm"]],
        FRAME.assign(arm=["a", "c"]),
    ],
)
def test_a_table_is_held(other):
    assert differ(table(other), table(FRAME))


def test_a_table_may_move_by_rounding_and_by_its_random_name():
    styled = FRAME.style.format(precision=2)
    again = FRAME.assign(risk=[0.114, 0.052]).style.format(precision=2)
    assert styled.uuid != again.uuid
    assert not differ(shown(html=again.to_html(), plain="<at 0x2>"), shown(html=styled.to_html(), plain="<at 0x1>"))


def test_styles_and_attributes_are_not_read_as_numbers():
    assert displayed([table(FRAME)]) == ["| arm | risk |\n0 | a | 0.104 |\n1 | b | 0.052 |"]


def test_an_output_lost_or_new_is_noticed():
    assert display_differences([], [in_text(1)])
    assert display_differences([table(FRAME), in_text(1)], [in_text(1)])


def test_printed_text_is_held():
    stream = {"output_type": "stream", "name": "stdout", "text": "RMSE 0.53\n"}
    assert display_differences([stream], [stream]) == []
    assert display_differences([stream | {"text": "RMSE 0.63\n"}], [stream])


def test_pictures_and_ledger_entries_are_left_to_others():
    picture = {"output_type": "display_data", "data": {"image/png": "x"}, "metadata": {}}
    entries = {"output_type": "execute_result", "data": {LEDGER_MIME: {}, "text/plain": "1"}, "metadata": {}}
    assert displayed([picture, entries]) == []


def test_the_difference_names_the_line():
    [said] = display_differences([table(FRAME.assign(risk=[0.104, 0.9]))], [table(FRAME)])
    assert said == "displayed: '1 | b | 0.900 |', recorded '1 | b | 0.052 |'"


def test_changed_displays_are_listed_old_and_new():
    before, after = displayed([in_text("0.5"), table(FRAME)]), displayed([in_text("0.7"), table(FRAME)])
    assert changed_displays(before, after) == ["-'0.5'", "+'0.7'"]
    assert changed_displays(before, before) == []


@given(st.floats(-1e6, 1e6), st.integers(1, 4))
def test_noise_of_arithmetic_is_green(value, decimals):
    noisy = value * (1 + 1e-9)
    assert not differ(in_text(f"{noisy:.{decimals}f}"), in_text(f"{value:.{decimals}f}"))


@given(st.floats(-100, 100), st.integers(1, 4), st.floats(2.01, 50))
def test_two_units_are_red(value, decimals, units):
    moved = value + units / 10**decimals
    assert differ(in_text(f"{moved:.{decimals}f}"), in_text(f"{value:.{decimals}f}"))
