"""Listings 1 and 2 as R and JAGS read them: their text, what it says, and what R and JAGS made of it.

The texts and the recorded outputs are in ``tests/reference`` (with the scripts that wrote them). What the book says of
the listings rests on these, so that no code of this package is compared with itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from hte_utils.ledger.notebooks import Project

POPULATION, SUBGROUP, INDIVIDUAL = "population", "subgroup", "individual"
_LEVEL_OF_INDEX: Final = {"": POPULATION, "k": SUBGROUP, "i": INDIVIDUAL}
_NAME: Final = re.compile(r"[A-Za-z_][\w.]*")
_INDEX: Final = re.compile(r"\[[^][]*(\[[^][]*\])?[^][]*\]")  # [i], [k], [gender[i] + 1]


def _reference(name: str) -> Path:
    return Project.find().root / "tests" / "reference" / name


def listing_1_code() -> dict[str, tuple[str, ...]]:
    """Return what Listing 1's R code (``listing_1.R``) assigns to each name, in order."""
    text = re.sub(r" *#.*", "", _reference("listing_1.R").read_text(encoding="utf-8"))
    code: dict[str, tuple[str, ...]] = {}
    for name, expression in re.findall(r"^\s*(\w+) <- ([^{\n]*)$", text, flags=re.MULTILINE):
        code[name] = (*code.get(name, ()), expression)
    return code


def listing_1_trial() -> pd.DataFrame:
    """Read the trial that R made with Listing 1 (2000 patients, seed 123), one row a patient.

    The columns of the listing's data frame (categories as 0 and 1), with `age`, `bmi`, `sbp` and `dbp` unrounded; and
    R's `baseline_risk` and `event_prob` (probabilities).
    """
    table = pd.read_csv(_reference("r_trials.csv.gz"), comment="#")
    trial = table.query("n == 2000 and seed == 123 and variant == 'as-printed'").reset_index(drop=True)
    trial = trial.drop(columns=["n", "seed", "variant"])
    unrounded = pd.read_csv(_reference("r_trial_unrounded.csv.gz"), comment="#").map(float.fromhex)
    trial["true_te"] = trial["true_te"].map(float.fromhex)
    return trial.assign(**{str(name): column for name, column in unrounded.items()})


def evaluated(formula: str, trial: pd.DataFrame) -> NDArray[np.float64]:
    """Evaluate a sum as the paper prints it, within ``plogis(...)`` or not, for the patients of a trial."""
    inside = re.fullmatch(r"plogis\((.*)\)", formula)
    values = np.asarray(trial.eval(inside[1] if inside else formula, engine="python"), dtype=np.float64)
    return np.asarray(expit(values)) if inside else values


@dataclass(frozen=True, slots=True, eq=False)
class JagsModel:
    """A model in JAGS's language, taken apart.

    Columns of `nodes` (index: the stochastic nodes): `level` (of the paper's three, by the node's index: none, k, i),
    `law`, `first` and `second` (its arguments, as written), `observed` (whether R hands it over as data).
    """

    nodes: pd.DataFrame
    terms: tuple[frozenset[str], ...]  # the names in each term of the log odds of y[i], multiplied out
    sums: Mapping[str, str]  # what is computed and not drawn: right-hand side by name, without indices

    @property
    def random_effects(self) -> list[str]:
        """Unobserved nodes whose law has a node among its arguments: what makes a model hierarchical."""
        hidden, drawn = self.nodes[~self.nodes["observed"]], set(self.nodes.index)
        arguments = hidden["first"] + " " + hidden["second"]
        return [str(name) for name, text in arguments.items() if drawn & set(_NAME.findall(text))]

    @property
    def fixed_effects(self) -> list[str]:
        """Unobserved nodes of the linear predictor whose law is given, in the listing's order."""
        in_predictor = set().union(*self.terms) - set(self.random_effects)
        return [str(name) for name in self.nodes.index if name in in_predictor]

    def covariates(self, *, of_effect: bool) -> list[str]:
        """Columns that have a term with treatment (`of_effect`) or without it."""
        chosen = [term for term in self.terms if ("treatment" in term) == of_effect]
        return sorted(set().union(*chosen) - set(self.nodes.index) - {"treatment"})

    def at_level(self, level: str) -> list[str]:
        """Unobserved nodes of a level."""
        return [str(name) for name in self.nodes.index[(self.nodes["level"] == level) & ~self.nodes["observed"]]]

    def have_law(self, names: list[str], law: str, *arguments: str) -> bool:
        """Whether each of these nodes has this law with these arguments."""
        found = self.nodes.reindex(names)[["law", "first", "second"]]
        return bool(names) and found.to_numpy().tolist() == [[law, *arguments]] * len(names)


def listing_2_model(text: str | None = None) -> JagsModel:
    """Take Listing 2 apart; `text` is what JAGS was given, ``jags_listing2.txt``, if None."""
    text = _reference("jags_listing2.txt").read_text(encoding="utf-8") if text is None else text
    text = re.sub(r" *#.*", "", text)
    text = re.sub(r"\+\s*\n\s*", "+ ", text)  # a sum that goes on in the next line
    laws = re.findall(r"^\s*(\w+)(?:\[(\w)\])? ~ (\w+)\(([^,\n]*)(?:, ([^,\n]*))?\)$", text, flags=re.MULTILINE)
    script = _reference("jags_model.R").read_text(encoding="utf-8")
    handed_over = re.search(r"with\(trial, list\((.*?)\n\}", script, flags=re.DOTALL)
    if handed_over is None:
        raise ValueError("jags_model.R has no data of Listing 2: with(trial, list(...)) is looked for")
    data = set(re.findall(r"(\w+) = ", handed_over[1]))
    nodes = {
        name: (_LEVEL_OF_INDEX[index], law, first, second, name in data) for name, index, law, first, second in laws
    }
    assigned = re.findall(r"^\s*([\w()]+)\[\w\]\)? <- (.*)$", text, flags=re.MULTILINE)
    expressions = {name.replace("(", " "): expression for name, expression in assigned}
    predictor = expressions.get("logit p") or expressions["p"]
    return JagsModel(
        pd.DataFrame.from_dict(nodes, orient="index", columns=["level", "law", "first", "second", "observed"]),
        tuple(_terms(predictor, expressions)),
        {name: _INDEX.sub("", expression).strip() for name, expression in expressions.items()},
    )


def _terms(expression: str, sums: Mapping[str, str]) -> Iterator[frozenset[str]]:
    """Multiply a sum out: the names in each of its terms, with those of the sums that it refers to."""
    # What is in the brackets of re[gender[i] + 1] is part of the term, and its plus sign is no sum.
    for summand in re.sub(r"\+ 1\]", "]", expression).split(" + "):
        factors = [
            _terms(sums[name], sums) if name in sums else [frozenset(_NAME.findall(factor))]
            for factor in re.sub(r"\[i\]", "", summand).split(" * ")
            for name in [factor.strip()]
        ]
        for chosen in product(*factors):
            yield frozenset().union(*chosen)


def listing_2_posterior() -> pd.DataFrame:
    """Read JAGS's posterior of Listing 2: mean, sd, quantiles and Monte Carlo error (`mcse_mean`) by parameter."""
    return pd.read_csv(_reference("jags_listing2_summary.csv"), comment="#", index_col="parameter")
