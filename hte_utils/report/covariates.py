"""Covariates of a reader's trial: numbers or levels, their design columns, and what stands in for missing values."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from hte_utils.model.checks import FloatArray, rows_where
from hte_utils.report.question import Question
from hte_utils.report.reading import DataError, has_decimal_comma, labels_of, numbers_of, values_shown

MOST_LEVELS = 30
"""Levels of a factor beyond which its dummy variables say little: such a column is a group."""
IMPUTATIONS, _CYCLES, _DONORS = 5, 5, 5
_SPLINE_COLUMNS, _FEWEST_FOR_CURVE = 3, 10


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """A covariate of all patients: numbers, or places in `levels` (the first is the reference).

    `curved` numbers enter the models as a natural cubic spline.
    """

    name: str
    numbers: FloatArray
    levels: tuple[str, ...] = ()
    curved: bool = False

    def columns(self) -> tuple[FloatArray, list[str]]:
        """Design columns, shape (patients, columns), and their names: numbers in SD from the mean, factors 0/1."""
        if not self.levels:
            straight = ((self.numbers - self.numbers.mean()) / self.numbers.std(ddof=1))[:, None]
            if not self.curved:
                return straight, [self.name]
            bends = _bends(straight[:, 0])
            names = [f"{self.name}: curve {number}" for number in range(1, bends.shape[1] + 1)]
            return np.hstack([straight, bends]), [self.name, *names]
        dummies = np.eye(len(self.levels))[self.numbers.astype(np.int64)][:, 1:]
        return dummies, [f"{self.name}: {level}" for level in self.levels[1:]]


def _bends(z: FloatArray) -> FloatArray:
    """What a natural cubic spline adds to a straight line, shape (patients, columns), each with mean 0 and SD 1.

    They are uncorrelated with the line and each other: a prior that shrinks them shrinks towards the straight line.
    """
    from patsy import cr

    basis = np.asarray(cr(z, df=_SPLINE_COLUMNS, constraints="center"))
    q, r = np.linalg.qr(np.column_stack([np.ones(z.size), z, basis]))
    # The line lies in the span of the spline: one column less is new. The signs of a QR are left to chance.
    new = slice(2, 1 + _SPLINE_COLUMNS)
    return np.asarray(q[:, new] * np.sign(np.diag(r)[new]) * np.sqrt(z.size - 1.0))


def read_codes(frame: pd.DataFrame, name: str, question: Question, notes: list[str]) -> Codes:
    """Read a covariate as numbers or levels; DataError if it is neither. `notes` may get one."""
    column = frame[name]
    numbers = None if name in question.factors else numbers_of(column)
    if numbers is not None:
        if np.isinf(numbers).any():
            raise DataError(
                f"covariate {name!r} is infinite in {rows_where(np.isinf(numbers), frame.index)}: correct these values"
            )
        known = np.unique(numbers[np.isfinite(numbers)])
        if known.size > 2:
            if has_decimal_comma(column):
                notes.append(f"Numbers in column {name!r} were read with a decimal comma.")
            curved = name in question.splines
            if curved and known.size < _FEWEST_FOR_CURVE:
                raise DataError(
                    f"covariate {name!r} has only {known.size} different values: a spline needs {_FEWEST_FOR_CURVE}. "
                    "Leave it out of the splines"
                )
            return Codes(name, numbers, curved=curved)
    if name in question.splines:
        raise DataError(f"covariate {name!r} holds categories: a spline needs numbers. Leave it out of the splines")
    labels = labels_of(column)
    if len(labels.levels) > MOST_LEVELS:
        raise DataError(
            f"covariate {name!r} is text with {len(labels.levels)} values, {values_shown(labels.levels[:4])}, …: a "
            f"factor may have {MOST_LEVELS}. Correct it to numbers, or name it as --group"
        )
    if len(labels.levels) < 2:
        raise DataError(
            f"covariate {name!r} is constant (always {values_shown(labels.levels)}): it has no effect to estimate. "
            "Leave it out"
        )
    return Codes(name, np.where(labels.codes < 0, np.nan, labels.codes), tuple(labels.levels))


def require_spread(codes: Codes) -> None:
    """Refuse what does not vary among the patients analysed."""
    if np.unique(codes.numbers).size < 2:
        raise DataError(f"covariate {codes.name!r} is constant among the patients analysed: leave it out")
    if not codes.levels and not np.isfinite(codes.columns()[0]).all():
        raise DataError(f"covariate {codes.name!r} cannot be standardised: its values are too large. Change its unit")


def impute(codes: list[Codes], seed: int) -> tuple[tuple[Codes, ...], ...]:
    """Multiple imputation by predictive mean matching, for numbers and categories alike.

    statsmodels' MICE does not take categories. Each incomplete covariate in turn is regressed on the others (ridge, on
    a bootstrap sample), and a missing value is taken from one of the five patients with the nearest predictions.
    """
    from sklearn.linear_model import Ridge
    from sklearn.neighbors import NearestNeighbors

    gaps = [np.isnan(each.numbers) for each in codes]
    versions = []
    for stream in np.random.SeedSequence((seed, 7)).spawn(IMPUTATIONS):
        rng = np.random.default_rng(stream)
        filled = [
            np.where(gap, rng.choice(each.numbers[~gap], gap.size), each.numbers)
            for each, gap in zip(codes, gaps, strict=True)
        ]
        for _ in range(_CYCLES):
            for place, gap in enumerate(gaps):
                if not gap.any():
                    continue
                now = [Codes(each.name, values, each.levels) for each, values in zip(codes, filled, strict=True)]
                others = [np.ones((gap.size, 1)), *(each.columns()[0] for k, each in enumerate(now) if k != place)]
                X, target = np.hstack(others), now[place].columns()[0]
                known = np.flatnonzero(~gap)
                sample = rng.choice(known, known.size)
                predicted = Ridge(1.0, fit_intercept=False).fit(X[sample], target[sample]).predict(X)
                predicted = predicted.reshape(gap.size, -1)
                donors = NearestNeighbors(n_neighbors=min(_DONORS, known.size)).fit(predicted[known])
                near = donors.kneighbors(predicted[gap], return_distance=False)
                chosen = near[np.arange(len(near)), rng.integers(0, near.shape[1], len(near))]
                filled[place][gap] = codes[place].numbers[known[chosen]]
        versions.append(tuple(replace(each, numbers=values) for each, values in zip(codes, filled, strict=True)))
    return tuple(versions)
