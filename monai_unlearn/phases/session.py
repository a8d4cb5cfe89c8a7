"""A session: one config at work in one output folder."""

from __future__ import annotations

import logging
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.utils import set_determinism

from monai_unlearn.data import SUBSETS, Partition, check_pictures, hash_identifier
from monai_unlearn.files import sha256_of
from monai_unlearn.phases.fingerprint import config_closure, digest, files_digest
from monai_unlearn.phases.run_folder import RunFolder

__all__ = ["Session", "peak_memory_bytes"]

logger = logging.getLogger(__name__)

NOT_INPUTS = (
    "output_dir",
    "resume",
    "device",
    "partition",
    "datalists",
    "dataset_dir",
    "oracle",
    "bundle_root",
    "teacher_checkpoint",
    "teacher_path",
)
"""Ids that do not count: where a result is written, on what it is computed, and data, which are digested by content."""
RESULTS = (
    "model.pt",
    "teacher/model.pt",
    "oracle/model.pt",
    "audit.json",
    "report.html",
    "adapter/adapter_config.json",
)
"""What is looked at before anything is begun: nobody else's checkpoint or report may lie there."""
BYTES_PER_PARAMETER = 4 * 6
"""Teacher, student, oracle, merged model and their temporary copies, in float32."""


@dataclass
class Session:
    """What the phases share: the parser, the output folder and the partition.

    Args:
        parser: the config; its settings are checked already.
    """

    parser: ConfigParser
    folder: RunFolder = field(init=False)
    partition: Partition = field(init=False)

    def __post_init__(self) -> None:
        set_determinism(self.setting("seed"))
        network = self.build("network_def")
        self.parameters = sum(parameter.numel() for parameter in network.parameters())
        self.folder = RunFolder(self.setting("output_dir"), needed_bytes=BYTES_PER_PARAMETER * self.parameters)
        self.partition = self.parser.get_parsed_content("partition")
        self._check_inputs()

    def announce(self) -> None:
        """Say what is to be forgotten, loudly where chance chose it, and note the partition in ``partition.json``."""
        counts = self.partition.counts()
        if self.partition.random and not self.partition.synthetic:
            logger.warning(
                f"THE REQUEST IS RANDOM: {counts['forget']} cases drawn by seed are forgotten; name yours with "
                f"--request"
            )
        logger.info(
            ", ".join(f"{count} {name}" for name, count in counts.items()) + f" cases of '{self.partition.name}'"
        )
        rows = {case["id"]: row for row, case in enumerate((*self.partition.training, *self.partition.never_trained))}
        subsets = {
            name: [
                {"id": hash_identifier(case["id"], self.folder.salt), "row": rows[case["id"]]}
                for case in self.partition.subset(name)
            ]
            for name in SUBSETS
        }
        self.folder.write_json("partition.json", {"schema": 1, **counts, "subsets": subsets})

    def setting(self, key: str) -> Any:
        """Return the value of an overridable key."""
        return self.parser.get_parsed_content(key)

    def build(self, name: str) -> Any:
        """Build a component of the config, or return it where it is built already."""
        return self.parser.get_parsed_content(name)

    def run(
        self,
        phase: str,
        *,
        roots: Sequence[str],
        inputs: dict[str, Any],
        files: Sequence[str],
        work: Callable[[], dict[str, Any]],
    ) -> None:
        """Run a phase, or say in one line that its result stands.

        Args:
            phase: run id.
            roots: ids of the config that the phase builds.
            inputs: what else its result depends on.
            files: what it writes, relative to the output folder.
            work: does it; returns figures to be recorded. Its start is seeded.
        """
        config = config_closure(self.parser, roots, NOT_INPUTS)
        fingerprint = digest({"config": config, "seed": self.setting("seed"), **inputs})
        if self.setting("resume") and self.folder.stands(phase, fingerprint):
            logger.info(
                f"{phase}: stands already in '{self.folder.path}', nothing to do (--resume False does it again)"
            )
            return
        self.folder.claim(files)
        logger.info(f"{phase}: begins")
        set_determinism(self.setting("seed"))
        start = time.perf_counter()
        figures = work()
        seconds = time.perf_counter() - start
        self.folder.record(phase, fingerprint=fingerprint, files=files, seconds=seconds, **figures)
        logger.info(f"{phase}: done in {seconds:.0f} s")

    def case_digest(self, *subsets: str) -> str:
        """Digest of the cases of some subsets, in order."""
        return digest([files_digest(self.partition.subset(name), self.folder.salt) for name in subsets])

    @property
    def training_digest(self) -> str:
        """Digest of all training cases, whatever the request."""
        return files_digest(self.partition.training, self.folder.salt)

    @property
    def teacher_path(self) -> str:
        """Path of the teacher's checkpoint, given or trained here.

        Raises:
            ValueError: if none was given and none was trained.
        """
        given = self.setting("teacher_checkpoint")
        if given is not None:
            return str(given)
        self.folder.result("teaching")
        return str(self.folder / "teacher/model.pt")

    @property
    def teacher_digest(self) -> str:
        """SHA-256 of the teacher's checkpoint."""
        return sha256_of(self.teacher_path)

    def _check_inputs(self) -> None:
        self.folder.refuse_foreign(RESULTS)
        cases = (*self.partition.training, *self.partition.never_trained)
        known = files_digest(cases, self.folder.salt) if all(_exist(case) for case in cases) else ""
        checked = self.folder.phases.get("checking", {}).get("fingerprint")
        if not known or checked != known:
            check_pictures(cases)
            self.folder.record("checking", fingerprint=known, files=())


def peak_memory_bytes() -> int:
    """Peak resident memory of this process, bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _exist(case: dict[str, Any]) -> bool:
    return all(Path(case[key]).is_file() for key in ("image", "label"))
