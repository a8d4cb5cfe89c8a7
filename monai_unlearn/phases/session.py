"""A session: one config at work in one output folder."""

from __future__ import annotations

import copy
import logging
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.networks.utils import eval_mode
from monai.utils import set_determinism
from torch import nn

import monai_unlearn
from monai_unlearn.data import SUBSETS, Partition, hash_identifier
from monai_unlearn.files import sha256_of
from monai_unlearn.networks import load_weights, trace_layers
from monai_unlearn.phases.fingerprint import case_files, config_closure, digest, files_digest, without_trackers
from monai_unlearn.phases.processes import agree, is_first, wait_for_all
from monai_unlearn.phases.run_folder import RunFolder

__all__ = ["Plan", "Session", "closing_handlers", "peak_memory_bytes"]

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
    "student_checkpoint",
    "teacher_path",
    "ledger",
    "classes_before",
    "tracking_uri",
    "experiment_name",
    "run_name",
    "is_not_rank0",
)
"""Ids that do not count: where a result is written, on what it is computed, and data, which are digested by content."""
RESULTS = (
    *("partition.json", "metrics.csv", "model.pt", "teacher/model.pt", "oracle/model.pt", "audit.json", "report.html"),
    *("certificate.json", "manifest.json"),
    *("adapter/adapter_model.safetensors", "adapter/adapter_config.json"),
    *(f"figures/{name}.png" for name in ("comparison", "loss_curves", "case_losses", "loss_attack", "class_bars")),
)
"""What is looked at before anything is begun: nobody else's checkpoint, table or report may lie there."""
FOLDERS = ("checkpoints", "handlers", "predictions", "oracle/checkpoints")
"""Where the components of a user's own bundle write, under the overlay."""
BYTES_PER_PARAMETER = 4 * 16
"""Teacher, oracle, merged model, the student after both phases, and the checkpoint of a running phase, in float32. That
of *cycle* holds the network, what is kept, the best one and two moments, and is there twice while it is written; one
more for another file that is half-written."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a phase depends on and what it writes.

    Args:
        phase: run id.
        roots: ids of the config that the phase builds.
        inputs: what else its result depends on.
        files: what it writes, relative to the output folder.
        alone: whether of several processes the first one does it alone.
        answers_request: whether it depends on the classes that are or were to be unlearned.
    """

    phase: str
    roots: Sequence[str]
    inputs: dict[str, Any]
    files: Sequence[str]
    alone: bool = False
    answers_request: bool = True


@dataclass
class Session:
    """What the phases share: the parser, the output folder and the partition.

    Args:
        parser: the config; its settings are checked already.
    """

    parser: ConfigParser
    folder: RunFolder = field(init=False)
    partition: Partition = field(init=False)
    at_work: str = field(init=False, default="")
    """Run id of the phase that is at work."""
    begun: str = field(init=False, default="")
    """Its fingerprint."""

    def __post_init__(self) -> None:
        set_determinism(self.setting("seed"))
        network = self.build("network_def")
        self.parameters = sum(parameter.numel() for parameter in network.parameters())
        self.folder = RunFolder(
            self.setting("output_dir"), needed_bytes=BYTES_PER_PARAMETER * self.parameters, writes=is_first()
        )
        self.partition = self.parser.get_parsed_content("partition")
        self._refuse_cycles_over_classes()
        self._check_inputs(network)
        wait_for_all()

    def announce(self) -> None:
        """Say what is to be forgotten, loudly where chance or a doubt is in it."""
        partition, counts = self.partition, self.partition.counts()
        if partition.random and not partition.synthetic:
            logger.warning(
                f"THE REQUEST IS RANDOM: {counts['forget']} cases drawn by seed are forgotten; "
                "name yours with --request"
            )
        if partition.never_trained_named:
            logger.warning(
                f"{partition.never_trained_named} of the {partition.named} cases that the request names were never "
                "trained on: there is nothing to forget of them; they are left out of the audit"
            )
        for count, what in (
            (partition.undecided, "lack a value that the request's condition asks for; they stay"),
            (partition.forgotten_again, "were forgotten by an earlier request already"),
        ):
            if count:
                logger.warning(f"{count} training cases {what}")
        if partition.divided:
            logger.warning(f"of {partition.divided} groups only some images are forgotten, as the request wishes")
        if partition.split_drawn and self.setting("teacher_checkpoint") is not None:
            logger.warning(
                "THE SPLIT IS A GUESS: the set does not say which cases were never trained on, so a fifth was drawn. "
                "If the teacher was trained on these, every figure of 'reference' and 'unseen' is wrong. Give a column "
                "'split'."
            )
        if partition.classes:
            logger.warning(
                f"A CLASS REQUEST: the label values {', '.join(map(str, partition.classes))} are unlearned in every "
                "case that has them; the setting 'erasure' does not count"
            )
        named = f" ({partition.named} named, the others of their groups)" if partition.named else ""
        counted = [f"{count} {name}{named if name == 'forget' else ''}" for name, count in counts.items()]
        logger.info(f"{', '.join(counted)} cases of '{partition.name}'")

    @property
    def erasure(self) -> str:
        """What erases: the setting of that name, or ``class`` where the request names classes."""
        return "class" if self.partition.classes else str(self.setting("erasure"))

    @property
    def nothing_to_restore_on(self) -> str:
        """Why the restore phase has nothing to learn from; empty where it has."""
        if not self.partition.retain:
            return "every case has what is unlearned"
        return (
            "an earlier request had classes unlearned that the labels would teach again" if self._classes_before else ""
        )

    @property
    def _classes_before(self) -> tuple[int, ...]:
        return tuple(self.build("classes_before")) if "classes_before" in self.parser else ()

    def write_partition(self) -> None:
        """Write ``partition.json``: subset, salted hash and row in the datalists of every case."""
        subsets = {
            name: [
                {"id": hash_identifier(case["id"], self.folder.salt), "row": case["row"]}
                for case in self.partition.subset(name)
            ]
            for name in SUBSETS
        }
        if self.partition.held:
            subsets["forgotten_before"] = [
                {"id": hash_identifier(case["id"], self.folder.salt), "row": case["row"]}
                for case in self.partition.held
            ]
        self.folder.write_json("partition.json", {"schema": 1, **self.partition.counts(), "subsets": subsets})

    def setting(self, key: str) -> Any:
        """Return the value of an overridable key."""
        return self.parser.get_parsed_content(key)

    def build(self, name: str) -> Any:
        """Build a component of the config, or return it where it is built already."""
        return self.parser.get_parsed_content(name)

    def fingerprint(self, plan: Plan) -> str:
        """Digest of all that the result of a phase depends on."""
        config = without_trackers(config_closure(self.parser, plan.roots, NOT_INPUTS))
        facts = {"seed": self.setting("seed"), "version": monai_unlearn.__version__}
        if plan.answers_request:
            facts |= {"classes": self.partition.classes, "classes_before": self._classes_before}
        return digest({"config": config, **facts, **plan.inputs})

    def run(self, plan: Plan, work: Callable[[], dict[str, Any]]) -> None:
        """Run a phase, or say in one line that its result stands.

        Args:
            plan: the phase.
            work: does it; returns figures to be recorded. Its start is seeded.
        """
        fingerprint = self.fingerprint(plan)
        if agree(self.setting("resume") and self.folder.stands(plan.phase, fingerprint)):
            logger.info(
                f"{plan.phase}: stands already in '{self.folder.path}', nothing to do (--resume False does it again)"
            )
            return
        if self.folder.writes:
            self.folder.claim(plan.files)
        logger.info(f"{plan.phase}: begins")
        set_determinism(self.setting("seed"))
        self.at_work, self.begun = plan.phase, fingerprint
        start = time.perf_counter()
        figures = work() if self.folder.writes or not plan.alone else {}
        seconds = time.perf_counter() - start + figures.pop("seconds_before", 0.0)
        wait_for_all()
        if self.folder.writes:
            self.folder.record(plan.phase, fingerprint=fingerprint, files=plan.files, seconds=seconds, **figures)
            self.folder.discard([f"state/running/{plan.phase}.pt"])
        wait_for_all()
        self.folder.reload()
        logger.info(f"{plan.phase}: done in {seconds:.0f} s")

    def require(self, plan: Plan) -> None:
        """Make sure that the result of an earlier phase is there and answers to the present request and settings.

        Raises:
            ValueError: if it is not; the message names the run id that makes it.
        """
        self.folder.result(plan.phase)
        if not agree(self.folder.stands(plan.phase, self.fingerprint(plan))):
            raise ValueError(
                f"the result of '{plan.phase}' in '{self.folder.path}' was made from another request, other settings "
                f"or other files; run it again (the run id '{plan.phase}' or 'run'), or give what it was made from"
            )

    def case_digest(self, *subsets: str) -> str:
        """Digest of the cases of some subsets, in order."""
        return digest([files_digest(getattr(self.partition, name), self.folder.salt) for name in subsets])

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
        if self.setting("teacher_checkpoint") is None:
            self.folder.result("teaching")
        return str(self.build("teacher_path"))

    @property
    def teacher_digest(self) -> str:
        """SHA-256 of the teacher's checkpoint."""
        return sha256_of(self.teacher_path)

    def _refuse_cycles_over_classes(self) -> None:
        """Refuse to settle on labels that hold what is to go, or went before."""
        if self.setting("erasure") == "cycle" and (self.partition.classes or self._classes_before):
            raise ValueError(
                "the erasure 'cycle' settles on the labels of the retain cases, which would teach unlearned classes "
                "again; requests of classes, and teachers that have answered one, go with --erasure calibrate"
            )

    def _check_inputs(self, network: nn.Module) -> None:
        self.folder.refuse_foreign(RESULTS)
        self.folder.refuse_foreign_folders(FOLDERS)
        ours = {(self.folder / name).resolve() for name in RESULTS}
        for key in ("teacher_checkpoint", "student_checkpoint", "oracle"):
            path = self.setting(key)
            if path is None or (key, path) == ("oracle", "train"):
                continue
            written = {(self.folder / name).resolve() for name in FOLDERS}
            if key == "teacher_checkpoint" and (
                Path(path).resolve() in ours or written.intersection(Path(path).resolve().parents)
            ):
                raise ValueError(
                    f"the teacher '{path}' would be overwritten by this run's own; choose another output_dir"
                )
            load_weights(copy.deepcopy(network), path)
        if not self.folder.writes:
            return
        self.folder.watch()
        cases = (*self.partition.training, *self.partition.never_trained)
        exist = all(path.exists() for case in cases for path in case_files(case))
        known = files_digest(cases, self.folder.salt) if exist else ""
        checked = self.folder.phases.get("checking", {}).get("fingerprint")
        if not known or checked != known:
            self.build("input_check")(cases)
            self.folder.record("checking", fingerprint=known, files=())
        if "example_input" in self.parser:  # which may be read off the first file
            trace_layers(copy.deepcopy(network).cpu(), self.build("example_input"))
            self._check_classes(network)
        self.folder.claim(("partition.json", "metrics.csv"))

    def _check_classes(self, network: nn.Module) -> None:
        """Refuse classes that the network does not tell apart, before anything is written about them."""
        classes = self.partition.classes
        if not classes:
            return
        plain = copy.deepcopy(network).cpu()
        with eval_mode(plain), torch.no_grad():
            channels = plain(self.build("example_input")).shape[1]
        if beyond := [value for value in classes if value >= channels]:
            raise ValueError(
                f"the request names the class {beyond[0]}, and the network's outputs are for the classes 0 to "
                f"{channels - 1}"
                + (": one label, which is either there or not, cannot be unlearned alone" if channels == 1 else "")
            )
        maps = self.build("audit#task") == "segmentation" and self.build("audit#activation") == "softmax"
        if maps and 0 in classes:
            raise ValueError("the request names the class 0, the background; name the structure that has to go")


@contextmanager
def closing_handlers(handlers: Iterable[object]) -> Iterator[None]:
    """Close every handler that can be closed at the end of a block: MONAI's TensorBoard handlers lose lines else."""
    try:
        yield
    finally:
        for handler in handlers:
            if callable(close := getattr(handler, "close", None)):
                close()


def peak_memory_bytes() -> int:
    """Peak resident memory of this process, bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
