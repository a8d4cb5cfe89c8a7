"""What every file of a run holds, and what becomes of it when the run is purged."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

__all__ = ["HOLDINGS", "Holding", "files_of_run", "holding_of"]

Fate = Literal["keep", "purge", "teacher", "images", "oracle"]


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What some files of a run hold.

    Args:
        pattern: of their names, relative to the output folder; ``*`` goes across folders.
        holds: in words.
        fate: ``keep``; ``purge``; ``teacher``: purge where the user says so; ``images``: purge where it shows images of
            forget cases; ``oracle``: purge where it was trained for another request than the one that was released.
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


NO_IMAGES = "figures without images"
STUDENT = "weights that know the forget cases, on their way to forgetting"
PICTURES = ("class_bars", "loss_curves", "case_losses", "loss_attack")
STATES = tuple(
    f"state/{phase}/{name}"
    for phase in ("erased", "restored")
    for name in ("model.pt", "adapter_model.safetensors", "adapter_config.json")
)
HOLDINGS = (
    Holding(pattern="model.pt", holds="weights of the unlearned network", fate="keep"),
    *(
        Holding(pattern=f"adapter/{name}", holds="the adapter of the unlearned network", fate="keep")
        for name in ("adapter_model.safetensors", "adapter_config.json")
    ),
    Holding(pattern="certificate.json", holds="figures without images, hashes", fate="keep"),
    Holding(pattern="manifest.json", holds="what this run wrote", fate="keep"),
    Holding(pattern="audit.json", holds=NO_IMAGES, fate="keep"),
    Holding(pattern="report.html", holds="figures, and images where they are wanted", fate="images"),
    Holding(pattern="figures/comparison.png", holds="images of cases", fate="images"),
    *(Holding(pattern=f"figures/{name}.png", holds=NO_IMAGES, fate="keep") for name in PICTURES),
    Holding(pattern="figures/*", holds="files that no phase writes", fate="keep", counted=True),
    Holding(pattern="metrics.csv", holds=NO_IMAGES, fate="keep"),
    Holding(
        pattern="events.out.tfevents.*",
        holds="figures; images where a bundle's own handlers write them",
        fate="keep",
        counted=True,
    ),
    Holding(pattern="mlflow.db", holds=NO_IMAGES, fate="keep"),
    Holding(pattern="partition.json", holds="salted hashes of all cases", fate="keep"),
    Holding(pattern="phases.json", holds="which phases stand", fate="keep"),
    Holding(pattern="run.log", holds="log lines, ids as salted hashes", fate="keep"),
    Holding(pattern="salt.key", holds="the salt of the hashes", fate="keep"),
    Holding(pattern="teacher/model.pt", holds="weights that know the forget cases", fate="teacher"),
    Holding(pattern="oracle/model.pt", holds="weights that never saw the forget cases", fate="oracle"),
    # of several requests one after the other, whose names tell nothing
    Holding(pattern="oracle/*", holds="what was saved while an oracle was trained", fate="purge", counted=True),
    Holding(pattern="phantom/*", holds="drawn images, of nobody", fate="keep", counted=True),
    *(Holding(pattern=name, holds=STUDENT, fate="purge") for name in STATES),
    Holding(pattern="state/*", holds=STUDENT, fate="purge", counted=True),
    Holding(pattern="checkpoints/*", holds="weights that know the forget cases", fate="purge", counted=True),
    Holding(pattern="shadows/*", holds="weights that know the forget cases", fate="purge", counted=True),
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
