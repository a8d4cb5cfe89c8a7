"""Commands beside ``monai.bundle``: ``python -m monai_unlearn COMMAND``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fire

from monai_unlearn.data import (
    dicom_cases,
    download_isic2018,
    index_dicom,
    join_masks,
    summarise_index,
    write_dicom_index,
)
from monai_unlearn.data.isic import ISIC2018_URL
from monai_unlearn.phases.boundary import one_line_errors
from monai_unlearn.phases.recheck import verify_certificate
from monai_unlearn.phases.survey import describe_bundle, overlay_path


def download_set(name: str, folder: str, url: str = ISIC2018_URL) -> None:
    """Download a public set into a folder that the bundles take as ``dataset_dir``.

    Args:
        name: the set; ``isic2018`` (Task 1, 11 GB).
        folder: where to.
        url: where from, for mirrors.
    """
    with one_line_errors():
        if name != "isic2018":
            raise ValueError(f"there is no download for the set {name!r}; there is one for: isic2018")
        print(download_isic2018(folder, url=url))


def index_folder(
    folder: str,
    output: str = "dicom_index.json",
    masks: str | None = None,
    table: str | None = None,
    mask_output: str | None = None,
    overlaps: str = "refuse",
    segments: Sequence[str] | str | None = None,
    modality: str | None = None,
    description: str | None = None,
    workers: int = 8,
) -> None:
    """Index a tree of DICOM files, and write the datalist of its series with salted and hashed identifiers.

    Args:
        folder: the tree; files need no suffix.
        output: the datalist, JSON; ``salt.key`` is kept beside it.
        masks: folder of masks: NIfTI named by SeriesInstanceUID, or DICOM SEG; series without a mask are left out then.
        table: CSV file with the columns ``series`` and ``label`` that says which mask belongs to which series.
        mask_output: where label volumes made of DICOM SEG are written; beside the datalist where not given.
        overlaps: ``refuse`` overlapping segments, or take the ``highest`` label value.
        segments: names of the segments to take, in the order of their label values.
        modality: Modality to list, such as ``MR``.
        description: pattern of the SeriesDescription to list, such as ``"*FLAIR*"``.
        workers: threads that read headers.
    """
    with one_line_errors():
        index = index_dicom(str(folder), workers=workers)
        print(summarise_index(index))
        path = Path(str(output))
        joined = None
        if masks is not None and str(masks).lower() != "none":
            joined = join_masks(
                index,
                str(masks),
                output_dir=str(mask_output) if mask_output is not None else path.parent / f"{path.stem}_masks",
                table=None if table is None else str(table),
                overlaps=overlaps,
                segments=[segments] if isinstance(segments, str) else segments,
                salt_dir=path.parent,
                workers=workers,
            )
        cases = dicom_cases(
            index, modality=modality, description=description, labels=None if joined is None else joined.paths
        )
        lists = write_dicom_index(index, cases, path, names=None if joined is None else joined.names)
        print(f"{len(cases)} cases in {lists}")


def show_overlay(check: str | Sequence[str] | None = None, processes: bool = False) -> None:
    """Print where the overlay lies, one line; or say what it will use of a bundle and what the bundle lacks.

    Args:
        check: training config of a bundle, or a list of configs that are merged in order.
        processes: print the overlay for several processes, which is merged after the other one.
    """
    with one_line_errors():
        if check is None:
            print(overlay_path("unlearn_multi_gpu.json" if processes else "unlearn.json"))
            return
        files = [check] if isinstance(check, str) else [str(path) for path in check]
        usable, words = describe_bundle(files)
        print(words)
        if not usable:
            raise SystemExit(1)


def verify_release(certificate: str, config_file: Any = None, **given: Any) -> None:
    """Verify a certificate: its seal, the files that are given and, with a bundle and its data, the figures.

    Ends with status 1 if anything differs.

    Args:
        certificate: the file ``certificate.json``.
        config_file: bundle config, or a list of them, by which the figures of ``model`` are computed again.
        given: ``model``, ``teacher``, ``oracle`` (checkpoints), ``adapter`` (its folder), ``audit`` (``audit.json``),
            ``salt`` (``salt.key`` of the run), and the settings of the bundle: ``dataset_dir``, ``request``, …
    """
    with one_line_errors():
        files = {name: str(given.pop(name)) for name in VERIFIED if given.get(name) is not None}
        checks = verify_certificate(str(certificate), config_file=config_file, **files, **given)
    print("\n".join(map(str, checks)))
    differ = sum(check.holds is False for check in checks)
    print("the certificate holds for what was checked" if not differ else f"{differ} of {len(checks)} lines differ")
    if differ:
        raise SystemExit(1)


VERIFIED = ("model", "teacher", "adapter", "audit", "oracle", "salt")

if __name__ == "__main__":
    commands = {"download": download_set, "index": index_folder, "overlay": show_overlay, "verify": verify_release}
    fire.Fire(commands, name="python -m monai_unlearn")
