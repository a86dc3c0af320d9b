"""Numbers are set in one style, and what is no number is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hte_utils.ledger.typography import NO_BREAK_SPACE, set_numbers


@pytest.mark.parametrize(
    ("typed", "set_as"),
    [
        ("40% of them", "40 % of them"),
        ("5.65 %", "5.65 %"),
        ("-0.36 (-0.6 to +3.4)", "−0.36 (−0.6 to +3.4)"),
        ("-0.0", "0.0"),
        ("−0.0 points", "0.0 points"),
        ("-0", "0"),
        ("-0.05", "−0.05"),
        ("-0.0001", "−0.0001"),
        ("(-0.00 to 0.10)", "(0.00 to 0.10)"),
        ("19470 runs", "19 470 runs"),
        ("4,800 and 1,234,567", "4800 and 1 234 567"),
        ("10000.5", "10 000.5"),
        ("2000 patients", "2000 patients"),
        ("10-40, 2026-11-26, arXiv 2405.05534, table1.age-12345, x-1", None),
        ("0.123456", None),
        ('the paper says "67% of -0.1"', None),
        ("a “5%” level", None),
        ("Q1,Q2, 1,2 and 12,34", None),
    ],
)
def test_numbers_are_set(typed, set_as):
    written = set_numbers(typed)
    assert written == typed if set_as is None else written.replace(NO_BREAK_SPACE, " ") == set_as


def test_the_spaces_do_not_break():
    assert set_numbers("40 % of 19470") == "40\u00a0% of 19\u00a0470"


@given(st.text('0123456789.,-−%() aQ"\u00a0'))
def test_set_text_is_not_changed_again(text):
    assert set_numbers(set_numbers(text)) == set_numbers(text)


@given(st.integers(-(10**9), 10**9), st.integers(0, 4))
def test_the_value_stays(whole, decimals):
    value = whole / 10**decimals
    written = set_numbers(f"{value:,.{decimals}f}")
    assert float(written.replace(NO_BREAK_SPACE, "").replace("−", "-")) == value  # the same digits: the same float
    assert "," not in written
    assert "-" not in written
