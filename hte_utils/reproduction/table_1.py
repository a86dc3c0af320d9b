"""Baseline comparison of the arms: Table 1, standardised mean differences, and the propensity score of Figure 1."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
from firthmodels import detect_separation
from sklearn.metrics import roc_auc_score
from tableone import TableOne

from hte_utils.effects.logistic import fit_replicates
from hte_utils.model.checks import FloatArray, complete_column
from hte_utils.paper import entries_of
from hte_utils.reproduction import beside

CONTINUOUS = ("age", "bmi", "sbp", "dbp", "true_te")
COVARIATES = (
    *("age", "gender", "bmi", "sbp", "dbp"),
    *("hypertension", "diabetes", "smoking", "anticoagulant", "prior_bleeding"),
)
"""What is known before randomisation: the covariates of the propensity score."""
TABLE_1_ROWS = (*COVARIATES, "event", "true_te")  # in this order, though the last two are no baseline variables
CATEGORICAL = tuple(name for name in TABLE_1_ROWS if name not in CONTINUOUS)
ARMS = ("Control", "Treatment")


def table_one(trial: pd.DataFrame) -> TableOne:
    """Table 1: baseline characteristics by arm of a trial with the columns of Listing 1, p-values and SMDs.

    Each row describes the patients who have a value there; `missing_values` counts the others. Means are compared by
    the pooled t-test and proportions by the chi-squared test with continuity correction, the defaults of the R package
    ``tableone`` whose layout Table 1 has. ``ValueError`` if a column is missing, or the treatment is incomplete or has
    other arms than Control and Treatment.
    """
    _check_columns(trial)
    # A missing value turns whole numbers into floats, and the level "1" into "1.0".
    whole = {name: "Int64" for name in CATEGORICAL if pd.api.types.is_float_dtype(trial[name])}
    with warnings.catch_warnings():
        # tableone 0.9 sets rows in a way that pandas 3.1 deprecates; nothing in our call can avoid it.
        warnings.simplefilter("ignore", category=pd.errors.Pandas4Warning)
        # A constant row has no test; it is left blank below, and needs no warning as well.
        warnings.simplefilter("ignore", category=RuntimeWarning)
        return TableOne(
            trial.astype(whole),
            columns=list(TABLE_1_ROWS),
            categorical=list(CATEGORICAL),
            continuous=list(CONTINUOUS),
            groupby="treatment",
            order={"gender": ["Male", "Female"]},
            pval=True,
            htest_name=True,
            smd=True,
            overall=False,
            missing=True,
            include_null=False,
            ttest_equal_var=True,
            pval_digits=3,
            decimals={**dict.fromkeys(CONTINUOUS, 2), **dict.fromkeys(CATEGORICAL, 1)},
        )


def table_one_values(table: TableOne) -> dict[str, float]:
    """Return the 90 numbers of Table 1 at full precision, under the ids of the ledger; SDs divide by n - 1.

    NaN where there is none: the percentages of an arm without values, the test of a row in which everybody is alike.
    """
    found = {}
    for entry in entries_of("Table 1"):
        name, _, level = entry.row.partition(": ")
        if entry.quantity == "p-value":
            value = table.htest_table["P-Value"][name]
            if name not in CONTINUOUS:
                cells = _counts(table, name)
                if not (cells.sum() > 0.0).all() or (cells.sum(axis=1) > 0.0).sum() < 2:
                    value = np.nan  # nothing to test; tableone says 1
        elif name == "n":
            value = _arm_sizes(table)[entry.column]
        elif name in CONTINUOUS:
            value = table.cont_describe.loc[name, ("std" if entry.quantity == "SD" else "mean", entry.column)]
        else:
            counts = _counts(table, name)[entry.column]
            value = counts.get(level.lower(), 0.0)  # a level that nobody has gets no line from tableone
            value *= 100.0 / (counts.sum() or np.nan) if entry.quantity == "percent" else 1.0
        found[entry.id] = float(value)
    return found


def missing_values(table: TableOne) -> pd.DataFrame:
    """Return how many patients lack a value in each row of Table 1: index row, columns `ARMS`."""
    present = {
        name: table.cont_describe.loc[name]["count"] if name in CONTINUOUS else _counts(table, name).sum()
        for name in TABLE_1_ROWS
    }
    return (_arm_sizes(table) - pd.DataFrame(present).T).astype(int)[list(ARMS)]


def _arm_sizes(table: TableOne) -> pd.Series:
    first = table.cat_describe.loc[CATEGORICAL[0]]
    sizes: pd.Series = first["freq"].sum() + first["Missing"].iloc[0]
    return sizes


def _counts(table: TableOne, name: str) -> pd.DataFrame:
    counts: pd.DataFrame = table.cat_describe.loc[name]["freq"].astype(float)
    return counts.set_axis([str(level).lower() for level in counts.index])


def standardised_differences(table: TableOne) -> pd.Series:
    """Return the standardised mean difference of each row of Table 1, without sign as R's tableone prints it.

    Of means in units of the root mean square of the arms' standard deviations (Austin 2009, *Stat Med* 28:3083), of
    categories as multinomial distance (Yang and Dalton 2012, SAS Global Forum 335). NaN if an arm has no value.
    """
    differences: pd.Series = table.smd_table.iloc[:, 0].astype(float).abs()
    # As in R's tableone: two constants that are equal differ by 0, not by 0/0.
    means, spread = table.cont_describe["mean"].astype(float), table.cont_describe["std"].astype(float)
    constant = (means[ARMS[0]] == means[ARMS[1]]) & spread.eq(0.0).all(axis=1)
    differences = differences.mask(constant.reindex(differences.index, fill_value=False), 0.0)
    return differences.loc[list(TABLE_1_ROWS)].rename("standardised mean difference")


def beside_the_paper(table: TableOne) -> pd.DataFrame:
    """Lay Table 1 out as the paper does, with the paper's number in brackets wherever ours is printed differently.

    One row per line of Table 1; columns Control, Treatment, missing (patients of both arms), p and SMD, as text.
    """
    values = table_one_values(table)
    lines: dict[str, dict[str, str]] = {}
    first: dict[str, str] = {}  # line of each row: tests stand there
    for entry in entries_of("Table 1"):
        name, _, level = entry.row.partition(": ")
        label = f"{name} = {level}, n (%)" if level else name if name == "n" else f"{name}, mean (SD)"
        first.setdefault(name, label)
        line = lines.setdefault(first[name] if entry.column == "p" else label, {})
        value = values[entry.id]
        text = beside(entry, "–" if np.isnan(value) else f"{value:.{entry.decimals}f}")
        # Standard deviation and per cent follow mean and number in one cell.
        line[entry.column] = f"{line[entry.column]} ({text})" if entry.column in line else text
    differences, missing = standardised_differences(table), missing_values(table).sum(axis=1)
    for name in TABLE_1_ROWS:
        smd = "–" if np.isnan(differences[name]) else f"{differences[name]:.3f}"
        lines[first[name]] |= {"missing": str(missing[name]), "SMD": smd}
    return pd.DataFrame.from_dict(lines, orient="index", columns=[*ARMS, "missing", "p", "SMD"]).fillna("")


class Propensity(NamedTuple):
    """A logistic regression of the arm on the baseline covariates (section 2.1, Figure 1)."""

    scores: pd.Series  # estimated probability of treatment, indexed as the trial
    treated: pd.Series  # whether it was given
    auc: float  # area under the ROC curve of the score, in sample
    coefficients: pd.DataFrame  # log odds ratios with their standard errors and 95 % limits
    likelihood_ratio: float  # of all covariates against the intercept alone,
    degrees_of_freedom: int  # with as many degrees of freedom
    p_value: float


def propensity(trial: pd.DataFrame) -> Propensity:
    """Estimate the propensity score from the ten baseline covariates, entered as they stand.

    The paper names neither the covariates nor the link of its "logistic regression formula": this is the plain reading.
    ``ValueError`` if a column or an arm is missing, a covariate is incomplete or constant, or covariates tell some
    patients' arms with certainty (separation), so that there is no estimate.
    """
    _check_columns(trial)
    treated = (trial["treatment"] == "Treatment").astype(int)
    _check_estimable(covariate_table(trial), treated)
    fitted = smf.logit("treated ~ " + " + ".join(COVARIATES), trial.assign(treated=treated)).fit(disp=False)
    limits = fitted.conf_int()
    columns = {"log odds ratio": fitted.params, "SE": fitted.bse, "lower": limits[0], "upper": limits[1]}
    return Propensity(
        scores=fitted.predict(),
        treated=treated.astype(bool),
        auc=float(roc_auc_score(treated, fitted.predict())),
        coefficients=pd.DataFrame(columns),
        likelihood_ratio=float(fitted.llr),
        degrees_of_freedom=int(fitted.df_model),
        p_value=float(fitted.llr_pvalue),
    )


def auc_under_rerandomisation(trial: pd.DataFrame, repetitions: int, rng: np.random.Generator) -> FloatArray:
    """In-sample AUC of the propensity model when the same patients are randomised again and again, (repetitions,).

    A fitted score always finds some difference between two arms; this is the distribution to hold its AUC against.
    """
    _check_columns(trial)
    if repetitions < 1:
        raise ValueError(f"repetitions is {repetitions}: it must be at least 1")
    terms = np.column_stack([np.ones(len(trial)), _standardised(covariate_table(trial))])
    treated = (trial["treatment"] == "Treatment").to_numpy(dtype=np.float64)
    dealt = np.array([rng.permutation(treated) for _ in range(repetitions)])
    scores = fit_replicates(terms, dealt) @ terms.T
    return np.array([roc_auc_score(arms, score) for arms, score in zip(dealt, scores, strict=True)])


def covariate_table(trial: pd.DataFrame) -> pd.DataFrame:
    """Return the covariates of the propensity score as numbers: measurements as they are, the others as 0/1.

    ``ValueError`` if a covariate has missing values, or is the same for everybody.
    """
    for name in COVARIATES:
        column = complete_column(trial, name)
        if (column == column.iloc[0]).all():
            raise ValueError(
                f"column {name!r} is constant (always {column.iloc[0]}): it says nothing about the arm, and its effect "
                "cannot be told from the intercept. Leave it out"
            )
    return pd.get_dummies(trial[list(COVARIATES)], drop_first=True, dtype=float)


def _standardised(covariates: pd.DataFrame) -> pd.DataFrame:
    return (covariates - covariates.mean()) / covariates.std()


def _check_estimable(covariates: pd.DataFrame, treated: pd.Series) -> None:
    standardised = _standardised(covariates)  # since the linear programme bounds all coefficients alike
    rank = np.linalg.matrix_rank(standardised)
    if rank < standardised.shape[1]:
        rest = {name: np.linalg.matrix_rank(standardised.drop(columns=name)) for name in standardised}
        dependent = [name for name in standardised if rest[name] == rank]
        raise ValueError(f"the covariates {dependent} are linearly dependent: leave one of them out")
    found = detect_separation(standardised.to_numpy(), treated.to_numpy())
    if found.separation:
        alone = [name for name in standardised if detect_separation(standardised[[name]], treated).separation]
        # Complete separation leaves no coefficient finite; those that do it alone say more.
        infinite = standardised.columns[~found.is_finite[:-1]].tolist()  # the intercept is last
        raise ValueError(
            f"the covariates {alone or infinite} tell the arms of some patients with certainty (separation): their log "
            "odds ratios have no finite estimate. Leave them out, or find out how they came to know the arm"
        )


def _check_columns(trial: pd.DataFrame) -> None:
    absent = [name for name in (*TABLE_1_ROWS, "treatment") if name not in trial.columns]
    if absent:
        raise ValueError(f"the trial table lacks {absent}: Table 1 needs the columns of Listing 1 (see simulate_trial)")
    arms = sorted(str(arm) for arm in complete_column(trial, "treatment").unique())
    if arms != list(ARMS):
        raise ValueError(f"the treatment column holds {arms}: Table 1 compares the two arms {list(ARMS)}")
