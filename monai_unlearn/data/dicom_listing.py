"""The written index: a MONAI datalist whose identifiers are salted and hashed."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_unlearn.data.datalists import Case
from monai_unlearn.data.dicom_files import read_dicom_headers
from monai_unlearn.data.dicom_header import DicomProblem
from monai_unlearn.data.dicom_index import DicomIndex
from monai_unlearn.data.dicom_paths import told_by_path
from monai_unlearn.data.identifiers import hash_identifier, load_or_create_salt
from monai_unlearn.files import write_whole

__all__ = ["load_dicom_index", "write_dicom_index"]

SCHEMA = 1
SALT = "salt.key"
HASHED = ("patient", "study", "series")

logger = logging.getLogger(__name__)


def write_dicom_index(
    index: DicomIndex,
    cases: Sequence[Case],
    path: str | Path,
    *,
    names: Mapping[int, str] | None = None,
) -> Path:
    """Write cases as a datalist that MONAI's ``load_decathlon_datalist`` reads.

    PatientID, StudyInstanceUID and SeriesInstanceUID are written as HMAC-SHA256 under ``salt.key`` beside the file,
    ``id`` as the first 16 digits of the series' hash. SeriesDescriptions, which people type, are left out. Paths are
    relative to the file, and hold whatever folders and files are called; if that tells who the patient is, a warning
    says so.

    Args:
        index: the images.
        cases: see :func:`~monai_unlearn.data.dicom_cases`.
        path: the JSON file.
        names: name of every label value.

    Raises:
        ValueError: if the file cannot be written, or two cases get the same ``id``.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        salt = load_or_create_salt(path.parent / SALT)
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror or error}") from error
    if revealed := index.revealed.union(*map(_told_by_label, cases)):
        logger.warning(
            "THE PATHS in %s TELL %s in the clear, though its columns are hashed. Keep the file where only those may "
            "read it who may read the images, or rename folders and files first.",
            path,
            ", ".join(sorted(revealed)),
        )
    _refuse_foreign(path)
    training = [_hashed(case, salt, path.parent) for case in cases]
    if len({case["id"] for case in training}) != len(training):
        raise ValueError(f"{path}: two cases have the same series, or hashes that start alike; list each series once")
    content = {
        "schema": SCHEMA,
        **({"labels": {"0": "background", **{str(value): name for value, name in names.items()}}} if names else {}),
        "training": training,
        "problems": [
            {
                "kind": problem.kind,
                "reason": problem.reason,
                "series": hash_identifier(problem.series, salt) if problem.series else None,
                "files": [_relative(file, path.parent) for file in problem.files],
            }
            for problem in (*index.problems, *_left_out(index, cases))
        ],
    }
    return write_whole(path, json.dumps(content, indent=1).encode())


def _refuse_foreign(path: Path) -> None:
    """Make sure that a file that is written over is an index of ours."""
    if not path.exists():
        return
    try:
        content = json.loads(path.read_bytes())
        ours = isinstance(content, dict) and "schema" in content and "problems" in content
    except ValueError:
        ours = False
    if not ours:
        raise ValueError(
            f"'{path}' exists and is no index of monai_unlearn; it is left as it is. Give another --output."
        )


def load_dicom_index(path: str | Path) -> list[Case]:
    """Read a written index, and its identifiers from the headers of the images again.

    One file of every series is opened. So requests name patients by their PatientID, and an index whose files have been
    replaced by others is found out.

    Args:
        path: the JSON file; ``salt.key`` lies beside it.

    Returns:
        Cases as :func:`~monai_unlearn.data.dicom_cases` lists them.

    Raises:
        FileNotFoundError: if the file or its salt does not exist.
        ValueError: if it is no index, or an image is not there any more or belongs to another series or patient.
    """
    path = Path(path)
    for file in (path, path.parent / SALT):
        if not file.is_file():
            raise FileNotFoundError(
                f"cannot find {file}; write the index again with: python -m monai_unlearn index DIR"
            )
    salt = load_or_create_salt(path.parent / SALT)
    written = [_joined(case, path.parent) for case in _read(path)]
    firsts = [_first_file(case["image"]) for case in written]
    headers, problems = read_dicom_headers(firsts)
    if problems:
        raise ValueError(f"{path} does not fit the images any more: {problems[0]}; index the folder again")
    cases = []
    for case, header in zip(written, headers, strict=True):
        names = {"patient": header.patient, "study": header.study, "series": header.series}
        if any(_hash(names[key], salt) != case[key] for key in HASHED):
            raise ValueError(
                f"{path} does not fit the images any more: {header.path} belongs to another patient or series than it "
                f"did, or '{SALT}' is another; index the folder again"
            )
        cases.append({**case, **names, "id": header.series, "description": header.description})
    return cases


def _told_by_label(case: Case) -> frozenset[str]:
    """Say what the path of a mask tells, as that of one named by its series does."""
    return told_by_path(
        str(case.get("label", "")), {"PatientID": [case["patient"]], "UID": [case["study"], case["series"]]}
    )


def _left_out(index: DicomIndex, cases: Sequence[Case]) -> list[DicomProblem]:
    listed = {case["series"] for case in cases}
    return [
        DicomProblem(
            kind="left out",
            reason="it has no mask, or was not asked for",
            files=tuple(header.path for header in series.files),
            series=series.uid,
        )
        for series in index.usable
        if series.uid not in listed
    ]


def _read(path: Path) -> list[Case]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        cases = content["training"]
        if content["schema"] != SCHEMA or not all({*HASHED, "image"} <= case.keys() for case in cases):
            raise ValueError("another schema")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is no index of DICOM series ({error}); write one with: python -m monai_unlearn index DIR"
        ) from error
    return list(cases)


def _hash(identifier: str, salt: bytes) -> str:
    """Hash an identifier; one that is not there stays empty, so that nobody shares it."""
    return hash_identifier(identifier, salt) if identifier else ""


def _hashed(case: Case, salt: bytes, folder: Path) -> Case:
    files: Case = {key: _relative(case[key], folder) for key in ("image", "label") if key in case}
    names = {key: _hash(str(case[key]), salt) for key in HASHED}
    return {"id": names["series"][:16], **names, "modality": case["modality"], **files}


def _relative(path: Any, folder: Path) -> Any:
    if isinstance(path, list):
        return [_relative(each, folder) for each in path]
    return Path(os.path.relpath(path, folder)).as_posix()


def _joined(case: Case, folder: Path) -> Case:
    def join(path: Any) -> Any:
        return [join(each) for each in path] if isinstance(path, list) else os.path.normpath(folder / path)

    return {**case, **{key: join(case[key]) for key in ("image", "label") if key in case}}


def _first_file(image: str | list[str]) -> Path:
    if isinstance(image, list):
        return Path(image[0])
    folder = Path(image)
    files = sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []
    return files[0] if files else folder
