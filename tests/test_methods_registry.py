"""What every method of the ladder promises, whatever it does inside."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from comparator_trials import rng, trial_of

from hte_utils.methods import METHODS, MethodResult
from hte_utils.model.candidates import ALL_MODIFIERS_SPEC

QUICK = [name for name, method in METHODS.items() if not method.slow]
SLOW = [name for name, method in METHODS.items() if method.slow]
EVERY = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
ORDERED = {
    "interactions_ridge",
    "interactions_lasso",
    "dr_learner",
    "causal_forest",
    "bcf",
}  # folds and trees see the order of rows
BAYESIAN = {name for name, method in METHODS.items() if method.library == "this project"}
WITHOUT_INTERVALS = {name for name, method in METHODS.items() if not method.intervals}


def run(name: str, *populations: object, trial: object = None, seed: int = 7) -> MethodResult:
    trial = trial_of(500) if trial is None else trial
    return METHODS[name](trial, [trial_of(500), *populations], rng(seed))


def same(one: MethodResult, other: MethodResult, relative: float = 0.0) -> None:
    for left, right in zip(one.estimates, other.estimates, strict=True):
        for what in ("risk_difference", "average_risk_difference", "log_odds_ratio"):
            a, b = getattr(left, what), getattr(right, what)
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(a.value, b.value, rtol=relative, atol=relative)
                if a.lower is not None:
                    np.testing.assert_allclose(a.lower, b.lower, rtol=relative, atol=relative)


def test_importing_the_package_loads_no_library() -> None:
    heavy = ["econml", "stochtree", "lightgbm", "sklearn", "statsmodels", "firthmodels", "pymc"]
    code = f"import sys, hte_utils.methods; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_names_are_keys_and_methods_travel() -> None:
    for name, method in METHODS.items():
        assert method.name == name
        assert pickle.loads(pickle.dumps(method)) == method
    assert len({method.label for method in METHODS.values()}) == len(METHODS)


@pytest.mark.parametrize("name", EVERY)
def test_shapes_and_promised_intervals(name: str) -> None:
    result = run(name, trial_of(500).iloc[:3], trial_of(60, 5).drop(columns=["treatment", "event"]))
    assert [each.n_patients for each in result.estimates] == [500, 3, 60]
    for estimates in result.estimates:
        assert (estimates.risk_difference.lower is not None) == (name not in WITHOUT_INTERVALS)
        assert (estimates.average_risk_difference.lower is not None) == (name not in WITHOUT_INTERVALS)


@pytest.mark.parametrize("name", EVERY)
def test_equal_seeds_give_equal_results(name: str) -> None:
    same(run(name), run(name))


@pytest.mark.parametrize("name", QUICK)
def test_a_population_does_not_hear_of_the_others(name: str) -> None:
    trial = trial_of(500)
    alone = METHODS[name](trial, [trial.iloc[5:9]], rng())
    among = METHODS[name](trial, [trial.iloc[5:9], trial_of(60, 5)], rng())
    same(alone, MethodResult(among.estimates[:1], {}))


@pytest.mark.parametrize("name", QUICK)
def test_the_same_patients_get_the_same_effects_wherever_they_are(name: str) -> None:
    trial = trial_of(500)
    result = METHODS[name](trial, [trial, trial.iloc[::-1].iloc[:40]], rng())
    whole, part = (each.risk_difference.value for each in result.estimates)
    np.testing.assert_allclose(part, whole[::-1][:40], atol=1e-12)


@pytest.mark.parametrize("name", [name for name in QUICK if name not in ORDERED | BAYESIAN])
def test_order_of_the_trials_rows_does_not_matter(name: str) -> None:
    trial = (
        trial_of()
    )  # large enough not to be separated: where estimates run to infinity, rounding decides where they stop
    shuffled = trial.sample(frac=1.0, random_state=1)
    same(run(name, trial=trial), run(name, trial=shuffled), relative=1e-6)


@pytest.mark.parametrize("name", sorted(BAYESIAN))
def test_order_of_the_trials_rows_matters_no_more_than_other_draws(name: str) -> None:
    one, other = run(name), run(name, trial=trial_of(500).sample(frac=1.0, random_state=1))
    averages = [float(each.estimates[0].average_risk_difference.value) for each in (one, other)]
    error = np.hypot(one.notes["mcse_average"], other.notes["mcse_average"])
    assert abs(averages[0] - averages[1]) < 5 * error


@pytest.mark.parametrize("name", QUICK)
def test_the_true_effect_is_not_looked_at(name: str) -> None:
    trial = trial_of(500)
    same(run(name), run(name, trial=trial.assign(true_te=99.0)))


@pytest.mark.parametrize(
    "name",
    ["interactions_lasso", *(pytest.param(name, marks=pytest.mark.slow) for name in ("causal_forest", "bcf"))],
)
def test_another_trials_columns_are_named_by_its_spec(name: str) -> None:
    trial = trial_of(500).rename(columns=str.upper)
    covariates = tuple(replace(each, column=each.column.upper()) for each in ALL_MODIFIERS_SPEC.prognostic)
    roles = {
        role: getattr(ALL_MODIFIERS_SPEC, role).upper() for role in ("outcome", "treatment", "group", "subject_id")
    }
    spec = replace(ALL_MODIFIERS_SPEC, prognostic=covariates, **roles)
    same(METHODS[name](trial, [trial], rng(), spec=spec), METHODS[name](trial_of(500), [trial_of(500)], rng()))


def test_one_call_does_not_disturb_another_on_several_threads() -> None:
    from threadpoolctl import threadpool_limits

    one = run("interactions_ml")
    with threadpool_limits(limits=2):
        same(one, run("interactions_ml"))


class TestBadInput:
    def test_a_table_instead_of_a_sequence_of_tables(self) -> None:
        with pytest.raises(ValueError, match=r"give \[trial\]"):
            METHODS["constant"](trial_of(500), trial_of(500), rng())

    def test_a_seed_instead_of_a_generator(self) -> None:
        with pytest.raises(TypeError, match="default_rng"):
            METHODS["constant"](trial_of(500), [trial_of(500)], 123)  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", [name for name in QUICK if not name.startswith(("paper", "listing_2"))])
    def test_a_constant_covariate_is_named(self, name: str) -> None:
        trial = trial_of(500).assign(sbp=130.0)
        with pytest.raises(ValueError, match="'sbp' is constant"):
            METHODS[name](trial, [trial], rng())

    @pytest.mark.parametrize("name", QUICK)
    def test_no_events(self, name: str) -> None:
        trial = trial_of(500).assign(event=0)
        with pytest.raises(ValueError, match="no events"):
            METHODS[name](trial, [trial], rng())

    def test_missing_values(self) -> None:
        trial = trial_of(500).assign(age=np.nan)
        with pytest.raises(ValueError, match="'age' is missing"):
            METHODS["path"](trial, [trial], rng())
