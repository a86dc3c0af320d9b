"""Tolerances and verdicts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hte_utils.ledger.entries import (
    FAMILY_WISE_ERROR_RATE,
    LedgerEntry,
    Reproduced,
    Verdict,
    judge,
    monte_carlo_tolerance,
    z_threshold,
)
from hte_utils.paper import Kind, paper_entries, printed_number


def test_z_is_the_bonferroni_bound_over_all_random_entries():
    m = sum(entry.kind is Kind.MONTE_CARLO for entry in paper_entries())
    assert 2 * m * stats.norm.sf(z_threshold()) == pytest.approx(FAMILY_WISE_ERROR_RATE)


def test_the_monte_carlo_tolerance_is_the_formula_of_the_design():
    expected = z_threshold() * math.sqrt(0.003**2 + 0.004**2) + 0.0005
    assert monte_carlo_tolerance(0.003, 0.004, 3) == pytest.approx(expected)


def test_an_exact_number_must_round_to_the_printed_characters():
    assert judge("table1.age.mean.control", Reproduced(55.5449)).verdict == Verdict.REPRODUCED
    assert judge("table1.age.mean.control", Reproduced(55.5451)).verdict == Verdict.CONTRADICTED
    assert judge("table1.smoking.p", Reproduced(0.99951)).verdict == Verdict.REPRODUCED


def test_a_label_must_be_the_same():
    assert judge("table3.1.gender", Reproduced("Male")).verdict == Verdict.REPRODUCED
    assert judge("table3.1.gender", Reproduced("Female")).verdict == Verdict.CONTRADICTED


@given(st.floats(0, 0.05), st.floats(0, 0.05), st.floats(-2, 2))
def test_a_monte_carlo_number_passes_exactly_inside_its_tolerance(mcse, printed_mcse, in_tolerances):
    tolerance = monte_carlo_tolerance(mcse, printed_mcse, 3)
    entry = judge(
        "table7.rmse", Reproduced(printed_number("table7.rmse") + in_tolerances * tolerance, mcse, printed_mcse)
    )
    assert entry.tolerance == tolerance
    if abs(abs(in_tolerances) - 1) > 1e-9:
        assert entry.fails == (abs(in_tolerances) > 1)


@pytest.mark.parametrize(("limits", "fails"), [((0.0, 3.0), False), ((0.0, 2.9), True), ((-1.0, 2.9694), True)])
def test_a_distributional_number_must_lie_in_the_range_of_such_values(limits, fails):
    found = Reproduced(0.1, lower=limits[0], upper=limits[1])
    assert judge("table6.b_age.chain_3", found).fails is fails  # printed: 2.970


def test_a_distributional_number_without_limits_is_refused():
    with pytest.raises(ValueError, match="give the lower and upper limits"):
        judge("table6.b_age.chain_3", Reproduced(0.1))


def test_an_agreement_that_needs_the_papers_error_says_so():
    entry = judge("table7.rmse", Reproduced(0.529, 0.001, paper_error="gender effects left out"))
    assert (entry.verdict, entry.note) == (Verdict.ONLY_WITH_ERROR, "gender effects left out")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite_never_enters_the_ledger(value):
    with pytest.raises(ValueError, match="value is"):
        Reproduced(value)
    with pytest.raises(ValueError, match="mcse"):
        Reproduced(1.0, mcse=value)


def test_a_label_for_a_number_is_refused():
    with pytest.raises(TypeError, match="the value given is 'Male'"):
        judge("table7.rmse", Reproduced("Male"))


def test_json_round_trip():
    entry = judge("table7.rmse", Reproduced(0.53, 0.001, 0.002))
    assert LedgerEntry(**entry.to_json()) == entry
    assert {"id", "item", "printed", "reproduced", "mcse", "tolerance", "kind", "verdict"} <= set(entry.to_json())
