"""What a cell of the study is: one scenario and one method, under one seed, with the code and libraries that decide it.

Two runs belong to the same cell if and only if their definitions are equal; results of different definitions are never
mixed. `Provenance` adds what should be known of a run and decides nothing: the command, the commit, the machine.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self

from hte_utils.sources import REPLICATE, library_versions, method_module, source_digests

if TYPE_CHECKING:
    from hte_utils.comparators.estimates import Method
    from hte_utils.study.scenario import Scenario

_CHECKOUT: Final = Path(__file__).parents[2]
_SAYS_NOTHING: Final = {
    "label",
    "slow",
    "exact",
    "stream",
    "assumes",
    "estimates",
    "intervals",
    "library",
}  # about what a method computes


@dataclass(frozen=True, slots=True)
class CellDefinition:
    """Everything that decides the results of one scenario and one method.

    Attributes
    ----------
    scenario, method
        The records, as JSON objects: all that decides a number, labels left out.
    seed
        The study's seed.
    sources
        Digest of every module of this package that takes part (`hte_utils.sources`).
    versions
        Of Python and of the libraries that these modules import.
    """

    scenario: Mapping[str, Any]
    method: Mapping[str, Any]
    seed: int
    sources: Mapping[str, str]
    versions: Mapping[str, str]

    @classmethod
    def of(cls, scenario: Scenario, method: Method, seed: int) -> Self:
        """Define the cell of a scenario and a method as the code stands now."""
        sources, versions = _code(method_module(method))
        return cls(
            scenario=_plain(
                {k: v for k, v in asdict(scenario).items() if k != "label"} | {"mechanism": scenario.mechanism}
            ),
            method=_plain(_described(method)),
            seed=seed,
            sources=dict(sources),
            versions=dict(versions),
        )

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that stand for the definition."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    def differences(self, other: CellDefinition) -> list[str]:
        """Say in words where another definition differs from this one; empty if nowhere."""
        found = []
        for part in ("scenario", "method", "seed", "sources", "versions"):
            ours, theirs = getattr(self, part), getattr(other, part)
            if part == "seed":
                ours, theirs = {"study": ours}, {"study": theirs}
            changed = [key for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key)]
            found += [f"{part}: {key} {ours.get(key, 'absent')} -> {theirs.get(key, 'absent')}" for key in changed]
        return found


@lru_cache(maxsize=1)
def lock_digest() -> str:
    """SHA-256 of ``requirements.lock``, if this is a checkout: which release of every library was asked for."""
    path = _CHECKOUT / "requirements.lock"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@lru_cache(maxsize=1)
def code_commit() -> str:
    """The commit of the code, if this is a checkout of it and git is there."""
    if not (_CHECKOUT / ".git").exists():
        return ""
    try:
        asked = [["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]]
        commit, changes = (_git(_CHECKOUT, words) for words in asked)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{commit}+changes" if changes else commit


@dataclass(frozen=True, slots=True)
class Provenance:
    """A cell's definition, and the circumstances of the run that began it.

    Attributes
    ----------
    definition
        What decides the results.
    command
        How the run was started.
    commit
        Of the project's code, with "+changes" if files differed from it; empty if not known.
    lock
        Digest of ``requirements.lock``; empty if not known.
    machine
        Processor and operating system.
    began
        Date and time, UTC.
    """

    definition: CellDefinition
    command: str = field(default_factory=lambda: shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))
    commit: str = field(default_factory=code_commit)
    lock: str = field(default_factory=lock_digest)
    machine: str = field(default_factory=lambda: f"{platform.machine()}, {platform.system()}")
    began: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def to_json(self) -> str:
        """Write it as a JSON text."""
        return json.dumps({"digest": self.definition.digest} | asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises
        ------
        ValueError
            If the text is damaged: it is no JSON, lacks a field, or its digest does not fit.
        """
        try:
            content = json.loads(text)
            digest = content.pop("digest")
            definition = CellDefinition(**content.pop("definition"))
            provenance = cls(definition=definition, **{"lock": ""} | content)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"this is no provenance record: {error}") from error
        if digest != definition.digest:
            raise ValueError(f"the record says digest {digest}, but its content has {definition.digest}")
        return provenance


@lru_cache(maxsize=256)
def _code(module: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Source digests and versions behind a method's module; once in each process, for the code that it has loaded."""
    sources = source_digests([REPLICATE, module])
    return MappingProxyType(sources), MappingProxyType(library_versions(sources))


def _described(method: Method) -> dict[str, Any]:
    settings: dict[str, Any] = asdict(method) if is_dataclass(method) and not isinstance(method, type) else {}
    kept = {name: value for name, value in settings.items() if name not in _SAYS_NOTHING}
    return {"name": method.name, "module": method_module(method)} | kept


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as JSON has it, so that what is written and what is read are equal."""
    plain: dict[str, Any] = json.loads(json.dumps(record, default=str))
    return plain


def _git(folder: Path, words: list[str]) -> str:
    command = ["git", "-C", str(folder), *words]  # fixed words
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
