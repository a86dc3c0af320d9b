"""Draw from the posterior of the described model, without a compiler.

Given the two SDs, the other coordinates have a posterior that is log-concave and close to normal, for their prior is
normal and the likelihood nearly so. The SDs are another matter (a subgroup SD near zero squeezes the subgroups
together: a funnel), and so the proposal has two parts: the SDs near their prior, in normal scores, and the rest given
them from a multivariate t around the normal approximation, which is found by Newton's method at a few values of
sigma_eta and interpolated. An independence Metropolis-Hastings chain makes it exact (`independence.metropolis_path`);
the tails of both parts are heavier than the posterior's, so that the importance weights are bounded.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats  # type: ignore[attr-defined]
from threadpoolctl import threadpool_limits

from hte_utils.described.density import DescribedDensity
from hte_utils.described.model import DescribedPriors, layout_of
from hte_utils.fit_record import FitWarning, pareto_k
from hte_utils.independence import metropolis_path

if TYPE_CHECKING:
    from hte_utils.described.model import Reading, Subgroups
    from hte_utils.trial_checks import FloatArray
    from hte_utils.trial_design import TrialDesign

_STATISTICS: Any = array_stats  # ArviZ has no type hints
_SCORES: Final = np.linspace(-2.0, 3.0, 6)  # of sigma_eta: from a fortieth to three times its prior's scale
_DEGREES_OF_FREEDOM: Final = 8.0
_PILOT_ROUNDS: Final = 2
_PILOT_SIZE: Final = 1000
_PILOT_CUT: Final = 20  # the largest pilot weights are cut to the 20th largest, so that no single point decides
_SCORE_SCALE: Final = 1.2  # wider than the pilot found: too narrow costs more than too wide


@dataclass(frozen=True, slots=True)
class DescribedSettings:
    """Settings of the sampler.

    Parameters
    ----------
    draws, chains
        Kept draws a chain, and chains; R-hat needs at least two.
    proposals_per_draw
        Metropolis-Hastings steps from one kept draw to the next.
    seed
        Non-negative integer. The same seed gives the same draws, on any number of cores.

    Raises
    ------
    TypeError, ValueError
        If a setting is no integer, or too small.
    """

    draws: int = 1000
    chains: int = 4
    proposals_per_draw: int = 2
    seed: int = 123

    def __post_init__(self) -> None:
        for name, least in (("draws", 4), ("chains", 2), ("proposals_per_draw", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be an integer, not {value!r}")
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}")


@dataclass(frozen=True, slots=True, eq=False)
class DescribedProposal:
    """Where points are proposed: expansions of the log-likelihood at the normal scores `_SCORES` of sigma_eta.

    Attributes
    ----------
    linear, information
        `described_density.Expansion` at each score, shapes (scores, coefficients) and (scores, coefficients twice).
    density
        The posterior.
    centre, factor
        Of the two SDs' scores: a multivariate t around `centre`, shape (2,), with the scale matrix factor @ factor.T.
    """

    linear: FloatArray
    information: FloatArray
    density: DescribedDensity
    centre: FloatArray
    factor: FloatArray

    @classmethod
    def of(cls, density: DescribedDensity) -> DescribedProposal:
        """Expand the log-likelihood at each score."""
        expansions = [density.expansion(float(score)) for score in _SCORES]
        linear, information = (np.array([getattr(e, name) for e in expansions]) for name in ("linear", "information"))
        return cls(linear, information, density, np.zeros(2), np.eye(2))  # the prior of the scores

    def refined(self, rng: np.random.Generator) -> DescribedProposal:
        """Move the proposal of the scores to their posterior mean and covariance, by truncated importance sampling."""
        points, log_proposal = self.draw(_PILOT_SIZE, rng)
        log_weights = self.density(points) - log_proposal
        weights = np.exp(np.minimum(log_weights - np.sort(log_weights)[-_PILOT_CUT], 0.0))
        scores = points[:, -2:]
        covariance = _SCORE_SCALE**2 * np.cov(scores, rowvar=False, aweights=weights)
        return replace(self, centre=np.average(scores, axis=0, weights=weights), factor=np.linalg.cholesky(covariance))

    def draw(self, size: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Draw points, shape (size, coordinates), with their unnormalised log densities, shape (size,)."""
        scores, log_scores = _t_draws(size, 2, rng)
        scores = self.centre + scores @ self.factor.T
        standard, log_standard = _t_draws(size, self.density.size - 2, rng)
        mean, factor = self._given(scores)
        # precision = F F', so F'⁻¹ z has the covariance of the normal approximation.
        rest = mean + np.linalg.solve(np.swapaxes(factor, 1, 2), standard[..., None])[..., 0]
        log_volume = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
        return np.hstack([rest, scores]), log_scores + log_standard + log_volume

    def _given(self, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean, and Cholesky factor of the precision, of the other coordinates given the scores of the SDs."""
        # Where each point stands between the expansions: linear interpolation, constant beyond the ends.
        place = np.clip((scores[:, 1] - _SCORES[0]) / (_SCORES[1] - _SCORES[0]), 0.0, _SCORES.size - 1.0)
        weight = np.maximum(1.0 - np.abs(place[:, None] - np.arange(_SCORES.size)), 0.0)
        linear, information = weight @ self.linear, np.tensordot(weight, self.information, axes=1)
        to_coefficients = self.density.jacobian(scores)
        transposed = np.swapaxes(to_coefficients, 1, 2)
        precision = transposed @ information @ to_coefficients + np.eye(to_coefficients.shape[2])
        mean = np.linalg.solve(precision, transposed @ linear[..., None])[..., 0]
        return mean, np.linalg.cholesky(precision)


def fit_described(
    design: TrialDesign,
    subgroups: Subgroups,
    reading: Reading,
    *,
    priors: DescribedPriors | None = None,
    settings: DescribedSettings | None = None,
    cores: int = 2,
) -> xr.DataTree:
    """Draw from the posterior of the described model, the individual deviations integrated out.

    Parameters
    ----------
    design, subgroups
        The trial, coded as for Listing 2, and its subgroups.
    reading
        What equation (8) is taken to mean.
    priors, settings
        The defaults if None.
    cores
        Chains that run at the same time. The draws do not depend on it.

    Returns
    -------
    xarray.DataTree
        Group `posterior`, dims (chain, draw): ``sums`` (subgroup), ``fixed`` (coefficient), ``sigma_tau`` and
        ``sigma_eta``; `described_model.Layout` says what the sums are. Log odds (ratios) of bleeding, positive = more.
        Attributes: ``reading``, ``pareto_k``, ``acceptance_rate``, ``worst_rhat``, ``least_ess``.

    Raises
    ------
    ValueError
        If the subgroups are of other patients, or there is no such reading.

    Warns
    -----
    FitWarning
        If Pareto k is 0.7 or more, an R-hat 1.01 or more, or an effective sample size below 100 a chain.
    """
    priors, settings = priors or DescribedPriors(), settings or DescribedSettings()
    density = DescribedDensity.of(layout_of(design, subgroups, reading, priors), design.outcome, priors)
    # Many small products: a second BLAS thread a chain costs more than it brings.
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(cores) as pool:
        pilot, *seeds = np.random.SeedSequence(settings.seed).spawn(settings.chains + 1)
        proposal, rng = DescribedProposal.of(density), np.random.default_rng(pilot)
        for _ in range(_PILOT_ROUNDS):
            proposal = proposal.refined(rng)
        chains = list(pool.map(partial(_run_chain, proposal, settings), seeds))
    found = density.parameters(np.concatenate([chain.points for chain in chains]))
    shape = (settings.chains, settings.draws)
    posterior = xr.Dataset(
        {
            "sums": (("chain", "draw", "subgroup"), found.sums.reshape(*shape, -1)),
            "fixed": (("chain", "draw", "coefficient"), found.fixed.reshape(*shape, -1)),
            "sigma_tau": (("chain", "draw"), found.sigma_tau.reshape(shape)),
            "sigma_eta": (("chain", "draw"), found.sigma_eta.reshape(shape)),
        },
        coords={"subgroup": list(subgroups.labels), "coefficient": list(density.layout.fixed_labels)},
    )
    posterior.attrs = {"reading": str(reading)} | _checked(posterior, chains)
    return xr.DataTree.from_dict({"posterior": posterior})


@dataclass(frozen=True, slots=True, eq=False)
class _Chain:
    points: FloatArray
    acceptance: float
    log_weights: FloatArray


def _run_chain(proposal: DescribedProposal, settings: DescribedSettings, seed: np.random.SeedSequence) -> _Chain:
    rng, stride = np.random.default_rng(seed), settings.proposals_per_draw
    # The first tenth is burn-in: an independence chain forgets where it began as soon as it has moved.
    burn_in = settings.draws // 10 + 1
    points, log_proposal = proposal.draw((settings.draws + burn_in) * stride, rng)
    log_weights = proposal.density(points) - log_proposal
    path = metropolis_path(log_weights, np.log1p(-rng.random(log_weights.size)))
    kept = path[stride - 1 :: stride][burn_in:]
    return _Chain(points[kept], float(np.mean(np.diff(path) != 0)), log_weights)


def _t_draws(size: int, dimension: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Standard multivariate t, with unnormalised log densities."""
    df = _DEGREES_OF_FREEDOM
    draws = rng.standard_normal((size, dimension)) / np.sqrt(rng.chisquare(df, size) / df)[:, None]
    return draws, -0.5 * (df + dimension) * np.log1p(np.square(draws).sum(axis=1) / df)


def _checked(posterior: xr.Dataset, chains: list[_Chain]) -> dict[str, float]:
    stacked = [posterior[name].stack(scalar=list(posterior[name].dims[2:])) for name in ("sums", "fixed")]
    scalars = [values.to_numpy() for values in stacked]
    scalars += [np.log(posterior[name].to_numpy())[..., None] for name in ("sigma_tau", "sigma_eta")]
    draws = np.concatenate(scalars, axis=2).transpose(2, 0, 1)
    found = {
        "pareto_k": pareto_k(np.stack([chain.log_weights for chain in chains])),
        "acceptance_rate": float(np.mean([chain.acceptance for chain in chains])),
        "worst_rhat": float(np.max(_STATISTICS.rhat(draws))),
        "least_ess": float(np.min(_STATISTICS.ess(draws, method="bulk"))),
    }
    if not (found["pareto_k"] < 0.7 and found["worst_rhat"] < 1.01 and found["least_ess"] >= 100 * len(chains)):
        warnings.warn(
            f"this posterior must not be reported: {found}. Take more draws or proposals_per_draw",
            FitWarning,
            stacklevel=3,
        )
    return found
