"""The model for times: its likelihood by hand, by PyMC and by statsmodels, its special case, and its doors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from actg175_trials import SPEC, real_posterior, real_times, real_trial
from scipy import optimize, stats

from hte_utils.model import survival
from hte_utils.model.chart import expand_at_mode
from hte_utils.model.fit import FitCheck, FitWarning, IndependenceSettings, NutsSettings, fit, record_of
from hte_utils.model.listing_2 import Priors, listing2_draws
from hte_utils.model.quick_posterior import QuickFallbackWarning
from hte_utils.model.sampler import metropolis_chain, proposal_for_chains
from hte_utils.model.spec import PAPER_SPEC, Covariate, TrialSpec
from hte_utils.model.survival import TimesDensity, TimesDesign, fit_times, quick_times, times_design, times_model
from hte_utils.trial import simulate_trial, simulate_truth
from hte_utils.trial.event_times import trial_with_times

SHRUNK = Priors(interaction_scale=0.5, intercept_mean=-1.0)


def small_times(n: int = 60, seed: int = 3, **how: object) -> TimesDesign:
    trial = simulate_trial(n, seed).assign(event=np.arange(n) % 3 == 0)
    return times_design(PAPER_SPEC.design(trial), np.random.default_rng(1).gamma(2.0, 50.0, n), **how)


def test_exposure_and_events_by_hand() -> None:
    times = TimesDesign(small_times().trial, np.array([5.0, 10.0, 12.0, 30.0]), np.array([10.0, 20.0]))
    object.__setattr__(times.trial, "outcome", np.array([0.0, 1.0, 1.0, 1.0]))
    np.testing.assert_allclose(times.exposure, np.array([[5, 0], [10, 0], [10, 2], [10, 10]]) / 20.0)
    assert times.events.tolist() == [[0, 0], [1, 0], [0, 1], [0, 0]]  # at an end: before it; beyond the last: not seen


def test_default_intervals_have_equally_many_events() -> None:
    events = real_times().events.sum(axis=0)
    assert events.size == 8
    assert events.sum() == real_trial()["event"].sum()
    assert np.ptp(events) <= 5  # many fall on the same day
    assert small_times().ends.size == 2  # 20 events
    assert real_times().ends[-1] == real_trial()["days"].max()


@pytest.mark.parametrize(("priors", "changing"), [(Priors(), True), (SHRUNK, False)])
def test_density_is_pymcs(priors: Priors, changing: bool) -> None:
    """Differences of the log density between points, in the coordinates of the engine."""
    times = small_times(ends=(60.0, 120.0, 200.0))
    density = TimesDensity.of(times, priors, changing)
    model = times_model(times, priors, changing_effect=changing)
    at, n_covariates = density.at, len(times.trial.prognostic_labels)
    points = np.random.default_rng(2).normal(0.0, 0.4, (4, at.size))
    logp = model.compile_logp()
    expected = []
    for point in points:
        main = point[at.prognostic]
        value = {
            "alpha": point[at.alpha],
            "delta": point[at.delta],
            "b_prognostic": main[:n_covariates],
            "steps": main[n_covariates:],
            "tau_re_log__": point[at.log_tau[0]],
            "tau_re_trt_log__": point[at.log_tau[1]],
        }
        jacobian = 0.0
        if at.has_scale:
            value["sd_interaction_log__"] = point[at.log_scale]
            value["standard_interaction"] = point[at.interaction] / np.exp(point[at.log_scale])
            jacobian = -at.n_modifiers * point[at.log_scale]
        else:
            value["b_interaction"] = point[at.interaction]
        expected.append(float(logp(value)) + jacobian)
    np.testing.assert_allclose(np.diff(density(points)), np.diff(expected), rtol=1e-8)


def test_slopes_are_derivatives() -> None:
    density = TimesDensity.of(small_times(), Priors(), True)
    at = np.random.default_rng(1).normal(0.0, 0.3, density.at.linear.stop)
    gradient, information = density.slopes_at(at)
    np.testing.assert_allclose(gradient, optimize.approx_fprime(at, density.log_likelihood_at, 1e-6), atol=1e-3)
    numeric = [optimize.approx_fprime(at, lambda b, j=j: density.slopes_at(b)[0][j], 1e-6) for j in range(at.size)]
    np.testing.assert_allclose(information, -np.array(numeric), atol=1e-3)
    assert density.log_likelihood(at[None])[0] == pytest.approx(density.log_likelihood_at(at), rel=1e-12)


def test_mode_without_prior_is_statsmodels_poisson_regression() -> None:
    density = TimesDensity.of(real_times(), Priors(), False)
    size = density.at.linear.stop
    mode, *_ = expand_at_mode(density, 1e-9 * np.eye(size), np.zeros(size), np.zeros(size))
    fitted = sm.GLM(density.events, density.rows, family=sm.families.Poisson(), offset=np.log(density.exposure)).fit(
        tol=1e-12
    )
    np.testing.assert_allclose(mode, fitted.params, atol=1e-5)


def test_effect_is_that_of_cox_regression() -> None:
    """Cox's regression with the same terms, without priors and without intervals: within a tenth of a posterior SD."""
    design = real_times().trial
    treated = design.treatment[:, None]
    group = np.eye(2)[design.group]
    terms = np.hstack([group[:, 1:], group * treated, design.prognostic, design.modifiers * treated])
    cox = sm.PHReg(real_times().time, terms, status=design.outcome).fit()
    draws = listing2_draws(real_posterior())
    names = ["te_prior_therapy[1]", "te_prior_therapy[2]", "b_age", "b_cd4", "b_karnofsky", "b_symptomatic"]
    for place, name in enumerate(names, start=1):
        values = draws[name].to_numpy()
        # The priors pull effects of 0.7 towards 0 by about a fifth of a standard error.
        assert values.mean() == pytest.approx(cox.params[place], abs=0.35 * cox.bse[place]), name
        assert values.std() == pytest.approx(cox.bse[place], rel=0.12), name


def test_the_binary_model_is_the_special_case() -> None:
    """One interval, nobody leaves, events are rare: log hazard ratios are nearly the log odds ratios of Listing 2."""
    trial = trial_with_times(simulate_truth(), np.random.default_rng(1))
    design = PAPER_SPEC.design(trial)
    hazards = listing2_draws(fit_times(times_design(design, trial["time"], ends=(365.0,))))
    odds = listing2_draws(fit(design))
    for name in ("b_age", "b_anticoag", "b_trt_age", "b_trt_diabetes", "te_gender[1]", "te_gender[2]"):
        distance = float(hazards[name].mean() - odds[name].mean()) / float(odds[name].std())
        assert abs(distance) < 0.25, name
        assert float(hazards[name].std() / odds[name].std()) == pytest.approx(0.95, abs=0.08), name


def test_a_changing_effect_has_a_value_for_each_interval() -> None:
    draws = real_posterior(changing_effect=True)["posterior"].to_dataset()
    assert draws["log_hazard_ratio"].sizes["interval"] == draws["log_hazard"].sizes["interval"] == 8
    np.testing.assert_array_equal(draws["log_hazard_ratio"].isel(interval=0), draws["b_trt"])
    np.testing.assert_array_equal(draws["log_hazard"].isel(interval=0), draws["b_intercept"])
    np.testing.assert_array_equal(draws["interval_end"], real_times().ends)
    assert record_of(real_posterior(changing_effect=True)).passed


def test_same_seed_same_draws_and_a_failed_fit_is_said() -> None:
    settings = IndependenceSettings(draws=50, chains=2)
    with pytest.warns(FitWarning, match="must not be reported"):
        first = fit_times(small_times(), settings=settings, cores=1)
    with pytest.warns(FitWarning):
        again = fit_times(small_times(), settings=settings, cores=2)
    assert first["posterior"].to_dataset().equals(again["posterior"].to_dataset())


def test_nuts_takes_over_where_the_fast_chains_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds, draw, fails = [], survival._drawn, FitCheck("R-hat", 1.3, "b_trt", "below 1.01", False)

    def drawn(times, priors, changing_effect, settings, cores):
        kinds.append(type(settings))
        return draw(times, priors, changing_effect, IndependenceSettings(), cores)

    monkeypatch.setattr(survival, "_drawn", drawn)
    monkeypatch.setattr(survival, "run_checks", lambda _: (fails,))
    with pytest.warns(QuickFallbackWarning, match="NUTS takes their place"):
        posterior = fit_times(real_times())
    assert kinds == [IndependenceSettings, NutsSettings]
    assert record_of(posterior).sampler == "nuts"


def test_importance_sampling_draws_from_the_same_posterior() -> None:
    priors = Priors(interaction_scale=0.5)
    quick = quick_times(real_times(), priors=priors, changing_effect=True, draws=500, seed=np.random.SeedSequence(1))
    assert record_of(quick).sampler == "importance"
    assert record_of(quick).passed
    found = listing2_draws(quick)
    exact = fit_times(real_times(), priors=priors, changing_effect=True)
    expected = listing2_draws(exact)
    assert set(found.data_vars) == set(expected.data_vars)
    for name in found.data_vars:
        distance = float(found[name].mean() - expected[name].mean()) / float(expected[name].std())
        assert abs(distance) < 0.2, name
        assert float(found[name].std() / expected[name].std()) == pytest.approx(1.0, abs=0.15), name
    last, of_chains = (each["posterior"]["log_hazard_ratio"].isel(interval=-1) for each in (quick, exact))
    assert float(last.mean() - of_chains.mean()) == pytest.approx(0.0, abs=0.2 * float(of_chains.std()))


def test_nuts_takes_over_where_importance_sampling_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(survival, "fit_times", lambda *_, **given: asked.append(given["settings"]))
    monkeypatch.setattr("hte_utils.model.quick_posterior.LARGEST_PARETO_K", -1.0)
    with pytest.warns(QuickFallbackWarning, match="Pareto k .* FAILED.*NUTS takes the place"):
        quick_times(small_times(), draws=100, seed=np.random.SeedSequence(1))
    assert [type(settings) for settings in asked] == [NutsSettings]


def test_doors() -> None:
    design = small_times().trial
    time = np.full(60, 10.0)
    with pytest.raises(TypeError, match=r"call spec\.design"):
        times_design(simulate_trial(60, 1), time)  # type: ignore[arg-type]
    for wrong, message in (
        (np.where(np.arange(60) == 3, 0.0, time), "time must be positive, but 1 patients .* position 3"),
        (np.where(np.arange(60) == 3, np.nan, time), "time is not finite for 1 patients"),
        (time[:59], "one value for each patient"),
    ):
        with pytest.raises(ValueError, match=message):
            times_design(design, wrong)
    for ends, message in (
        ((20.0, 10.0), "increasing"),
        ((0.0, 10.0), "positive"),
        ((), "positive, finite"),
        ((np.nan,), "finite"),
        ((10.0, 20.0), "nobody is at risk after 10"),
        ((5.0,), "no event is seen up to 5"),
    ):
        with pytest.raises(ValueError, match=message):
            times_design(design, time, ends=ends)
    for intervals in (0, 2.5, 1000, True):
        with pytest.raises(ValueError, match="intervals must be a whole number from 1 to the 20 events"):
            times_design(design, time, intervals=intervals)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="call times_design"):
        fit_times(design)  # type: ignore[arg-type]


@pytest.mark.slow
def test_nuts_agrees() -> None:
    """The posterior by nutpie on the PyMC model, with a changing effect and shrunken interactions."""
    priors = Priors(interaction_scale=0.5, precision_rate=0.25)
    settings = NutsSettings(draws=1500, tune=500, target_accept=0.95)
    ours = listing2_draws(fit_times(real_times(), priors=priors, changing_effect=True))
    nuts = listing2_draws(fit_times(real_times(), priors=priors, changing_effect=True, settings=settings))
    assert set(ours.data_vars) == set(nuts.data_vars)
    for name in ours.data_vars:
        distance = float(ours[name].mean() - nuts[name].mean()) / float(nuts[name].std())
        assert abs(distance) < 0.1, name
        assert float(ours[name].std() / nuts[name].std()) == pytest.approx(1.0, abs=0.1), name


def trial_from_prior(rng: np.random.Generator, priors: Priors) -> tuple[TimesDesign, np.ndarray]:
    """Parameters from the prior, and 150 patients with times from them, censored at random and at the end."""
    tau = rng.gamma(2.0, 1 / 2.0, 2)
    shared = np.array([rng.normal(priors.intercept_mean, 1.0), rng.normal()])
    alpha, delta = shared[:, None] + rng.normal(size=(2, 2)) / np.sqrt(tau)[:, None]
    main, step, omega = rng.normal(size=2), rng.normal(), abs(rng.normal(0.0, 0.5))
    interaction = rng.normal(0.0, omega, 1)
    n = 150
    frame = pd.DataFrame(
        {"a": rng.normal(size=n), "b": rng.integers(0, 2, n), "g": rng.integers(0, 2, n), "t": rng.integers(0, 2, n)}
    )
    hazard = np.exp(
        alpha[frame["g"]]
        + delta[frame["g"]] * frame["t"]
        + frame[["a", "b"]].to_numpy() @ main
        + interaction[0] * frame["a"] * frame["t"]
    ).to_numpy()
    # A unit exponential is the cumulative hazard at the event: half of it is spent at 0.5, the rest goes by exp(step).
    whole = rng.standard_exponential(n) / hazard
    time = np.where(whole <= 0.5, whole, 0.5 + (whole - 0.5) / np.exp(step))
    left = np.minimum(rng.uniform(0.2, 2.0, n), 1.0)
    frame["y"] = (time <= left).astype(int)
    spec = TrialSpec("y", "t", "g", (Covariate("a", "a"), Covariate("b", "b")), ("a",))
    times = times_design(spec.design(frame), np.minimum(time, left), ends=(0.5, 1.0))
    return times, np.concatenate([alpha, delta, main, [step], interaction, np.log(tau), [np.log(omega)]])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hte_utils.model.checks.TrialWarning")
def test_simulation_based_calibration() -> None:
    """Over the prior, the rank of the truth among posterior draws is uniform (Talts et al. 2018)."""
    rng, trials, kept, priors = np.random.default_rng(12), 200, 19, Priors(intercept_mean=-1.0, interaction_scale=0.5)
    ranks = []
    while len(ranks) < trials:
        try:
            times, truth = trial_from_prior(rng, priors)
        except ValueError:  # nobody or everybody had the event: refused; ranks are uniform given any data
            continue
        density, seeds = TimesDensity.of(times, priors, False), np.random.SeedSequence(len(ranks)).spawn(2)
        chain = metropolis_chain(density, proposal_for_chains(density, seeds[0]), kept, 20, seeds[1])
        ranks.append((chain.points < truth).sum(axis=0))
    expected = np.full(5, trials / 5)
    counts = [np.bincount(rank * 5 // (kept + 1), minlength=5) for rank in np.array(ranks).T]
    p_values = [stats.chisquare(count, expected).pvalue for count in counts]
    assert min(p_values) > 1e-4, p_values


def test_group_effects_carry_the_grouping_factors_name() -> None:
    assert "te_prior_therapy[1]" in listing2_draws(real_posterior())
    assert SPEC.group == "prior_therapy"
