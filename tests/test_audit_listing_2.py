"""The variables of Listing 2, asked of the model."""

from audit_cases import paper_design

from hte_utils.audit.listing_2 import INDIVIDUAL, POPULATION, SUBGROUP, TRIAL_PRECISION, variables


def test_the_variables_are_those_of_the_listing():
    table = variables(paper_design())
    assert table["number"].to_dict() == {
        "b_intercept": 1,
        "b_trt": 1,
        "b_prognostic": 5,
        "b_interaction": 3,
        "tau_re": 1,
        "tau_re_trt": 1,
        "re": 2,
        "re_trt": 2,
        "event": 2000,
    }
    assert list(table.index[table["level"] == SUBGROUP]) == ["re", "re_trt"]
    assert list(table.index[table["level"] == INDIVIDUAL]) == ["event"]
    assert (table.query("observed").index == ["event"]).all()
    assert (table.loc["b_trt", "level"], table.loc["tau_re", "level"]) == (POPULATION, POPULATION)


def test_priors_are_evaluated():
    table = variables(paper_design())
    assert table.loc["b_prognostic", ["law", "first", "second"]].tolist() == ["normal", 0, 1]
    assert table.loc["re_trt", ["law", "first", "second"]].tolist() == ["normal", 0, TRIAL_PRECISION**-0.5]
    assert table.loc["tau_re", ["law", "first", "second"]].tolist() == ["gamma", 2, 1 / 2]
