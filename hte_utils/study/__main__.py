"""Command line of the simulation study.

    python -m hte_utils.study list
    python -m hte_utils.study run --store results --scenarios as-printed --methods constant path --replicates 200
    python -m hte_utils.study summarise --store results
    python -m hte_utils.study verify --store results
    python -m hte_utils.study publish --store results --to copy

A study can be stopped at any time (Ctrl-C); the same command continues it. Exit status: 0 when all is well, 1 when the
study could not be completed or a check failed, 2 when the call is wrong, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from hte_utils.ledger.report import speak_everywhere
from hte_utils.study.block import OtherCodeError
from hte_utils.study.dask_executor import Dask
from hte_utils.study.executors import Executor, Processes, Serial, WorkersLostError
from hte_utils.study.published import MANTISSA_BITS, publish, published_bits, published_seeds, read_published
from hte_utils.study.run import BLOCK_SIZE, run_study
from hte_utils.study.scenarios import SCENARIOS, select_scenarios
from hte_utils.study.store import StoreError, StoreMismatchError, StudyStore
from hte_utils.study.summary import average_effect_performance, failures, mean_measures
from hte_utils.study.verify import verify

if TYPE_CHECKING:
    from hte_utils.comparators.estimates import Method

_SHOWN = ("lor_bias", "lor_rmse", "lor_correlation", "lor_coverage", "rd_bias", "rd_rmse", "rd_coverage", "regret")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    speak_everywhere(sys.stdout, sys.stderr)
    parser = _parser()
    options = parser.parse_args(arguments)
    commands = {"run": _run, "list": _list, "summarise": _summarise, "publish": _publish, "verify": _verify}
    try:
        return commands[options.command](options)
    except KeyboardInterrupt:
        _complain("stopped. What was finished is stored; the same command completes the rest")
        return 130
    except (StoreError, WorkersLostError, OtherCodeError) as error:
        _complain(str(error.strerror if isinstance(error, StoreError) else error))
        return 1
    except (StoreMismatchError, FileNotFoundError, ValueError, TypeError) as error:
        _complain(str(error))
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hte_utils.study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="compute what the store lacks", description=_RUN))
    listing = commands.add_parser("list", help="show scenarios, methods, and what a store holds")
    listing.add_argument("--store", type=Path, metavar="DIR", help="also show how many replicates this store holds")
    _add_methods_from(listing)
    summary = commands.add_parser("summarise", help="performance of each method, with Monte Carlo standard errors")
    summary.add_argument("--store", type=Path, metavar="DIR", required=True, help="where the results are")
    summary.add_argument("--population", default="population", help="whose effects (default: %(default)s)")
    summary.add_argument("--csv", type=Path, metavar="FILE", help="also write every measure to this file")
    small = commands.add_parser("publish", help="write a copy that is small enough for a repository")
    small.add_argument("--store", type=Path, metavar="DIR", required=True, help="where the results are")
    small.add_argument("--to", type=Path, metavar="DIR", required=True, help="where the copy goes; replaced if there")
    small.add_argument("--measures", nargs="+", metavar="NAME", help="which to keep (default: all)")
    small.add_argument("--populations", nargs="+", metavar="NAME", help="which to keep (default: all)")
    small.add_argument(
        "--bits",
        type=int,
        default=MANTISSA_BITS,
        metavar="N",
        help="precision of the numbers (default: %(default)s bits)",
    )
    check = commands.add_parser("verify", help="run stored replicates again and compare every value")
    where = check.add_mutually_exclusive_group(required=True)
    where.add_argument("--store", type=Path, metavar="DIR", help="where the results are")
    where.add_argument("--published", type=Path, metavar="DIR", help="where a published copy of them is")
    check.add_argument("--replicates", type=int, default=5, metavar="N", help="how many (default: %(default)s)")
    check.add_argument("--methods", nargs="+", metavar="NAME", help="only these methods (default: all)")
    _add_methods_from(check)
    return parser


_RUN = """Simulates trials, lets every method learn from each, and stores how well it did. What the store holds is
not computed again: the same command continues a study that was stopped, and more replicates extend it. The
results do not depend on the number of workers, on the block size, or on where they run, bit for bit."""


def _add_methods_from(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--methods-from",
        default="hte_utils.comparators:METHODS",
        metavar="MODULE:NAME",
        help="where the methods are: a mapping of names to methods in an importable module (default: %(default)s)",
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--store", type=Path, metavar="DIR", required=True, help="folder for the results; made if it is not there")
    add("--scenarios", nargs="+", metavar="NAME", required=True, help="'all', or names that 'list' shows")
    add("--methods", nargs="+", metavar="NAME", required=True, help="'all', 'quick', or names that 'list' shows")
    add("--replicates", type=int, required=True, metavar="N", help="simulated trials for each scenario")
    add("--seed", type=int, default=1, metavar="SEED", help="decides all random numbers (default: %(default)s)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes on this machine; 1 computes in this one (default: one for each processor)",
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="address of a Dask scheduler (tcp://host:8786) whose workers compute, or 'local' for a Dask cluster on "
        "this machine; workers need this package in the same version",
    )
    add(
        "--block-size",
        type=int,
        default=BLOCK_SIZE,
        metavar="N",
        help="replicates that are computed together before they are stored, which is what a stop can lose "
        "(default: %(default)s)",
    )
    add("--compact", action="store_true", help="at the end, put the files of each cell into one")
    _add_methods_from(parser)


def _run(options: argparse.Namespace) -> int:
    known = _methods_from(options.methods_from)
    scenarios = select_scenarios(SCENARIOS if options.scenarios == ["all"] else options.scenarios)
    store = StudyStore(options.store)
    report = run_study(
        scenarios,
        _selected(known, options.methods),
        options.replicates,
        options.seed,
        store,
        _executor(options),
        block_size=options.block_size,
    )
    if options.compact:
        store.compact()
    _say(f"computed {report.computed} runs ({report.failed} of them failed), found {report.found} in the store")
    return 0


def _executor(options: argparse.Namespace) -> Executor:
    if options.scheduler is not None:
        return Dask() if options.scheduler == "local" else Dask(options.scheduler)
    return Serial() if options.workers == 1 else Processes(options.workers)


def _list(options: argparse.Namespace) -> int:
    methods = _methods_from(options.methods_from)
    _say("scenarios:")
    for scenario in SCENARIOS.values():
        _say(f"  {scenario.name:<24} {scenario.label}; {scenario.n_patients} patients")
    _say("methods:")
    for name, method in methods.items():
        _say(f"  {name:<24} {method.label}{' (slow)' if method.slow else ''}")
    if options.store is not None:
        store = StudyStore(options.store)
        _say(f"replicates in {options.store}:")
        for cell in store.cells():
            _say(f"  {cell[0]:<24} {cell[1]:<24} {len(store.done(*cell))}")
    return 0


def _summarise(options: argparse.Namespace) -> int:
    results = StudyStore(options.store).read()
    table = pd.concat(
        [
            mean_measures(results).rename(columns={"mean": "value"})[["value", "mcse", "n"]],
            average_effect_performance(results).rename(lambda name: f"ate_{name}", level="measure"),
        ]
    )
    if options.csv is not None:
        table.to_csv(options.csv)
    chosen = table[table.index.get_level_values("population") == options.population].droplevel("population")
    if chosen.empty:
        raise ValueError(
            f"there is no population {options.population!r}; there are {sorted(set(results['population']))}"
        )
    measures = [*_SHOWN, "ate_bias", "ate_coverage"]
    text = chosen["value"].map("{:.4f}".format) + " (" + chosen["mcse"].map("{:.4f}".format) + ")"
    wide = text.unstack("measure", fill_value="").reindex(columns=measures, fill_value="")  # noqa: PD010 - an index level
    _say("mean over replicates (Monte Carlo standard error); risk differences and regret are probabilities\n")
    _say(wide.to_string())
    _say(f"\n{failures(results).to_string()}")
    return 0


def _publish(options: argparse.Namespace) -> int:
    store = StudyStore(options.store)
    publish(store, options.to, measures=options.measures, populations=options.populations, bits=options.bits)
    size = sum(path.stat().st_size for path in options.to.iterdir())
    _say(f"wrote {size / 1e6:.2f} MB to {options.to}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    methods = _methods_from(options.methods_from)
    if options.methods:
        methods = {method.name: method for method in _selected(methods, options.methods)}
    if options.published is not None:
        stored, seeds = read_published(options.published), published_seeds(options.published)
        bits = {"bits": published_bits(options.published)}
    else:
        store = StudyStore(options.store)
        stored, bits = store.read(), {}
        seeds = {cell: store.provenance(*cell).definition.seed for cell in store.cells()}
    found = verify(stored, seeds, SCENARIOS, methods, replicates=options.replicates, **bits)
    _say(found.checked.to_string(index=False))
    _say(found.proof().to_text())
    return 0 if found.passed else 1


def _methods_from(place: str) -> Mapping[str, Method]:
    module, _, name = place.partition(":")
    try:
        methods = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"there are no methods at {place!r} ({error}); give MODULE:NAME of a mapping") from error
    if not isinstance(methods, Mapping):
        raise TypeError(f"{place} must be a mapping of names to methods; it is a {type(methods).__name__}")
    return methods


def _selected(methods: Mapping[str, Method], names: Sequence[str]) -> list[Method]:
    if names == ["all"]:
        return list(methods.values())
    if names == ["quick"]:
        return [method for method in methods.values() if not method.slow]
    unknown = [name for name in names if name not in methods]
    if unknown:
        raise ValueError(f"there is no method {unknown}; choose from {list(methods)}")
    return [methods[name] for name in names]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _complain(message: str) -> None:
    sys.stderr.write(f"python -m hte_utils.study: {message}\n")


if __name__ == "__main__":
    sys.exit(main())
