"""Cut long JAGS chains of Listing 2 into runs as long as the paper's and record the diagnostics of each run.

    PYTHONPATH=. python tests/reference/jags_runs.py glm all_draws.csv.gz
    PYTHONPATH=. python tests/reference/jags_runs.py slice chain_1.csv.gz chain_2.csv.gz chain_3.csv.gz ...

The first form takes what ``jags_listing2.R --chains_file=`` wrote (module glm), the second what
``jags_runs.R`` wrote (JAGS's default samplers). Writes ``jags_runs_<sampler>.csv.gz`` beside this script, one
row a run and parameter.

The second form takes any number of chains, in threes. It also writes ``jags_paper_run.csv.gz``: the first 3 x 1000
draws, thinned by 10, of the first three chains, a run such as the paper's.

A run is three segments of 1000 kept draws, one from each chain. With S segments a chain, the runs of one
block pair segment i of the first chain with segment i+s of the second and i+t of the third (modulo S): S runs
without a draw in common. Blocks differ in (s, t); they use the same draws in other company, which sharpens
the distribution of what compares chains. So the number of independent runs is S for each three chains, not the
number of rows: it is recorded as `independent_runs`, and one block of each three is marked `independent`.
"""

from __future__ import annotations

import gzip
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from hte_utils.model.diagnostics import geweke_z, scale_reduction, time_series_se

sys.path.insert(0, str(Path(__file__).parents[1]))
from coda_more import effective_size, multivariate_scale_reduction, second_half

# Table 4's twelve quantities: what the paper monitored.
REPORTED = [
    *("b_age", "b_anticoag", "b_bmi", "b_diabetes", "b_intercept", "b_prior", "b_trt"),
    *("b_trt_age", "b_trt_anticoag", "b_trt_diabetes", "te_gender[1]", "te_gender[2]"),
]
DRAWS = 1000
THINNINGS = (1, 2, 3, 5, 8, 10, 15, 20)
MOST_RUNS = {"slice": 300, "glm": 150}


def read_chains(paths: list[Path]) -> tuple[np.ndarray, list[str]]:
    """Draws as (parameters, chains, iterations), and the comment lines of the files."""
    tables, comments = [], []
    for path in paths:
        table = pd.read_csv(path, comment="#")
        tables += [part for _, part in table.groupby("chain")]
        with gzip.open(path, "rt") as lines:
            comments += [line.strip() for _, line in zip(range(3), lines, strict=False)]
    return np.stack([table[REPORTED].to_numpy().T for table in tables], axis=1), list(dict.fromkeys(comments))


def cut(chains: np.ndarray, thin: int, most_runs: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Runs as (runs, parameters, chains, draws), the block of each, and the number of segments a chain."""
    segments = chains.shape[-1] // (DRAWS * thin)
    if chains.shape[1] != 3 or segments < 2:
        raise ValueError(f"chains of shape {chains.shape} do not make runs of 3 x {DRAWS} draws at thin {thin}")
    kept = chains[..., : segments * DRAWS * thin].reshape(*chains.shape[:2], segments, DRAWS * thin)
    kept = kept[..., thin - 1 :: thin]
    shifts = list(product(range(segments), repeat=2))
    chosen = np.random.default_rng(thin).permutation(len(shifts))[: max(1, most_runs // segments)]
    first = np.arange(segments)
    runs, blocks = [], []
    for block, (second, third) in enumerate(shifts[k] for k in sorted(chosen)):
        for places in zip(first, (first + second) % segments, (first + third) % segments, strict=True):
            runs.append(np.stack([kept[:, chain, place] for chain, place in enumerate(places)], axis=1))
            blocks.append(block)
    return np.stack(runs), np.array(blocks), segments


def diagnose(runs: np.ndarray, thin: int) -> dict[str, np.ndarray]:
    """Every diagnostic of every run, each (runs, parameters)."""
    half = runs[..., second_half(DRAWS, first_iteration=thin, thin=thin)]
    everywhere = np.ones(runs.shape[1])
    pooled = runs.reshape(*runs.shape[:2], -1)
    z = geweke_z(runs, thin=thin)
    (psrf, upper), (psrf_half, upper_half) = scale_reduction(runs), scale_reduction(half)
    return {
        "mean": pooled.mean(axis=-1),
        "sd": pooled.std(axis=-1, ddof=1),
        "ts_se": time_series_se(runs),
        "ess": effective_size(runs),
        "psrf": psrf,
        "upper": upper,
        "mpsrf": multivariate_scale_reduction(runs)[:, np.newaxis] * everywhere,
        "psrf_half": psrf_half,
        "upper_half": upper_half,
        "mpsrf_half": multivariate_scale_reduction(half)[:, np.newaxis] * everywhere,
        **{f"geweke_{chain + 1}": z[..., chain] for chain in range(runs.shape[2])},
    }


def record(sampler: str, chains: np.ndarray) -> pd.DataFrame:
    """The table of all runs at all thinnings the chains are long enough for."""
    tables = []
    threes = [chains[:, start : start + 3] for start in range(0, chains.shape[1] - 2, 3)]
    for thin in THINNINGS:
        cuts = [cut(three, thin, max(1, MOST_RUNS[sampler] // len(threes))) for three in threes]
        first = np.cumsum([0, *(len(runs) for runs, _, _ in cuts)])
        for place, (runs, blocks, _) in enumerate(cuts):
            values = {name: value.ravel() for name, value in diagnose(runs, thin).items()}
            labels = {
                "sampler": sampler,
                "thin": thin,
                "run": np.repeat(first[place] + np.arange(len(runs)), len(REPORTED)),
                "block": np.repeat(blocks, len(REPORTED)),
                "independent": np.repeat(blocks == blocks[0], len(REPORTED)),
                "independent_runs": sum(segments for _, _, segments in cuts),
                "parameter": np.tile(REPORTED, len(runs)),
            }
            tables.append(pd.DataFrame(labels | values))
    return pd.concat(tables, ignore_index=True)


def paper_run(paths: list[Path]) -> pd.DataFrame:
    """A run such as the paper's: three chains of 1000 draws, one in ten kept, all quantities of Listing 2."""
    parts = []
    for place, path in enumerate(paths[:3], start=1):
        kept = pd.read_csv(path, comment="#").iloc[9 : 10 * DRAWS : 10]
        parts.append(kept.assign(chain=place))
    return pd.concat(parts, ignore_index=True)


def write(table: pd.DataFrame, path: Path, comments: list[str]) -> None:
    """Write the table, small and the same bytes every time, and move it into place."""
    part = path.with_suffix(".part")
    with part.open("wb") as file, gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as packed:
        packed.write("".join(f"{line}\n" for line in comments).encode())
        packed.write(table.to_csv(index=False, float_format="%.5g").encode())
    part.replace(path)


def main(arguments: list[str]) -> None:
    """Run as the module's docstring says."""
    if len(arguments) < 2 or arguments[0] not in MOST_RUNS:
        sys.exit(__doc__)
    sampler, *files = arguments
    chains, comments = read_chains([Path(file) for file in files])
    comments.append(
        "# 'half': on the second half of the draws, as gelman.diag does when sampling starts at iteration 1"
    )
    write(record(sampler, chains), Path(__file__).with_name(f"jags_runs_{sampler}.csv.gz"), comments)
    if sampler == "slice":
        write(
            paper_run([Path(file) for file in files]), Path(__file__).with_name("jags_paper_run.csv.gz"), comments[:2]
        )


if __name__ == "__main__":
    main(sys.argv[1:])
