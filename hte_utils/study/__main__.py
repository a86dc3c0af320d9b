"""Command line of the simulation study.

    python -m hte_utils.study run --store results --scenarios as-printed --methods constant path --replicates 200
    python -m hte_utils.study verify --store results

A study can be stopped at any time (Ctrl-C); the same command continues it. Exit status: 0 when all is well, 1 when the
study could not be completed or a check failed, 2 when the call is wrong, 130 after Ctrl-C. In Python,
``StudyStore("results").read()`` gives the results, and `hte_utils.study.performance` their means with Monte Carlo
errors.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from hte_utils.ledger.report import speak_everywhere
from hte_utils.methods.estimates import Method
from hte_utils.study.run import BLOCK_SIZE, OtherCodeError, WorkersLostError, run_study, study_client
from hte_utils.study.scenarios import SCENARIOS
from hte_utils.study.store import StudyStore
from hte_utils.study.verify import verify

_RUN = """Simulates trials, lets every method learn from each, and stores how well it did. What the store holds is
not computed again: the same command continues a study that was stopped, and more replicates extend it. The
results do not depend on the number of workers, on the block size, or on where they run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    speak_everywhere(sys.stdout, sys.stderr)
    options = _parser().parse_args(arguments)
    try:
        return {"run": _run, "verify": _verify}[options.command](options)
    except KeyboardInterrupt:
        return _complain("stopped. What was finished is stored; the same command completes the rest", 130)
    except FileNotFoundError as error:
        return _complain(error, 2)
    except (OSError, WorkersLostError, OtherCodeError) as error:
        return _complain(error, 1)
    except (ValueError, TypeError) as error:
        return _complain(error, 2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hte_utils.study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    scenarios = [*SCENARIOS, "all"]
    add = commands.add_parser("run", help="compute what the store lacks", description=_RUN).add_argument
    add("--store", type=Path, metavar="DIR", required=True, help="folder for the results; made if it is not there")
    add("--scenarios", nargs="+", choices=scenarios, metavar="NAME", required=True, help=", ".join(scenarios))
    add("--methods", nargs="+", metavar="NAME", required=True, help="'all', 'quick', or names (a wrong one lists them)")
    add("--replicates", type=_at_least(1), required=True, metavar="N", help="simulated trials for each scenario")
    add("--seed", type=_at_least(0), default=1, metavar="SEED", help="of all random numbers (default: %(default)s)")
    add("--workers", type=_at_least(1), metavar="N", help="processes on this machine (default: one for each processor)")
    add("--scheduler", metavar="ADDRESS", help="of a Dask cluster (tcp://host:8786) whose workers have this package")
    block = "replicates that are computed before they are stored: what a stop can lose (default: %(default)s)"
    add("--block-size", type=_at_least(1), default=BLOCK_SIZE, metavar="N", help=block)
    add = commands.add_parser("verify", help="run stored replicates again and compare every value").add_argument
    add("--store", type=Path, metavar="DIR", required=True, help="where the results are, or a copy of them")
    add("--replicates", type=_at_least(1), default=5, metavar="N", help="how many (default: %(default)s)")
    add("--methods", nargs="+", default=["all"], metavar="NAME", help="only these methods (default: all)")
    for command in commands.choices.values():
        command.add_argument(
            "--methods-from",
            type=_methods_from,
            default="hte_utils.methods:METHODS",
            metavar="MODULE:NAME",
            help="where the methods are: a mapping of names to methods in an importable module (default: %(default)s)",
        )
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.workers and options.scheduler:
        raise ValueError(f"the cluster at {options.scheduler} has its own workers; leave out --workers")
    names = SCENARIOS if "all" in options.scenarios else options.scenarios
    methods = _selected(options.methods_from, options.methods)
    with study_client(options.workers, options.scheduler) as client:
        report = run_study(
            [SCENARIOS[name] for name in names],
            list(methods.values()),
            options.replicates,
            options.seed,
            StudyStore(options.store),
            client,
            block_size=options.block_size,
        )
    sys.stdout.write(
        f"computed {report.computed} runs ({report.failed} of them failed), found {report.found} in the store\n"
    )
    return 0


def _verify(options: argparse.Namespace) -> int:
    methods = _selected(options.methods_from, options.methods)
    found = verify(StudyStore(options.store), SCENARIOS, methods, replicates=options.replicates)
    sys.stdout.write(f"{found.checked.to_string(index=False)}\n{found.proof().to_text()}\n")
    return 0 if found.passed else 1


def _methods_from(place: str) -> Mapping[str, Method]:
    module, _, name = place.partition(":")
    try:
        methods: Mapping[str, Method] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise argparse.ArgumentTypeError(
            f"there are no methods at {place!r} ({error}); give MODULE:NAME of a mapping"
        ) from error
    return methods


def _selected(methods: Mapping[str, Method], names: Sequence[str]) -> dict[str, Method]:
    if names == ["all"]:
        return dict(methods)
    if names == ["quick"]:
        return {name: method for name, method in methods.items() if not method.slow}
    if unknown := [name for name in names if name not in methods]:
        raise ValueError(f"there is no method {unknown}; choose from {list(methods)}")
    return {name: methods[name] for name in names}


def _at_least(least: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least}; got {text}")
        return int(text)

    whole_number.__name__ = "whole number"  # in the message about a text that is none
    return whole_number


def _complain(message: object, status: int) -> int:
    sys.stderr.write(f"python -m hte_utils.study: {message}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
