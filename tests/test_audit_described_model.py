"""The described model: subgroups, the two readings of equation (8), its PyMC form, its density, and draws from it.

The integrated likelihood is held against adaptive quadrature, its derivatives against differences, the posterior
against draws from the prior, reweighted, and against NUTS on the whole model.
"""

from __future__ import annotations

import numpy as np
import pytest
from arviz_stats.base import array_stats
from described_fits import paper_fit, paper_trial, small_trial, tiny_trial
from numpy.polynomial.hermite_e import hermegauss
from scipy import integrate, optimize, special, stats

from hte_utils.audit.described_model import (
    NODES,
    WEIGHTS,
    DescribedDensity,
    DescribedPriors,
    Reading,
    described_model,
    fit_described,
    half_normal_quantile,
    log_mean_expit_derivatives,
    mean_expit,
    paper_subgroups,
)
from hte_utils.model.fit import FitWarning
from hte_utils.trial import simulate_trial

PRIORS = DescribedPriors()
M = np.linspace(-8.0, 8.0, 17)


def test_subgroups_cross_age_and_anticoagulant():
    trial = simulate_trial()
    found = paper_subgroups(trial)
    assert len(found.categories) == 4
    for k, label in enumerate(found.categories):
        here = trial[found.codes == k]
        assert ((here["age"] >= 60) == label.startswith("60 or older")).all()
        assert ((here["anticoagulant"] == "No") == label.endswith("no anticoagulant")).all()
    exactly_sixty = found.codes[(trial["age"] == 60.0).to_numpy()]
    assert exactly_sixty.size
    assert (exactly_sixty >= 2).all()


def test_subgroups_are_checked():
    trial = simulate_trial(100)
    with pytest.raises(ValueError, match="needs patients"):
        paper_subgroups(trial[trial["age"] < 50])
    for name in ("age", "anticoagulant"):
        with pytest.raises(ValueError, match=rf"column '{name}' is missing .* \(index 3\)"):
            paper_subgroups(trial.assign(**{name: trial[name].where(trial.index != 3)}))


@pytest.mark.parametrize("reading", list(Reading))
def test_layouts_are_equation_8(reading):
    design, subgroups = paper_trial()
    layout = DescribedDensity(design, subgroups, reading, DescribedPriors(fixed_sd=3.0, mean_sd=2.0))
    rng = np.random.default_rng(1)
    beta_0, beta_1, beta, tau = 0.4, -0.3, rng.normal(size=5), rng.normal(size=4)
    population = beta_0 + beta_1 * design.treatment + design.prognostic @ beta
    if reading is Reading.LITERAL:
        expected = population + 2 * tau[subgroups.codes]  # tau_k[i], and the mean of eta_i
        coefficients = [*(beta_0 + 2 * tau), beta_1, *beta]
        assert layout.shared_sd == pytest.approx(5.0)  # sqrt(3² + (2 * 2)²)
        assert layout.deviates.all()
    else:
        expected = population + design.treatment * tau[subgroups.codes]
        coefficients = [*(beta_1 + tau), beta_0, *beta]
        assert layout.shared_sd == pytest.approx(np.sqrt(13))
        np.testing.assert_array_equal(layout.deviates, design.treatment == 1)
    np.testing.assert_allclose(layout.rows @ coefficients, expected)


def test_under_the_literal_reading_treatment_does_the_same_to_everybody():
    design, subgroups = paper_trial()
    layout = DescribedDensity(design, subgroups, Reading.LITERAL)
    treated = design.treatment == 1
    column = layout.n_subgroups + layout.fixed_labels.index("treatment")
    assert (layout.rows[treated, column] == 1).all()
    assert (layout.rows[~treated, column] == 0).all()
    others = np.delete(layout.rows, column, axis=1)
    same = np.hstack([np.eye(4)[subgroups.codes], design.prognostic])
    np.testing.assert_array_equal(others, same)  # nothing else knows the arm


@pytest.mark.parametrize("reading", list(Reading))
def test_the_pymc_form_is_the_text_s(reading):
    """Its joint log density, against the equations written out with SciPy."""
    design, subgroups = small_trial()
    priors = DescribedPriors(0.9, 1.1, 0.7, 0.6)
    model = described_model(design, subgroups, reading, priors)
    rng = np.random.default_rng(2)
    point = {
        name: rng.normal(size=shape)
        for name, shape in {
            "beta_0": (),
            "beta_1": (),
            "beta": 5,
            "mu_tau": (),
            "z": 4,
            "epsilon": design.n_patients,
        }.items()
    }
    sigma_tau, sigma_eta = 0.5, 1.4
    tau = point["mu_tau"] + sigma_tau * point["z"]
    eta = tau[subgroups.codes] + sigma_eta * point["epsilon"]
    log_odds = point["beta_0"] + point["beta_1"] * design.treatment + design.prognostic @ point["beta"]
    log_odds = log_odds + (design.treatment * eta if reading is Reading.CHARITABLE else tau[subgroups.codes] + eta)
    expected = stats.bernoulli.logpmf(design.outcome, special.expit(log_odds)).sum()
    expected += sum(stats.norm.logpdf(point[name], 0, 0.9).sum() for name in ("beta_0", "beta_1", "beta"))
    expected += stats.norm.logpdf(point["mu_tau"], 0, 1.1) + stats.norm.logpdf(point["z"]).sum()
    expected += stats.norm.logpdf(point["epsilon"]).sum()
    expected += stats.halfnorm.logpdf(sigma_tau, scale=0.7) + stats.halfnorm.logpdf(sigma_eta, scale=0.6)
    logs = {"sigma_tau_log__": np.log(sigma_tau), "sigma_eta_log__": np.log(sigma_eta)}
    found = model.compile_logp(jacobian=False, mode="FAST_COMPILE")(point | logs)
    assert found == pytest.approx(expected, rel=1e-9)


def by_adaptive_quadrature(m: float, sigma: float) -> float:
    """Relative error below 1e-10: the kink of expit is handed over as a break point."""
    kink = [-m / sigma] if abs(m) < 12 * sigma else None
    value, _ = integrate.quad(
        lambda e: special.expit(m + sigma * e) * stats.norm.pdf(e),
        -14,
        14,
        epsabs=0,
        epsrel=1e-11,
        limit=400,
        points=kink,
    )
    return value


def by_gauss_hermite(m: np.ndarray, sigma: float, n_nodes: int) -> np.ndarray:
    nodes, weights = hermegauss(n_nodes)
    return special.expit(m[:, None] + sigma * nodes) @ weights / weights.sum()


def density_of(reading: Reading, trial=small_trial, priors: DescribedPriors = PRIORS) -> DescribedDensity:
    design, subgroups = trial()
    return DescribedDensity(design, subgroups, reading, priors)


@pytest.mark.parametrize(("sigma", "tolerance"), [(0.5, 1e-9), (1.0, 1e-9), (2.0, 1e-7), (3.0, 2e-5), (4.0, 5e-4)])
def test_the_midpoint_rule_against_adaptive_quadrature_and_gauss_hermite(sigma, tolerance):
    exact = np.array([by_adaptive_quadrature(m, sigma) for m in M])
    ours = np.abs(mean_expit(-M[:, None], np.array([sigma]))[:, 0] / exact - 1).max()
    assert ours < tolerance
    if sigma >= 2.0:  # below, both are as good as exact
        rival = np.abs(by_gauss_hermite(M, sigma, 2 * NODES.size) / exact - 1).max()
        assert ours < rival


def test_without_scatter_it_is_the_logistic_function():
    np.testing.assert_allclose(mean_expit(-M[:, None], np.array([0.0]))[:, 0], special.expit(M), rtol=1e-13)


def test_zeger_liang_and_albert_s_approximation():
    """Their sqrt(1 + c² sigma²) is known to hold to about a hundredth on the probability scale."""
    for sigma in (0.5, 1.0, 2.0):
        factor = np.sqrt(1 + (16 * np.sqrt(3) / (15 * np.pi)) ** 2 * sigma**2)
        np.testing.assert_allclose(
            mean_expit(-M[:, None], np.array([sigma]))[:, 0], special.expit(M / factor), atol=0.015
        )


@pytest.mark.parametrize("sigma", [0.0, 0.7, 2.0])
def test_derivatives_against_differences(sigma):
    step = 1e-4

    def log_mean(m):
        return np.log(mean_expit(-m[:, None], np.array([sigma]))[:, 0])

    first, second = log_mean_expit_derivatives(M, sigma)
    np.testing.assert_allclose(first, (log_mean(M + step) - log_mean(M - step)) / (2 * step), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(
        second, (log_mean(M + step) - 2 * log_mean(M) + log_mean(M - step)) / step**2, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("reading", list(Reading))
def test_the_likelihood_patient_by_patient(reading):
    """Written out from equation (8) for each patient, with adaptive quadrature."""
    design, subgroups = small_trial()
    density = density_of(reading)
    rng = np.random.default_rng(3)
    sums, beta, first, sigma = rng.normal(size=4), rng.normal(size=5), 0.3, 1.3
    total = 0.0
    for i in range(design.n_patients):
        treated, k = design.treatment[i], subgroups.codes[i]
        if reading is Reading.CHARITABLE:
            m, scatters = first + treated * sums[k] + design.prognostic[i] @ beta, treated == 1
        else:
            m, scatters = sums[k] + first * treated + design.prognostic[i] @ beta, True
        p = by_adaptive_quadrature(m, sigma) if scatters else special.expit(m)
        total += np.log(p if design.outcome[i] else 1 - p)
    found = density.log_likelihood(np.concatenate([sums, [first], beta])[None], np.array([sigma]))
    assert found[0] == pytest.approx(total, rel=1e-8)


def test_many_points_at_once_are_the_same_as_one_at_a_time():
    density = density_of(Reading.CHARITABLE, paper_trial)
    points = 0.5 * np.random.default_rng(4).standard_normal((70, density.size))  # more than one block
    np.testing.assert_allclose(density(points), [density(point[None])[0] for point in points], rtol=1e-12)


def test_half_normal_scores():
    u = np.array([-9.0, -3.0, -0.5, 0.0, 0.5, 3.0, 7.0])
    np.testing.assert_allclose(half_normal_quantile(u)[1:6], stats.halfnorm.ppf(stats.norm.cdf(u[1:6])), rtol=1e-9)
    assert 0 < half_normal_quantile(u)[0] < 1e-15
    np.testing.assert_allclose(2 * stats.norm.sf(half_normal_quantile(u)[6]), stats.norm.sf(7), rtol=1e-9)
    assert (np.diff(half_normal_quantile(u)) > 0).all()


@pytest.mark.parametrize(("reading", "weight"), [(Reading.CHARITABLE, 1.0), (Reading.LITERAL, 2.0)])
def test_standard_normal_coordinates_give_the_described_prior(reading, weight):
    """Against draws made with equations (6) and (10) themselves: covariance of the sums, law of the SDs."""
    priors = DescribedPriors(fixed_sd=0.8, mean_sd=1.5, subgroup_scale=0.7, individual_scale=0.4)
    n = 200_000
    rng = np.random.default_rng(5)
    density = density_of(reading, priors=priors)
    coefficients, found_tau, found_eta = density.parameters(rng.standard_normal((n, density.size)))
    sigma_tau = stats.halfnorm.rvs(scale=0.7, size=(n, 1), random_state=rng)
    tau = rng.normal(0.0, 1.5, (n, 1)) + sigma_tau * rng.standard_normal((n, 4))
    expected = rng.normal(0.0, 0.8, (n, 1)) + weight * tau
    np.testing.assert_allclose(np.cov(coefficients[:, :4].T), np.cov(expected.T), rtol=0.03)
    assert (
        stats.ks_2samp(coefficients[:, :4][:, 0] - coefficients[:, :4][:, 1], expected[:, 0] - expected[:, 1]).pvalue
        > 1e-4
    )
    assert stats.kstest(found_tau, stats.halfnorm(scale=0.7).cdf).pvalue > 1e-4
    assert stats.kstest(found_eta, stats.halfnorm(scale=0.4).cdf).pvalue > 1e-4
    np.testing.assert_allclose(coefficients[:, 4:].std(axis=0), 0.8, rtol=0.02)


def test_the_maximum_is_one():
    density = density_of(Reading.CHARITABLE, paper_trial)
    best = density.maximum(0.8)
    other = optimize.minimize(
        lambda b: -density.log_likelihood(b[None], np.array([0.8]))[0], np.zeros(best.size), method="BFGS"
    )
    np.testing.assert_allclose(best, other.x, atol=2e-3)
    assert density.log_likelihood(best[None], np.array([0.8]))[0] >= -other.fun - 1e-8


def test_the_expansion_is_second_order():
    """Near the posterior mode the likelihood differs from its expansion by third-order terms only."""
    density = density_of(Reading.CHARITABLE, paper_trial)
    linear, information = density.expansion(0.0)
    sigma = np.array([half_normal_quantile(np.zeros(1))[0]])
    scores = np.zeros((1, 2))
    to_coefficients = density.jacobian(scores)[0]
    mode = density.maximum(float(sigma[0]), np.linalg.inv(to_coefficients @ to_coefficients.T))
    direction = np.random.default_rng(6).standard_normal(mode.size)
    errors = []
    for step in (0.02, 0.01):
        b = mode + step * direction
        exact = density.log_likelihood(b[None], sigma)[0] - density.log_likelihood(mode[None], sigma)[0]
        change = linear @ (b - mode) - 0.5 * (b @ information @ b - mode @ information @ mode)
        errors.append(abs(exact - change))
    assert errors[0] / errors[1] == pytest.approx(8.0, rel=0.15)


TIGHTER = DescribedPriors(fixed_sd=0.6, mean_sd=0.5, subgroup_scale=0.8, individual_scale=1.5)
"""All different, so that none can stand in for another; tight enough that draws from the prior can be reweighted."""


def scalars(posterior) -> dict[str, np.ndarray]:
    """Every scalar of a fit, shape (chain, draw)."""
    draws = posterior["posterior"].to_dataset()
    found = {name: draws[name].to_numpy() for name in ("sigma_tau", "sigma_eta")}
    for name in ("sums", "fixed"):
        found |= {f"{name}[{k}]": draws[name].to_numpy()[..., k] for k in range(draws[name].shape[2])}
    return found


def from_the_prior(reading: Reading, n: int = 100_000) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Draws from equations (5) to (10) and the likelihood of each as weight; nothing of the package but the nodes."""
    design, subgroups = tiny_trial()
    rng = np.random.default_rng(8)
    sigma_tau = TIGHTER.subgroup_scale * np.abs(rng.standard_normal(n))
    sigma_eta = TIGHTER.individual_scale * np.abs(rng.standard_normal(n))
    mu = TIGHTER.mean_sd * rng.standard_normal(n)
    beta_0, beta_1 = TIGHTER.fixed_sd * rng.standard_normal((2, n))
    beta = TIGHTER.fixed_sd * rng.standard_normal((n, 5))
    tau = mu[:, None] + sigma_tau[:, None] * rng.standard_normal((n, 4))
    charitable = reading is Reading.CHARITABLE
    part = tau if charitable else 2 * tau
    nodes, weights = np.concatenate([-NODES, NODES]), np.concatenate([WEIGHTS, WEIGHTS])
    log_weight = np.zeros(n)
    for i in range(design.n_patients):
        treated, k = design.treatment[i], subgroups.codes[i]
        m = beta_0 + beta_1 * treated + beta @ design.prognostic[i] + part[:, k] * (treated if charitable else 1.0)
        spread = sigma_eta * (treated if charitable else 1.0)
        p = special.expit(m[:, None] + spread[:, None] * nodes) @ weights
        log_weight += np.log(p if design.outcome[i] else 1 - p)
    shared, first = (beta_1, beta_0) if charitable else (beta_0, beta_1)
    found = {"sigma_tau": sigma_tau, "sigma_eta": sigma_eta, "fixed[0]": first}
    found |= {f"sums[{k}]": shared + part[:, k] for k in range(4)}
    found |= {f"fixed[{j + 1}]": beta[:, j] for j in range(5)}
    weight = np.exp(log_weight - log_weight.max())
    return found, weight / weight.sum()


@pytest.mark.parametrize("reading", list(Reading))
def test_against_the_reweighted_prior(reading):
    expected, weight = from_the_prior(reading)
    assert 1 / np.square(weight).sum() > 1000, "too few effective draws to compare with"
    posterior = fit_described(*tiny_trial(), reading, priors=TIGHTER, draws=1500, proposals_per_draw=2)
    for name, draws in scalars(posterior).items():
        mean = expected[name] @ weight
        error = np.sqrt(np.square(weight) @ np.square(expected[name] - mean))
        z = (draws.mean() - mean) / np.hypot(error, array_stats.mcse(draws, method="mean"))
        assert abs(z) < 4, name
        sd = np.sqrt(weight @ np.square(expected[name] - mean))
        assert draws.std() == pytest.approx(sd, rel=0.12), name


@pytest.mark.slow
@pytest.mark.parametrize("reading", list(Reading))
def test_against_nuts_with_every_deviation_a_parameter(reading):
    """The paper's trial; equations (5) to (10) in PyMC, 2000 deviations and all."""
    nutpie = pytest.importorskip("nutpie")
    design, subgroups = paper_trial()
    compiled = nutpie.compile_pymc_model(described_model(design, subgroups, reading))
    trace = nutpie.sample(
        compiled, draws=1000, tune=600, chains=4, cores=1, seed=1, target_accept=0.9, progress_bar=False
    )
    nuts = trace["posterior"].to_dataset()
    charitable = reading is Reading.CHARITABLE
    sums = nuts["beta_1"] + nuts["tau"] if charitable else nuts["beta_0"] + 2 * nuts["tau"]
    expected = {name: nuts[name].to_numpy() for name in ("sigma_tau", "sigma_eta")}
    expected |= {f"sums[{k}]": sums.transpose("chain", "draw", "subgroup").to_numpy()[..., k] for k in range(4)}
    expected["fixed[0]"] = nuts["beta_0" if charitable else "beta_1"].to_numpy()
    expected |= {f"fixed[{j + 1}]": nuts["beta"].to_numpy()[..., j] for j in range(5)}
    for name, draws in scalars(paper_fit(reading)).items():
        error = np.hypot(*(array_stats.mcse(each, method="mean") for each in (draws, expected[name])))
        assert abs(draws.mean() - expected[name].mean()) < 4 * error, name
        assert draws.std() == pytest.approx(expected[name].std(), rel=0.2), name


@pytest.mark.parametrize("reading", list(Reading))
def test_the_fit_of_the_paper_s_trial_passes_its_checks(reading):
    checks = paper_fit(reading)["posterior"].attrs
    assert checks["reading"] == reading
    assert checks["pareto_k"] < 0.5
    assert checks["acceptance_rate"] > 0.4
    assert checks["worst_rhat"] < 1.01
    assert checks["least_ess"] > 400


def test_the_same_seed_gives_the_same_draws():
    one, two, other = (
        fit_described(*small_trial(), Reading.CHARITABLE, draws=400, seed=seed)["posterior"].to_dataset()
        for seed in (9, 9, 10)
    )
    assert one.identical(two)
    assert not other.equals(one)


def test_narrow_priors_win():
    """With SDs that are almost known to be zero all subgroups have the same effect."""
    priors = DescribedPriors(subgroup_scale=1e-3, individual_scale=1e-3)
    posterior = fit_described(*small_trial(), Reading.CHARITABLE, priors=priors)
    draws = posterior["posterior"].to_dataset()
    assert float(np.ptp(draws["sums"].to_numpy(), axis=2).max()) < 0.05
    assert stats.kstest(draws["sigma_eta"].to_numpy()[:, ::10].ravel(), stats.halfnorm(scale=1e-3).cdf).pvalue > 1e-4


def test_too_few_draws_warn():
    with pytest.warns(FitWarning, match="must not be reported"):
        fit_described(*small_trial(), Reading.CHARITABLE, draws=10)


def test_subgroups_of_other_patients_are_refused():
    design, _ = small_trial()
    with pytest.raises(ValueError, match="80"):
        fit_described(design, paper_trial()[1], Reading.LITERAL)
    with pytest.raises(ValueError, match="sensible"):
        fit_described(*small_trial(), "sensible")
