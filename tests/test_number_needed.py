"""Numbers needed to harm and to benefit: Altman's examples and their algebra."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hte_utils.corrected.effects_report import number_needed, number_needed_text

DIFFERENCES = st.floats(-1.0, 1.0).filter(lambda value: abs(value) > 1e-6)


def test_altmans_example_of_an_interval_through_infinity() -> None:
    # Altman (1998): absolute risk reduction 10 % (-5 % to 25 %) is NNTB 10 (NNTH 20 to infinity to NNTB 4).
    assert number_needed(-0.10, -0.25, 0.05) == "NNB 10 (NNB 4 to ∞ to NNH 20)"


def test_an_interval_on_one_side_is_written_from_the_smaller_number() -> None:
    assert number_needed(0.05, 0.02, 0.10) == "NNH 20 (NNH 10 to NNH 50)"
    assert number_needed(-0.05, -0.10, -0.02) == "NNB 20 (NNB 10 to NNB 50)"


def test_no_difference_is_infinity() -> None:
    assert number_needed_text(0.0) == "∞"
    assert number_needed(0.0, 0.0, 0.1) == "∞ (∞ to NNH 10)"
    assert number_needed(0.0, -0.1, 0.0) == "∞ (NNB 10 to ∞)"


def test_patients_are_whole_and_rounded_up() -> None:
    assert number_needed_text(0.02) == "NNH 50"  # and not 51 by the noise of the division
    assert number_needed_text(0.03) == "NNH 34"
    assert number_needed_text(-1 / 3) == "NNB 3"


@given(DIFFERENCES)
def test_the_number_is_the_reciprocal_and_its_name_the_sign(difference: float) -> None:
    name, count = number_needed_text(difference).split()
    assert name == ("NNH" if difference > 0 else "NNB")
    assert 1 / abs(difference) <= int(count) + 1e-6
    assert int(count) - 1 < 1 / abs(difference)


@given(st.tuples(DIFFERENCES, DIFFERENCES, DIFFERENCES).map(sorted))
def test_infinity_is_named_whenever_both_signs_are_possible(ends: list[float]) -> None:
    lower, estimate, upper = ends
    assert ("∞" in number_needed(estimate, lower, upper)) == (lower < 0 < upper)
