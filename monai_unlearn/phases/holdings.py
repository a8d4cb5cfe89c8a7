"""What every file of a run holds, and what becomes of it when the run is purged."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

__all__ = ["HOLDINGS", "Holding", "files_of_run", "holding_of"]

Fate = Literal["keep", "purge", "teacher", "images"]
NETWORK = re.compile(r"network_\d+")
"""Folders of the networks of an ensemble: each is the output folder of a run of its own."""


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What some files of a run hold.

    Args:
        pattern: of their names, relative to the output folder; ``*`` goes across folders.
        holds: in words.
        fate: ``keep``; ``purge``; ``teacher``: purge where the user says so; ``images``: purge where it shows images of
            forget cases.
        counted: whether the manifest counts them in place of naming them, as their names may be those of cases.
    """

    pattern: str
    holds: str
    fate: Fate
    counted: bool = False

    @property
    def folder(self) -> str:
        """What the manifest calls files that it counts."""
        return self.pattern.removesuffix("*")


HOLDINGS = (
    Holding(pattern="model.pt", holds="weights of the unlearned network", fate="keep"),
    Holding(pattern="adapter/adapter_*", holds="the adapter of the unlearned network", fate="keep"),
    Holding(pattern="certificate.json", holds="figures without images, hashes", fate="keep"),
    Holding(pattern="manifest.json", holds="what this run wrote", fate="keep"),
    Holding(pattern="audit.json", holds="figures without images", fate="keep"),
    Holding(pattern="report.html", holds="figures, and images where they are wanted", fate="images"),
    Holding(pattern="figures/comparison.png", holds="images of cases", fate="images"),
    Holding(pattern="figures/*", holds="figures without images", fate="keep"),
    Holding(pattern="metrics.csv", holds="figures without images", fate="keep"),
    Holding(pattern="events.out.tfevents.*", holds="figures without images", fate="keep", counted=True),
    Holding(pattern="mlflow.db", holds="figures without images", fate="keep"),
    Holding(pattern="partition.json", holds="salted hashes of all cases", fate="keep"),
    Holding(pattern="phases.json", holds="which phases stand", fate="keep"),
    Holding(pattern="run.log", holds="log lines, ids as salted hashes", fate="keep"),
    Holding(pattern="salt.key", holds="the salt of the hashes", fate="keep"),
    Holding(pattern="teacher/model.pt", holds="weights that know the forget cases", fate="teacher"),
    Holding(pattern="oracle/*", holds="weights that never saw the forget cases", fate="keep"),
    Holding(pattern="phantom/*", holds="drawn images, of nobody", fate="keep", counted=True),
    Holding(pattern="state/*", holds="weights that know the forget cases, on their way to forgetting", fate="purge"),
    Holding(pattern="checkpoints/*", holds="weights that know the forget cases", fate="purge", counted=True),
    Holding(pattern="shadows/*", holds="weights that know the forget cases", fate="purge", counted=True),
    Holding(pattern="planted/*", holds="networks and images of planted cases", fate="purge", counted=True),
    Holding(pattern="adversarial/*", holds="images made from forget cases", fate="purge", counted=True),
    Holding(pattern="features/*", holds="features of forget cases", fate="purge", counted=True),
    Holding(pattern="logits/*", holds="outputs for forget cases", fate="purge", counted=True),
    Holding(pattern="cache/*", holds="images of cases, forget cases among them", fate="purge", counted=True),
    Holding(pattern="predictions/*", holds="outputs for single cases, named in the clear", fate="purge", counted=True),
    Holding(pattern="handlers/*", holds="figures of single cases, named in the clear", fate="purge", counted=True),
)
"""The first pattern that fits a name counts."""
HALF_WRITTEN = Holding(pattern="half-written files", holds="what a killed run left", fate="purge", counted=True)


def holding_of(name: str) -> Holding | None:
    """Return what the file of a run holds; ``None`` for a name that no file of a run has.

    Args:
        name: relative to the output folder, with ``/`` between its parts.
    """
    folder, _, file = name.rpartition("/")
    # as write_atomically calls them; a component of a bundle may have hidden files of its own
    beside = folder in ("", "teacher", "adapter", "figures", "oracle") or folder.startswith("state")
    if beside and re.fullmatch(r"\.[a-z_]+\.\w{8}(\.[a-z]+)?", file):
        return HALF_WRITTEN
    return next((one for one in HOLDINGS if fnmatchcase(name, one.pattern)), None)


def files_of_run(folder: Path) -> set[str]:
    """Name every file in a folder whose name is that of a file of a run; links are neither named nor followed."""
    ours = {one.pattern.partition("/")[0] for one in HOLDINGS if "/" in one.pattern}
    found = set[str]()
    for place, folders, files in os.walk(folder):
        below = Path(place).relative_to(folder)
        if below == Path():  # elsewhere may lie whatever the user keeps there
            folders[:] = [name for name in folders if name in ours]
        found |= {(below / name).as_posix() for name in files if not (Path(place) / name).is_symlink()}
    return {name for name in found if holding_of(name) is not None}
