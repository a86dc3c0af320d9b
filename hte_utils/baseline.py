"""Baseline comparison of the arms: Table 1, standardised mean differences, and the propensity score of Figure 1."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from tableone import TableOne

from hte_utils.paper import entries_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hte_utils.paper import PaperEntry

CONTINUOUS = ("age", "bmi", "sbp", "dbp", "true_te")
CATEGORICAL = (
    "gender",
    "hypertension",
    "diabetes",
    "smoking",
    "anticoagulant",
    "prior_bleeding",
    "event",
)
TABLE_1_ROWS = (
    "age",
    "gender",
    "bmi",
    "sbp",
    "dbp",
    "hypertension",
    "diabetes",
    "smoking",
    "anticoagulant",
    "prior_bleeding",
    "event",
    "true_te",
)
"""Order of the rows in Table 1. ``event`` and ``true_te`` stand there too, though neither is a baseline variable."""
COVARIATES = TABLE_1_ROWS[:-2]
"""What is known before randomisation: the covariates of the propensity score."""
ARMS = ("Control", "Treatment")


def table_one(trial: pd.DataFrame) -> TableOne:
    """Table 1: baseline characteristics by arm, with p-values and standardised mean differences.

    Means are compared by the pooled t-test and proportions by the chi-squared test with continuity correction, the
    defaults of the R package ``tableone`` whose layout Table 1 has.

    Parameters
    ----------
    trial
        Patient table, one row per subject, with the columns of Listing 1.

    Returns
    -------
    tableone.TableOne

    Raises
    ------
    ValueError
        When a column of Table 1 is missing, or the treatment column has other arms than Control and Treatment.
    """
    _check_columns(trial)
    with warnings.catch_warnings():
        # tableone 0.9 sets rows in a way that pandas 3.1 deprecates; nothing in our call can avoid it.
        warnings.simplefilter("ignore", category=pd.errors.Pandas4Warning)
        return TableOne(
            trial,
            columns=list(TABLE_1_ROWS),
            categorical=list(CATEGORICAL),
            continuous=list(CONTINUOUS),
            groupby="treatment",
            order={"gender": ["Male", "Female"]},
            pval=True,
            htest_name=True,
            smd=True,
            overall=False,
            missing=False,
            ttest_equal_var=True,
            pval_digits=3,
            decimals={**dict.fromkeys(CONTINUOUS, 2), **dict.fromkeys(CATEGORICAL, 1)},
        )


def table_one_values(table: TableOne) -> dict[str, float]:
    """Return the numbers of Table 1 at full precision, under the ids of the ledger.

    Parameters
    ----------
    table
        From :func:`table_one`.

    Returns
    -------
    dict
        90 numbers: counts, means, standard deviations (n - 1), percentages and p-values.
    """
    values = {f"table1.n.{arm.lower()}": float(table.cont_describe[("count", arm)].iloc[0]) for arm in ARMS}
    for name in CONTINUOUS:
        for arm in ARMS:
            values[f"table1.{name}.mean.{arm.lower()}"] = float(table.cont_describe.loc[name, ("mean", arm)])
            values[f"table1.{name}.sd.{arm.lower()}"] = float(table.cont_describe.loc[name, ("std", arm)])
    for (name, level), row in table.cat_describe.iterrows():
        for arm in ARMS:
            key = f"table1.{name}.{str(level).lower()}"
            values[f"{key}.count.{arm.lower()}"] = float(row[("freq", arm)])
            values[f"{key}.percent.{arm.lower()}"] = float(row[("percent", arm)])
    p_values = table.htest_table["P-Value"]
    return values | {f"table1.{name}.p": float(p_values[name]) for name in TABLE_1_ROWS}


def standardised_differences(table: TableOne) -> pd.Series:
    """Return the standardised mean difference of each row of Table 1.

    For a mean: treatment minus control, in units of the root mean square of the two arms' standard deviations (Austin
    2009, *Stat Med* 28:3083). For a categorical variable: the size of the difference between the two multinomial
    distributions (Yang and Dalton 2012, SAS Global Forum 335), which has no sign.

    Returns
    -------
    pandas.Series
        Indexed by row; no unit.
    """
    differences: pd.Series = table.smd_table.iloc[:, 0].astype(float)
    return differences.loc[list(TABLE_1_ROWS)].rename("standardised mean difference")


@dataclass(frozen=True, slots=True)
class Propensity:
    """A logistic regression of the arm on the baseline covariates (section 2.1, Figure 1).

    Attributes
    ----------
    scores
        Estimated probability of treatment of each subject, indexed as the trial.
    treated
        Whether the subject was in the treatment arm.
    auc
        Area under the ROC curve of the score, in sample.
    coefficients
        Log odds ratios with their standard errors and 95 % limits.
    likelihood_ratio, degrees_of_freedom, p_value
        Likelihood-ratio test of all covariates against the intercept alone.
    """

    scores: pd.Series
    treated: pd.Series
    auc: float
    coefficients: pd.DataFrame
    likelihood_ratio: float
    degrees_of_freedom: int
    p_value: float


def propensity(trial: pd.DataFrame) -> Propensity:
    """Estimate the propensity score from the ten baseline covariates.

    The paper names neither the covariates nor the link of its "logistic regression formula"; all ten, entered as they
    stand, are the plain reading.

    Raises
    ------
    ValueError
        When a column is missing or an arm is.
    """
    _check_columns(trial)
    treated = (trial["treatment"] == "Treatment").astype(int)
    fitted = smf.logit("treated ~ " + " + ".join(COVARIATES), trial.assign(treated=treated)).fit(disp=False)
    limits = fitted.conf_int()
    return Propensity(
        scores=fitted.predict(),
        treated=treated.astype(bool),
        auc=float(roc_auc_score(treated, fitted.predict())),
        coefficients=pd.DataFrame(
            {"log odds ratio": fitted.params, "SE": fitted.bse, "lower": limits[0], "upper": limits[1]}
        ),
        likelihood_ratio=float(fitted.llr),
        degrees_of_freedom=int(fitted.df_model),
        p_value=float(fitted.llr_pvalue),
    )


def auc_under_rerandomisation(trial: pd.DataFrame, repetitions: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """In-sample AUC of the propensity model when the same subjects are randomised again and again.

    A fitted score always finds some difference between two arms, so an AUC above 1/2 is no sign of imbalance by itself.
    This is the distribution to hold it against: arms of the same sizes, dealt by chance alone.

    Parameters
    ----------
    trial
        Patient table.
    repetitions
        Number of random re-assignments (at least 1).
    rng
        Source of randomness.

    Returns
    -------
    array of shape (repetitions,)
    """
    _check_columns(trial)
    if repetitions < 1:
        raise ValueError(f"repetitions is {repetitions}: it must be at least 1")
    design = pd.get_dummies(trial[list(COVARIATES)], drop_first=True, dtype=float)
    covariates = ((design - design.mean()) / design.std()).to_numpy()
    treated = (trial["treatment"] == "Treatment").to_numpy()
    model = LogisticRegression(C=np.inf, solver="newton-cholesky")
    aucs = np.empty(repetitions)
    for repetition in range(repetitions):
        dealt = rng.permutation(treated)
        aucs[repetition] = roc_auc_score(dealt, model.fit(covariates, dealt).decision_function(covariates))
    return aucs


def _check_columns(trial: pd.DataFrame) -> None:
    absent = [name for name in (*TABLE_1_ROWS, "treatment") if name not in trial.columns]
    if absent:
        raise ValueError(f"the trial table lacks {absent}: Table 1 needs the columns of Listing 1 (see simulate_trial)")
    arms = sorted(str(arm) for arm in trial["treatment"].dropna().unique())
    if arms != list(ARMS):
        raise ValueError(f"the treatment column holds {arms}: Table 1 compares the two arms {list(ARMS)}")


def beside_the_paper(table: TableOne) -> pd.DataFrame:
    """Lay Table 1 out as the paper does, with the paper's number in brackets wherever ours is printed differently.

    Returns
    -------
    pandas.DataFrame
        One row per line of Table 1; columns Control, Treatment, p and SMD, as text.
    """
    values = table_one_values(table)
    texts = {entry.id: _beside(entry, values[entry.id]) for entry in entries_of("Table 1")}
    differences = standardised_differences(table)
    lines = {"n": {arm: texts[f"table1.n.{arm.lower()}"] for arm in ARMS}}
    for name in TABLE_1_ROWS:
        keys = [f"table1.{name}"] if name in CONTINUOUS else _level_keys(name)
        for key in keys:
            first, second = ("mean", "sd") if name in CONTINUOUS else ("count", "percent")
            arms = {
                arm: f"{texts[f'{key}.{first}.{arm.lower()}']} ({texts[f'{key}.{second}.{arm.lower()}']})"
                for arm in ARMS
            }
            lines[_line_label(key, name)] = arms
        tests = {"p": texts[f"table1.{name}.p"], "SMD": f"{differences[name]:.3f}"}
        lines[_line_label(keys[0], name)] |= tests
    return pd.DataFrame.from_dict(lines, orient="index", columns=[*ARMS, "p", "SMD"]).fillna("")


def _beside(entry: PaperEntry, value: float) -> str:
    ours = f"{value:.{entry.decimals}f}"
    return ours if ours == entry.printed else f"{ours} [paper: {entry.printed}]"


def _level_keys(name: str) -> list[str]:
    ids = [entry.id for entry in entries_of("Table 1") if entry.id.startswith(f"table1.{name}.")]
    return list(dict.fromkeys(entry_id.rsplit(".", 2)[0] for entry_id in ids if entry_id.count(".") > 2))


def _line_label(key: str, name: str) -> str:
    if name in CONTINUOUS:
        return f"{name}, mean (SD)"
    level = key.rsplit(".", 1)[1].capitalize()
    return f"{name} = {level}, n (%)"
