"""Verifying a certificate from the command line: hashes of files, and of the data the figures, computed again."""

from __future__ import annotations

import copy
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monai.bundle import create_workflow

from monai_unlearn.audit import Check, check_files, check_members, check_seal, compare_figures
from monai_unlearn.data import SUBSETS, hash_identifier, load_or_create_salt
from monai_unlearn.networks import load_weights
from monai_unlearn.phases.audit import score_model
from monai_unlearn.phases.audit_content import summarise
from monai_unlearn.phases.session import Session

__all__ = ["verify_certificate"]

TAKEN_OVER = ("image_size", "max_cases", "group_by")
"""Settings that the certificate says and the data are read with, unless the caller says otherwise."""


def verify_certificate(
    certificate: str | Path,
    *,
    model: str | Path | None = None,
    teacher: str | Path | None = None,
    adapter: str | Path | None = None,
    audit: str | Path | None = None,
    oracle: str | Path | None = None,
    salt: str | Path | None = None,
    config_file: str | Sequence[str] | None = None,
    **settings: Any,
) -> list[Check]:
    """Verify a certificate against what is given; what is not given is not checked.

    Args:
        certificate: the file.
        model: the merged checkpoint.
        teacher: the teacher's checkpoint.
        adapter: the adapter's folder.
        audit: ``audit.json``.
        oracle: the oracle's checkpoint.
        salt: ``salt.key`` of the run; with it and the data the hashes of the forget cases are compared.
        config_file: bundle config, or several, by which the figures of ``model`` are computed again.
        settings: overrides of the bundle, as in the run: ``dataset_dir``, ``request``, … Nothing is written to its
            ``output_dir``.

    Returns:
        One line for each thing that was looked at.

    Raises:
        ValueError: if the certificate is none, a file cannot be read, or what is given does not go together.
    """
    content, sealed = check_seal(certificate)
    checks = [sealed]
    if content["kind"] == "ensemble":
        if given := [name for name, value in (("model", model), ("config_file", config_file)) if value is not None]:
            raise ValueError(
                f"'{certificate}' is over several networks; verify the certificate of one of them with '{given[0]}'"
            )
        return checks + check_members(content, Path(certificate).parent)
    folder = None if adapter is None else Path(adapter)
    files = {
        "model": model,
        "teacher": teacher,
        "adapter_weights": folder and folder / "adapter_model.safetensors",
        "adapter_config": folder and folder / "adapter_config.json",
        "oracle": oracle,
        "audit": audit,
    }
    checks += check_files(content, {name: path for name, path in files.items() if path is not None})
    if model is None:
        checks.append(Check(holds=None, line="model: give the merged checkpoint with --model"))
    if config_file is None:
        if settings:
            raise ValueError(f"'{next(iter(settings))}' is a setting of a bundle; give its config with --config_file")
        return [*checks, Check(holds=None, line="figures: give --config_file and the data to have them computed again")]
    if model is None:
        raise ValueError("figures are computed again of a network; give its checkpoint with --model")
    return checks + _recompute(content, str(model), teacher, salt, config_file, settings)


def _recompute(
    content: Mapping[str, Any],
    model: str,
    teacher: str | Path | None,
    salt: str | Path | None,
    config_file: str | Sequence[str],
    settings: Mapping[str, Any],
) -> list[Check]:
    """Compute the figures of a network per subset, as the audit does, in a folder that is gone afterwards."""
    said = content["settings"]
    overrides: dict[str, Any] = {"seed": content["seed"], "tier": "none", "ledger": "none"}
    overrides |= {key: said[key] for key in TAKEN_OVER if said.get(key) is not None and key not in settings}
    if "group_by" in said and said["group_by"] is None and "group_by" not in settings:
        overrides["group_by"] = "none"  # a bundle's default is a column
    if str(overrides.get("group_by"))[:1] in ("$", "@", "%") and "group_by" not in settings:
        raise ValueError("the certificate's 'group_by' is an expression and no column; nothing of it was run")
    if teacher is not None:
        overrides["teacher_checkpoint"] = str(teacher)
    with _without_log(), tempfile.TemporaryDirectory(prefix="monai_unlearn_verify_") as folder:
        # what the user writes is a setting of the run; where results go is not
        workflow = create_workflow(
            config_file=config_file,
            workflow_type="train",
            logging_file=False,
            **{**overrides, **settings, "output_dir": f"{folder}/out", "student_checkpoint": None, "oracle": None},
        )
        session = Session(workflow.parser)
        checks = _compare_cases(content, session, salt)
        if content["figures"] is None:
            line = f"figures: the certificate has none ({content['figures_absent']})"
            return [*checks, Check(holds=None, line=line)]
        network = load_weights(copy.deepcopy(session.build("audit#network")), model).to(session.setting("device"))
        scores = score_model(session, "verify", network.requires_grad_(False))
    partition = session.partition
    ids = {name: [case["id"] for case in partition.subset(name)] for name in SUBSETS}
    found = {name: summarise(scores, cases, partition.classes) if cases else None for name, cases in ids.items()}
    quoted = content["figures"]["models"]["student"]
    return checks + compare_figures({name: quoted.get(name) for name in found}, found)


@contextmanager
def _without_log() -> Iterator[None]:
    """Silence the log lines of a run, which this is not: MONAI prints every setting, the ids of the request too."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)


def _compare_cases(content: Mapping[str, Any], session: Session, salt: str | Path | None) -> list[Check]:
    """Compare the numbers of cases and, with the salt, which ones are to be forgotten."""
    counts = {name: len(session.partition.subset(name)) for name in SUBSETS}
    said = {name: content["counts"].get(name) for name in SUBSETS}
    words = ", ".join(f"{count} {name}" for name, count in counts.items())
    other = "" if counts == said else "; the certificate counts others: are request, seed and data those of the run?"
    checks = [Check(holds=counts == said, line=f"cases: {words}{other}")]
    if salt is None:
        return [*checks, Check(holds=None, line="forget cases: give the run's salt.key with --salt")]
    if not Path(salt).is_file():
        raise ValueError(f"there is no salt '{salt}'")
    key = load_or_create_salt(salt)
    hashes = sorted(hash_identifier(case["id"], key) for case in session.partition.forget)
    same = hashes == content["forget"]
    line = "those of the certificate" if same else "not those of the certificate, or the salt is another one"
    return [*checks, Check(holds=same, line=f"forget cases: {line}")]
