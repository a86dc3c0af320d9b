"""What the described model makes of a trial: sigma_eta, and effects beside Listing 2's and the truth; with figures.

All effects are log odds ratios of bleeding unless a name says otherwise: positive is harm.

The described model knows two effects of a patient: the mean effect in the subgroup, beta_1 + tau_k[i] (a CATE), and the
patient's own, beta_1 + eta_i. Of the deviation eta_i - tau_k[i] the trial knows what one outcome says about it: a
little for a treated patient, nothing for an untreated one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import xarray as xr
from scipy import special, stats

from hte_utils.audit.ablation import AGREEMENT, EffectsTable
from hte_utils.audit.described_model import OLDER_FROM, DescribedDensity, DescribedPriors, Reading
from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.evaluation import Metric, evaluate_cate, point_metrics
from hte_utils.effects.strata import stratify_by_risk
from hte_utils.effects.truth import best_fit, true_cate, true_effects_by_stratum
from hte_utils.model.checks import FloatArray
from hte_utils.model.spec import TrialDesign
from hte_utils.style import BLACK, BLUE, DIRECTION, GREEN, GREY, ORANGE, VERMILION, canvas
from hte_utils.trial import TrialTruth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGMAS: Final = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
AS_RUN, AS_IN_PAPER = "Listing 2, gender effects in", "Listing 2, as in the paper"
CHARITABLE, OWN, LITERAL = "described, charitable", "described, with own deviation", "described, literal"
"""Labels of sets of effects: by both ways of Listing 2, and by the described model's readings."""
OWN_SLOPES: Final = "charitable, slopes of their own for the treated"
# Normal deviations of the log odds turn one logistic curve into another, nearly logistic and flatter by sqrt(1 + c² σ²)
# (Zeger, Liang & Albert 1988; see also Neuhaus, Kalbfleisch & Hauck 1991). Coefficients larger by that factor undo it.
_ATTENUATION: Final = 16.0 * np.sqrt(3.0) / (15.0 * np.pi)
_QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
_REPLICATES: Final = 60
GUARDED: Final = tuple(AGREEMENT)
"""Measures that the replay holds."""


def densities_to_profile(design: TrialDesign, subgroups: pd.Categorical[str]) -> dict[str, DescribedDensity]:
    """Lay out both readings, and the charitable one with slopes of the covariates that may differ between the arms.

    The third takes away that sigma_eta flattens the slopes of the treated alone in the charitable reading.
    """
    densities = {str(reading): DescribedDensity(design, subgroups, reading) for reading in Reading}
    return densities | {OWN_SLOPES: DescribedDensity(design, subgroups, Reading.CHARITABLE, own_slopes=True)}


def profile_likelihood(densities: Mapping[str, DescribedDensity], sigmas: Sequence[float] = SIGMAS) -> pd.DataFrame:
    """Largest log-likelihood at each sigma_eta (the index), relative to sigma_eta = 0; a column a density."""
    columns = {}
    for label, density in densities.items():
        none, *largest = (density.log_likelihood(density.maximum(s)[None], np.array([s]))[0] for s in (0.0, *sigmas))
        columns[label] = np.array(largest) - none
    return pd.DataFrame(columns, index=pd.Index(sigmas, name="sigma_eta"))


def slopes_by_sigma(density: DescribedDensity, sigmas: Sequence[float]) -> pd.DataFrame:
    """Maximum-likelihood fixed effects at each sigma_eta (the index) as multiples of those at 0.

    The last column has the approximate factor, ``sqrt(1 + c²σ²)``.
    """
    none, *slopes = (density.maximum(sigma)[density.n_subgroups :] for sigma in (0.0, *sigmas))
    table = pd.DataFrame(np.array(slopes) / none, pd.Index(sigmas, name="sigma_eta"), density.fixed_labels)
    return table.assign(**{"sqrt(1 + c²σ²)": np.sqrt(1.0 + (_ATTENUATION * table.index.to_numpy()) ** 2)})


def prior_and_posterior(posteriors: Mapping[str, tuple[DescribedPriors, xr.DataTree]]) -> pd.DataFrame:
    """Mean and quantiles (columns) of sigma_eta before and after the data (rows: label, and prior or posterior)."""
    columns = {}
    for label, (priors, posterior) in posteriors.items():
        prior = stats.halfnorm(scale=priors.individual_scale)
        draws = posterior["posterior"]["sigma_eta"].to_numpy()
        columns[label, "prior"] = [prior.mean(), *prior.ppf(_QUANTILES)]
        columns[label, "posterior"] = [draws.mean(), *np.quantile(draws, _QUANTILES)]
    names = ["mean", *(f"{100 * quantile:g} %" for quantile in _QUANTILES)]
    return pd.DataFrame(columns, names).T.rename_axis(["model", "sigma_eta"])


def mean_effect_draws(posterior: xr.DataTree, subgroups: pd.Categorical[str]) -> xr.DataArray:
    """Draw the mean effect among patients like each patient, dims (chain, draw, patient); if literal, beta_1."""
    draws = posterior["posterior"].to_dataset()
    if draws.attrs["reading"] == Reading.CHARITABLE:
        return draws["sums"].isel(subgroup=xr.DataArray(subgroups.codes, dims="patient")).drop_vars("subgroup")
    common = draws["fixed"].sel(coefficient="treatment", drop=True)
    return common.expand_dims(patient=len(subgroups), axis=2)


def own_effect_draws(
    posterior: xr.DataTree, design: TrialDesign, subgroups: pd.Categorical[str], *, seed: int = 1
) -> xr.DataArray:
    """Draw each patient's own effect, beta_1 + eta_i, dims (chain, draw, patient); charitable reading only."""
    draws = posterior["posterior"].to_dataset()
    if draws.attrs["reading"] != Reading.CHARITABLE:
        raise ValueError("in the literal reading eta_i is no treatment effect: take mean_effect_draws")
    rows = DescribedDensity(design, subgroups, Reading.CHARITABLE).rows
    coefficients = np.concatenate([draws["sums"], draws["fixed"]], axis=2).reshape(-1, rows.shape[1])
    sigma = draws["sigma_eta"].to_numpy().reshape(-1, 1)
    rng = np.random.default_rng(seed)
    deviation = rng.standard_normal((len(coefficients), design.n_patients))
    treated = np.flatnonzero(design.treatment == 1.0)
    log_odds = coefficients @ rows[treated].T
    deviation[:, treated] = deviations_given_outcome(log_odds, sigma, design.outcome[treated], rng)
    mean = mean_effect_draws(posterior, subgroups)
    return mean + (sigma * deviation).reshape(mean.shape)


def deviations_given_outcome(
    log_odds: FloatArray, sigma: FloatArray, outcome: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Draw standard normal e given a Bernoulli outcome with log odds ``log_odds + sigma e``, by rejection.

    Shapes: `log_odds` (draws, patients), `sigma` (draws, 1), `outcome` (patients,).
    """
    sign, flat, spread = (each.ravel() for each in np.broadcast_arrays(2.0 * outcome - 1.0, log_odds, sigma))
    drawn, missing = np.empty(flat.size), np.arange(flat.size)
    while missing.size:
        proposed = rng.standard_normal(missing.size)
        chance = special.expit(sign[missing] * (flat[missing] + spread[missing] * proposed))
        accepted = rng.random(missing.size) < chance
        drawn[missing[accepted]] = proposed[accepted]
        missing = missing[~accepted]
    return drawn.reshape(log_odds.shape)


def listing_effects(posterior: xr.DataTree, design: TrialDesign) -> dict[str, xr.DataArray]:
    """Effects under Listing 2, without the gender effects (as in the paper) and with them."""
    return {
        label: cate_draws(posterior, design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=way)
        for label, way in ((AS_IN_PAPER, GroupEffects.LEFT_OUT), (AS_RUN, GroupEffects.INCLUDED))
    }


def described_effects(
    posteriors: Mapping[str, xr.DataTree], design: TrialDesign, subgroups: pd.Categorical[str]
) -> dict[str, xr.DataArray]:
    """Effects under the described model, from the posteriors of both readings."""
    return {
        CHARITABLE: mean_effect_draws(posteriors[Reading.CHARITABLE], subgroups),
        OWN: own_effect_draws(posteriors[Reading.CHARITABLE], design, subgroups),
        LITERAL: mean_effect_draws(posteriors[Reading.LITERAL], subgroups),
    }


def effects_by_subgroup(
    posterior: xr.DataTree, design: TrialDesign, subgroups: pd.Categorical[str], truth: FloatArray
) -> pd.DataFrame:
    """Lay the posterior of each subgroup's mean effect (charitable reading) beside its patients' true effects.

    Posterior mean and central 95 % credible interval of beta_1 + tau_k; true mean and SD over the patients.
    """
    draws = posterior["posterior"]["sums"].to_numpy().reshape(-1, len(subgroups.categories))
    lower, upper = np.quantile(draws, (0.025, 0.975), axis=0)
    patients = pd.DataFrame({"true": truth, "bled": design.outcome.astype(int)}).groupby(subgroups.codes)
    table = patients.agg(patients=("bled", "size"), bleeds=("bled", "sum"))
    table = table.assign(mean=draws.mean(axis=0), lower=lower, upper=upper)
    table = table.join(patients.agg(true_mean=("true", "mean"), true_sd=("true", "std")))
    return table.set_index(subgroups.categories.rename("subgroup"))


class EffectsCompared(EffectsTable):
    """Sets of effects by model against the truth.

    Columns beside those of `EffectsTable`: `spread`, the SD over the patients of the posterior mean effects; `width`,
    the mean width of the patients' 95 % credible intervals.
    """

    def shown(self) -> pd.DataFrame:
        """Return the table for readers: value and Monte Carlo standard error."""
        values, errors = self.estimates[list(AGREEMENT)], self.mcse[list(AGREEMENT)]
        text = values.map("{:.2f} ± ".format) + errors.map("{:.3f}".format)
        text = text.map(lambda words: words.replace("-", "−")).where(np.isfinite(values), "none")
        alone = self.estimates[["spread", "width"]].map("{:.2f}".format)
        return text.rename(columns=AGREEMENT).join(alone.set_axis(["SD of effects", "interval width"], axis=1))


def compare_effects(effects: Mapping[str, xr.DataArray], truth: TrialTruth) -> EffectsCompared:
    """Evaluate sets of effects, draws by label, against the true log odds ratios, whatever scale these were made on."""
    actual, measured = true_cate(truth, EffectScale.LOG_ODDS_RATIO), {}
    for label, draws in effects.items():
        found = evaluate_cate(draws, actual, n_replicates=_REPLICATES).metrics()
        spread = float(draws.mean(["chain", "draw"]).std("patient"))
        measured[label] = {name: found[name] for name in AGREEMENT}
        measured[label] |= {"spread": Metric(spread, 0.0), "width": Metric(mean_width(draws), 0.0)}
    return EffectsCompared.of(measured)


def mean_width(draws: xr.DataArray) -> float:
    """Mean over patients of the width of the central 95 % credible interval."""
    # A sort of each patient's draws is several times faster than NumPy's quantile.
    by_patient = np.sort(draws.to_numpy().reshape(-1, draws.sizes["patient"]).T)
    lower, upper = np.round(np.array([0.025, 0.975]) * (by_patient.shape[1] - 1)).astype(int)
    return float(np.mean(by_patient[:, upper] - by_patient[:, lower]))


def correlation_without_chance(design: TrialDesign, truth: TrialTruth) -> float:
    """Correlate the true log odds ratios with the best that Listing 2's form can express: a trial without end."""
    best = best_fit(design, truth)
    own = best[[f"delta[{label}]" for label in design.group_labels]].to_numpy()[design.group]
    effects = own + design.modifiers @ best[[f"b_trt_{label}" for label in design.modifier_labels]].to_numpy()
    return point_metrics(effects, true_cate(truth, EffectScale.LOG_ODDS_RATIO)).correlation


def effects_by_risk(posterior: xr.DataTree, design: TrialDesign, truth: TrialTruth) -> pd.DataFrame:
    """Mean effect by quintile of the baseline risk that Listing 2 predicts (gender effects in): predicted and true.

    Log odds ratios, `mcse` being the Monte Carlo error; `true_points` is the true risk difference in percentage points.
    """
    included = GroupEffects.INCLUDED
    risk = baseline_risk_draws(posterior, design, group_effects=included)
    effects = cate_draws(posterior, design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=included)
    strata = stratify_by_risk(risk, effects, n_replicates=_REPLICATES)
    true = true_effects_by_stratum(truth, strata)
    return pd.DataFrame(
        {
            "predicted": strata.table["mean_te"],
            "mcse": strata.mcse["mean_te"],
            "true": true["log_odds_ratio"],
            "true_points": 100.0 * true["risk_difference"],
        }
    )


_COLOURS, _LINES = (ORANGE, BLUE, GREEN), ("--", "-", ":")
_AGE_BIN: Final = 5.0  # years
LIKELIHOOD_DROP: Final = float(stats.chi2.ppf(0.95, 1) / 2.0)
"""By how much the log-likelihood falls from its maximum to the end of a 95 % likelihood interval."""


def identification_figure(
    profile: pd.DataFrame, posteriors: Mapping[str, xr.DataTree], priors: DescribedPriors
) -> Figure:
    """Draw the profile likelihood of sigma_eta, and its prior beside the posteriors (in the order of the profile)."""
    with canvas(2, height=3.6) as drawn:
        likelihood, density = drawn.axes
        for (label, column), colour, line in zip(profile.items(), _COLOURS, _LINES, strict=False):
            likelihood.plot(profile.index, column, color=colour, linestyle=line, linewidth=2, label=str(label))
        likelihood.axhline(-LIKELIHOOD_DROP, color=GREY, linewidth=0.8, linestyle=(0, (1, 3)))
        likelihood.annotate("95 % limit", (0.0, -LIKELIHOOD_DROP), (4, 3), textcoords="offset points", color=GREY)
        likelihood.set(title="Profile log-likelihood", ylabel="relative to $\\sigma_\\eta = 0$", ylim=(-5, 1))
        likelihood.legend(loc="lower left")
        grid = np.linspace(0.0, float(profile.index.max()), 300)
        prior = stats.halfnorm.pdf(grid, scale=priors.individual_scale)
        density.fill_between(grid, prior, color=GREY, alpha=0.3, label="prior")
        for (label, posterior), colour, line in zip(posteriors.items(), _COLOURS, _LINES, strict=False):
            draws = posterior["posterior"]["sigma_eta"].to_numpy().ravel()
            # An SD cannot be negative: reflected at zero, so that nothing leaks below it.
            values = 2.0 * stats.gaussian_kde(np.concatenate([draws, -draws]))(grid)
            density.plot(grid, values, color=colour, linestyle=line, linewidth=2, label=f"posterior, {label}")
        density.set(title="Prior and posterior", ylabel="density", ylim=(0, None))
        density.legend(loc="upper right")
        for axis in drawn.axes:
            axis.set(xlabel="$\\sigma_\\eta$, SD of individual deviations (log odds)", xlim=(0, None))
    return drawn.figure


def effects_by_age_figure(
    trial: pd.DataFrame, actual: FloatArray, described: xr.DataArray, listing: xr.DataArray
) -> Figure:
    """Draw true log odds ratios, (patients,), against age, with what the described model and Listing 2 make of them.

    `described`, `listing`: draws of the patients' effects, the first of them constant in each subgroup.
    """
    age, drug = trial["age"].to_numpy(), trial["anticoagulant"].to_numpy()
    patients = pd.DataFrame({"age": age, "mean": listing.mean(["chain", "draw"]).to_numpy()})
    with canvas(2, height=3.8, sharey=True) as drawn:
        for axis, answer in zip(drawn.axes, ("No", "Yes"), strict=True):
            here = drug == answer
            axis.axhline(0, color=BLACK, linewidth=0.7, linestyle=":")
            axis.plot(age[here], actual[here], ".", color=GREY, markersize=2, alpha=0.6, label="true, each patient")
            for older, name in ((False, "described model, subgroup mean and 95 % interval"), (True, None)):
                members = np.flatnonzero(here & ((age >= OLDER_FROM) == older))
                draws = described.isel(patient=int(members[0])).to_numpy()
                ends, (lower, upper) = [age[members].min(), age[members].max()], np.quantile(draws, (0.025, 0.975))
                axis.fill_between(ends, 2 * [lower], 2 * [upper], color=BLUE, alpha=0.15, linewidth=0)
                axis.plot(ends, 2 * [draws.mean()], color=BLUE, linewidth=2.5, label=name)
            bins = patients[here].groupby(np.floor(age[here] / _AGE_BIN)).mean()
            name = "Listing 2, gender effects in"
            axis.plot(bins["age"], bins["mean"], "--", color=VERMILION, linewidth=1.8, label=name)
            axis.set(xlabel="Age (years)", title=f"anticoagulant: {answer.lower()}")
        drawn.axis.set(ylabel=f"Effect, log odds ratio\n{DIRECTION}")
        drawn.figure.legend(*drawn.axis.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return drawn.figure
