"""The described model's posterior against draws from the prior, reweighted, and against NUTS on the whole model."""

from __future__ import annotations

import numpy as np
import pytest
from arviz_stats.base import array_stats
from described_fits import paper_fit, paper_trial, small_trial, tiny_trial
from scipy import special, stats

from hte_utils.described.density import positive_nodes
from hte_utils.described.fit import DescribedSettings, fit_described
from hte_utils.described.model import DescribedPriors, Reading, described_model
from hte_utils.fit_record import FitWarning

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
    nodes, half = positive_nodes()
    nodes, weights = np.concatenate([-nodes, nodes]), np.concatenate([half, half])
    log_weight = np.zeros(n)
    for i in range(design.n_patients):
        treated, k = design.treatment[i], subgroups.index[i]
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
    posterior = fit_described(*tiny_trial(), reading, priors=TIGHTER, settings=DescribedSettings(draws=1500))
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


def test_the_same_seed_gives_the_same_draws_on_any_number_of_cores():
    settings = DescribedSettings(draws=400, seed=9)
    one, two = (
        fit_described(*small_trial(), Reading.CHARITABLE, settings=settings, cores=cores)["posterior"].to_dataset()
        for cores in (1, 2)
    )
    assert one.identical(two)
    other = fit_described(*small_trial(), Reading.CHARITABLE, settings=DescribedSettings(draws=400, seed=10))
    assert not other["posterior"].to_dataset().equals(one)


def test_narrow_priors_win():
    """With SDs that are almost known to be zero all subgroups have the same effect."""
    priors = DescribedPriors(subgroup_scale=1e-3, individual_scale=1e-3)
    posterior = fit_described(*small_trial(), Reading.CHARITABLE, priors=priors)
    draws = posterior["posterior"].to_dataset()
    assert float(np.ptp(draws["sums"].to_numpy(), axis=2).max()) < 0.05
    assert stats.kstest(draws["sigma_eta"].to_numpy()[:, ::10].ravel(), stats.halfnorm(scale=1e-3).cdf).pvalue > 1e-4


def test_too_few_draws_warn():
    with pytest.warns(FitWarning, match="must not be reported"):
        fit_described(*small_trial(), Reading.CHARITABLE, settings=DescribedSettings(draws=10))


@pytest.mark.parametrize(
    ("field", "value", "error"), [("draws", 3, ValueError), ("chains", 1, ValueError), ("seed", 1.0, TypeError)]
)
def test_settings_are_checked(field, value, error):
    with pytest.raises(error, match=field):
        DescribedSettings(**{field: value})


def test_subgroups_of_other_patients_are_refused():
    design, _ = small_trial()
    with pytest.raises(ValueError, match="80"):
        fit_described(design, paper_trial()[1], Reading.LITERAL)
    with pytest.raises(ValueError, match="sensible"):
        fit_described(*small_trial(), "sensible")
