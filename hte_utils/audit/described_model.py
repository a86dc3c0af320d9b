"""The paper's model as its text describes it, equations (5) to (10), and draws from its posterior.

The equations are (k = subgroup, i = patient, T = 1 if treated, X = covariates)::

    (5)  mu_i  = beta_0 + beta_1 T_i + sum_j beta_j X_ij
    (6)  tau_k ~ Normal(mu_tau, sigma_tau²)              deviations of the treatment effect, by subgroup
    (7)  eta_i ~ Normal(tau_k[i], sigma_eta²)            deviations of the treatment effect, by patient
    (8)  logit P_i = beta_0 + beta_1 T_i + sum_j beta_j X_ij + tau_k[i] + eta_i
    (10) beta_j ~ Normal(0, 1)

What they leave open is decided here by name: `Reading`, `paper_subgroups`, `DescribedPriors`. Covariates are those of
Listing 2, coded as there. Effects are log odds ratios of bleeding: positive is harm.

`fit_described` integrates the individual deviations out, patient by patient. Given the two SDs, what is left has a
posterior that is log-concave and close to normal; but a subgroup SD near zero squeezes the subgroups together (a
funnel). So the sampler of Listing 2 (`hte_utils.model.sampler`) proposes in the normal scores of the SDs, and in the
others given these, standardised by a normal approximation that is interpolated between a few values of sigma_eta.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base import array_stats  # type: ignore[attr-defined]
from scipy import linalg, special

from hte_utils.model.checks import FloatArray, complete_column
from hte_utils.model.fit import FitWarning
from hte_utils.model.sampler import Proposal, metropolis_chain, pareto_k
from hte_utils.model.spec import TrialDesign
from hte_utils.model.threads import one_blas_thread

if TYPE_CHECKING:
    import pymc as pm

OLDER_FROM: Final = 60.0
"""Years: "e.g. age >= 60", Section 2.2 of the paper."""


class Reading(StrEnum):
    """What equation (8) is taken to mean."""

    LITERAL = "literal"
    """``+ tau_k[i] + eta_i`` for every patient, as printed. As eta_i has mean tau_k[i], the subgroup counts twice. It
    moves both arms alike: the treatment effect is beta_1 for everybody."""
    CHARITABLE = "charitable"
    """``+ T_i eta_i``: the deviations concern the treated, as the text says, and tau_k[i] counts once, as the mean of
    eta_i. The treatment effect of patient i is beta_1 + eta_i, and beta_1 + tau_k[i] on average over a subgroup."""


@dataclass(frozen=True, slots=True)
class DescribedPriors:
    """Priors of the described model; the last three are not in the paper."""

    fixed_sd: float = 1.0  # SD of the normal prior (mean 0) of every beta, equation (10)
    mean_sd: float = 1.0  # the same of mu_tau, which acts only through its sum with beta_1 (or beta_0)
    subgroup_scale: float = 1.0  # of the half-normal prior of sigma_tau
    individual_scale: float = 1.0  # of the half-normal prior of sigma_eta


def paper_subgroups(trial: pd.DataFrame) -> pd.Categorical[str]:
    """Cross "age >= 60" with "anticoagulant use": each patient's subgroup, one of four, shape (patients,).

    The text has "e.g." the one or the other; but each patient has one k[i]. ``ValueError`` if an age or the use of
    anticoagulants is missing, or a subgroup has no patients.
    """
    older = complete_column(trial, "age").to_numpy() >= OLDER_FROM
    anticoagulated = complete_column(trial, "anticoagulant").to_numpy() == "Yes"
    ages = (f"under {OLDER_FROM:g}", f"{OLDER_FROM:g} or older")
    labels = pd.Index([f"{age}, {drug}" for age in ages for drug in ("no anticoagulant", "anticoagulant")])
    subgroups = pd.Categorical.from_codes(2 * older.astype(np.int8) + anticoagulated, labels)
    empty = labels.difference(pd.Index(subgroups.unique()))
    if not empty.empty:
        raise ValueError(f"each subgroup needs patients, but {list(empty)} has none: take a larger trial")
    return subgroups


def described_model(
    design: TrialDesign, subgroups: pd.Categorical[str], reading: Reading, priors: DescribedPriors | None = None
) -> pm.Model:
    """Write equations (5) to (10) down in PyMC, for readers and to hold `fit_described` against NUTS."""
    import pymc as pm

    priors, charitable = priors or DescribedPriors(), Reading(reading) is Reading.CHARITABLE
    labels = {"subgroup": list(subgroups.categories), "prognostic": design.prognostic_labels}
    with pm.Model(coords={**labels, "patient": np.arange(design.n_patients)}) as model:
        beta_0 = pm.Normal("beta_0", 0.0, priors.fixed_sd)
        beta_1 = pm.Normal("beta_1", 0.0, priors.fixed_sd)
        beta = pm.Normal("beta", 0.0, priors.fixed_sd, dims="prognostic")
        mu_tau = pm.Normal("mu_tau", 0.0, priors.mean_sd)
        sigma_tau = pm.HalfNormal("sigma_tau", priors.subgroup_scale)
        sigma_eta = pm.HalfNormal("sigma_eta", priors.individual_scale)
        # Equations (6) and (7), as mean plus SD times a standard normal: the same law, and NUTS can move in it.
        tau = pm.Deterministic("tau", mu_tau + sigma_tau * pm.Normal("z", dims="subgroup"), dims="subgroup")
        eta = tau[subgroups.codes] + sigma_eta * pm.Normal("epsilon", dims="patient")
        population = beta_0 + beta_1 * design.treatment + design.prognostic @ beta  # equation (5)
        deviation = design.treatment * eta if charitable else tau[subgroups.codes] + eta
        pm.Bernoulli("y", logit_p=population + deviation, observed=design.outcome)  # equations (8) and (9)
    return model


_STATISTICS: Any = array_stats  # ArviZ has no type hints
NODES: Final = 0.5 * (np.arange(14) + 0.5)
"""Nodes above 0 of the midpoint rule: ±0.25, ±0.75, ... ±6.75 have a relative error below 1e-7 up to sigma = 2, 2e-5
at 3, 4e-4 at 4."""
WEIGHTS: Final = np.exp(-0.5 * np.square(NODES)) / (2.0 * np.exp(-0.5 * np.square(NODES)).sum())  # of ±: sum 1
_NEWTON_STEPS, _CONVERGED = 50, 1e-6
_POINT_BLOCK: Final = 64  # with a thousand patients, arrays that stay in a core's cache
_SCORES: Final = np.linspace(-2.0, 3.0, 6)  # of sigma_eta: from a fortieth to three times its prior's scale
_CHAINS: Final = 4


class DescribedDensity:
    """Unnormalised log posterior of a trial under one reading, deviations integrated out; call it with points.

    Equation (8) is ``sums[k[i]] + fixed . row + epsilon_i``, the last if the patient `deviates`, epsilon_i = eta_i -
    tau_k[i]. The data see only the *sums* of shared effect and subgroup's part, ``sums[k] = shared + tau_weight *
    sigma_tau * z_k`` with z_k ~ Normal(0, 1): beta_1 + tau_k if charitable, beta_0 + 2 tau_k if literal. `rows`
    multiply the coefficients, sums and fixed effects (`fixed_labels`), shape (patients, subgroups + fixed);
    `own_slopes` gives the covariates other slopes in the treated arm.

    Points, shape (points, `size`): the shared part, the z_k, the fixed effects, and the normal scores of the two SDs,
    each on the scale on which its prior is Normal(0, 1).
    """

    def __init__(
        self,
        design: TrialDesign,
        subgroups: pd.Categorical[str],
        reading: Reading,
        priors: DescribedPriors | None = None,
        *,
        own_slopes: bool = False,
    ) -> None:
        self.priors = priors or DescribedPriors()
        member = np.eye(len(subgroups.categories))[subgroups.codes]
        treated, one = design.treatment[:, None], np.ones((design.n_patients, 1))
        if Reading(reading) is Reading.CHARITABLE:
            blocks = [member * treated, one, design.prognostic]
            self.deviates, self.tau_weight, first = design.treatment == 1.0, 1.0, "intercept"
        else:
            blocks = [member, treated, design.prognostic]
            self.deviates, self.tau_weight, first = np.ones(design.n_patients, dtype=bool), 2.0, "treatment"
        if own_slopes:
            # Without those that are constant within every subgroup: their slopes are the subgroups' effects already.
            varies = pd.DataFrame(design.prognostic).groupby(subgroups.codes).nunique().gt(1).any().to_numpy()
            blocks.append(design.prognostic[:, varies] * treated)
        self.rows, self.n_subgroups = np.hstack(blocks), member.shape[1]
        self.fixed_labels = (first, *design.prognostic_labels)
        self.shared_sd = math.hypot(self.priors.fixed_sd, self.tau_weight * self.priors.mean_sd)
        self.size = self.rows.shape[1] + 3
        signed = self.rows * (1.0 - 2.0 * design.outcome)[:, None]
        self._plain, self._mixed = signed[~self.deviates], signed[self.deviates]

    def parameters(self, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Translate points to coefficients, sigma_tau and sigma_eta."""
        shared, z = points[:, :1], points[:, 1 : 1 + self.n_subgroups]
        sigma_tau = self.priors.subgroup_scale * half_normal_quantile(points[:, -2])
        sums = self.shared_sd * shared + self.tau_weight * sigma_tau[:, None] * z
        fixed = self.priors.fixed_sd * points[:, 1 + self.n_subgroups : -2]
        sigma_eta = self.priors.individual_scale * half_normal_quantile(points[:, -1])
        return np.hstack([sums, fixed]), sigma_tau, sigma_eta

    def __call__(self, points: FloatArray) -> FloatArray:
        """Evaluate the log density, shape (points,)."""
        coefficients, _, sigma_eta = self.parameters(points)
        return self.log_likelihood(coefficients, sigma_eta) - 0.5 * np.square(points).sum(axis=1)

    def log_likelihood(self, coefficients: FloatArray, sigma_eta: FloatArray) -> FloatArray:
        """Log-likelihood at coefficients and sigma_eta, shape (points,)."""
        total = np.empty(len(coefficients))
        for first in range(0, len(coefficients), _POINT_BLOCK):
            some = slice(first, first + _POINT_BLOCK)
            columns = np.ascontiguousarray(coefficients[some].T)
            total[some] = -np.log1p(np.exp(self._plain @ columns)).sum(axis=0)
            total[some] += np.log(mean_expit(self._mixed @ columns, sigma_eta[some])).sum(axis=0)
        return total

    def maximum(self, sigma_eta: float, pull: FloatArray | None = None) -> FloatArray:
        """Maximise the log-likelihood given sigma_eta by Newton's method: coefficients, shape (subgroups + fixed,).

        `pull` is the precision of a normal prior around 0; if None, one so wide (SD 1000) that it only helps where
        there is no maximum.
        """
        b = np.zeros(self.rows.shape[1])
        pull = 1e-6 * np.eye(b.size) if pull is None else pull
        for _ in range(_NEWTON_STEPS):
            gradient, information = self._derivatives(b, sigma_eta)
            step = linalg.solve(information + pull, gradient - pull @ b, assume_a="pos")
            b += step / max(1.0, np.abs(step).max())
            if np.abs(step).max() < _CONVERGED:
                break
        return b

    def expansion(self, score: float) -> tuple[FloatArray, FloatArray]:
        """Expand the log-likelihood, ``linear @ b - 0.5 * b @ information @ b`` + constant: both terms.

        At the posterior mode of the coefficients b given a score of sigma_eta and median sigma_tau.
        """
        to_coefficients = self.jacobian(np.array([[0.0, score]]))[0]
        pull = linalg.inv(to_coefficients @ to_coefficients.T)  # the coordinates are Normal(0, 1) a priori
        sigma_eta = float(self.priors.individual_scale * half_normal_quantile(np.array([score]))[0])
        b = self.maximum(sigma_eta, pull)
        gradient, information = self._derivatives(b, sigma_eta)
        return gradient + information @ b, information

    def jacobian(self, scores: FloatArray) -> FloatArray:
        """Coefficients as linear functions of the other coordinates, given scores of the SDs, shape (points, 2)."""
        columns = self.size - 2
        points = np.hstack([np.tile(np.eye(columns), (len(scores), 1)), np.repeat(scores, columns, axis=0)])
        return np.swapaxes(self.parameters(points)[0].reshape(len(scores), columns, -1), 1, 2)

    def _derivatives(self, b: FloatArray, sigma_eta: float) -> tuple[FloatArray, FloatArray]:
        gradient, information = np.zeros(b.size), np.zeros((b.size, b.size))
        for rows, sigma in ((self._plain, 0.0), (self._mixed, sigma_eta)):
            first, second = log_mean_expit_derivatives(-(rows @ b), sigma)
            gradient -= first @ rows
            information -= (rows * second[:, None]).T @ rows
        return gradient, information


# Means over e ~ Normal(0, 1) are found by the midpoint rule: for a smooth integrand on the whole line it converges
# exponentially (Trefethen & Weideman 2014), and for SDs above 1 it beats Gauss-Hermite quadrature with as many nodes.
def mean_expit(negated: FloatArray, sigma: FloatArray) -> FloatArray:
    """Mean of expit(m + sigma e) over e ~ Normal(0, 1), of `negated` = -m, shape (patients, points), |m| < 300.

    With a = exp(-m) and c = 2 cosh(sigma x), the nodes ±x together contribute (2 + a c) / (1 + a c + a²): one
    exponential for each patient, one for each node, and none for their combinations.
    """
    odds_against = np.exp(negated)
    one_and_square, total = 1.0 + np.square(odds_against), np.zeros_like(odds_against)
    for node, weight in zip(NODES, WEIGHTS, strict=True):
        both = odds_against * (2.0 * np.cosh(sigma * node))
        total += (2.0 + both) / (one_and_square + both) * weight
    return total


def log_mean_expit_derivatives(m: FloatArray, sigma: float) -> tuple[FloatArray, FloatArray]:
    """First and second derivative of ``log(mean_expit)`` by m, each of the shape (patients,) of `m`."""
    probability = special.expit(m[:, None] + sigma * np.concatenate([-NODES, NODES]))
    slope = probability * (1.0 - probability)
    weights = np.concatenate([WEIGHTS, WEIGHTS])
    mean, first, second = (each @ weights for each in (probability, slope, slope * (1.0 - 2.0 * probability)))
    return first / mean, second / mean - np.square(first / mean)


def half_normal_quantile(u: FloatArray) -> FloatArray:
    """Standard half-normal quantile of Phi(u): normal scores to SDs, never 0."""
    return np.asarray(np.maximum(-special.ndtri(0.5 * special.ndtr(-u)), 1e-16))


class _Chart:
    """Coordinates in which the posterior is nearly standard normal: the SDs' scores, and the others given these."""

    def __init__(self, density: DescribedDensity) -> None:
        self._density, self.size = density, density.size
        linear, information = zip(*(density.expansion(float(score)) for score in _SCORES), strict=True)
        self._linear, self._information = np.array(linear), np.array(information)

    def points(self, inner: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Map coordinates to points of the density; return log |Jacobian| too."""
        scores = inner[:, -2:]
        # Where each point stands between the expansions: linear interpolation, constant beyond the ends.
        place = np.clip((scores[:, 1] - _SCORES[0]) / (_SCORES[1] - _SCORES[0]), 0.0, _SCORES.size - 1.0)
        weight = np.maximum(1.0 - np.abs(place[:, None] - np.arange(_SCORES.size)), 0.0)
        linear, information = weight @ self._linear, np.tensordot(weight, self._information, axes=1)
        to_coefficients = self._density.jacobian(scores)
        transposed = np.swapaxes(to_coefficients, 1, 2)
        precision = transposed @ information @ to_coefficients + np.eye(to_coefficients.shape[2])
        mean = np.linalg.solve(precision, transposed @ linear[..., None])[..., 0]
        factor = np.linalg.cholesky(precision)  # F F', so F'⁻¹ z has the covariance of the normal approximation
        rest = mean + np.linalg.solve(np.swapaxes(factor, 1, 2), inner[:, :-2, None])[..., 0]
        return np.hstack([rest, scores]), -np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)


def fit_described(
    design: TrialDesign,
    subgroups: pd.Categorical[str],
    reading: Reading,
    *,
    priors: DescribedPriors | None = None,
    draws: int = 500,
    proposals_per_draw: int = 3,
    seed: int = 123,
) -> xr.DataTree:
    """Draw from the posterior of the described model, four chains of `draws` draws.

    Group `posterior`, dims (chain, draw): ``sums`` (subgroup), ``fixed`` (coefficient), ``sigma_tau`` and ``sigma_eta``
    (`DescribedDensity` says what the sums are), log odds (ratios) of bleeding, positive = more. Attributes:
    ``reading``, ``pareto_k``, ``acceptance_rate``, ``worst_rhat``, ``least_ess``. A `FitWarning` if Pareto k is 0.7 or
    more, an R-hat 1.01 or more, or an effective sample size below 100 a chain.
    """
    density = DescribedDensity(design, subgroups, reading, priors)
    pilot, *seeds = np.random.SeedSequence(seed).spawn(_CHAINS + 1)
    # Many small products: a second BLAS thread costs more than it brings.
    with one_blas_thread():
        proposal, _ = Proposal.standard(_Chart(density)).fitted(density, pilot)
        chains = [metropolis_chain(density, proposal, draws, proposals_per_draw, each) for each in seeds]
    found = np.column_stack(density.parameters(np.concatenate([chain.points for chain in chains])))
    found = found.reshape(_CHAINS, draws, -1)
    scalars = np.concatenate([found[..., :-2], np.log(found[..., -2:])], axis=2).transpose(2, 0, 1)
    checks = {
        "pareto_k": pareto_k(np.stack([chain.log_weights for chain in chains])),
        "acceptance_rate": float(np.mean([chain.acceptance for chain in chains])),
        "worst_rhat": float(np.max(_STATISTICS.rhat(scalars))),
        "least_ess": float(np.min(_STATISTICS.ess(scalars, method="bulk"))),
    }
    if not (checks["pareto_k"] < 0.7 and checks["worst_rhat"] < 1.01 and checks["least_ess"] >= 100 * _CHAINS):
        warnings.warn(f"this posterior must not be reported: {checks}. Take more draws", FitWarning, stacklevel=2)
    draw = ("chain", "draw")
    posterior = xr.Dataset(
        {
            "sums": ((*draw, "subgroup"), found[..., : density.n_subgroups]),
            "fixed": ((*draw, "coefficient"), found[..., density.n_subgroups : -2]),
            "sigma_tau": (draw, found[..., -2]),
            "sigma_eta": (draw, found[..., -1]),
        },
        coords={"subgroup": list(subgroups.categories), "coefficient": list(density.fixed_labels)},
        attrs={"reading": str(reading), **checks},
    )
    return xr.DataTree.from_dict({"posterior": posterior})
