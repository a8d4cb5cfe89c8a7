"""The run id ``purging``: delete every file that holds forget cases, or what was made from single ones."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

from monai_unlearn.files import sha256_of
from monai_unlearn.phases.certify import recertify_manifest
from monai_unlearn.phases.holdings import files_of_run, holding_of
from monai_unlearn.phases.manifest import MANIFEST, images_shown, oracle_answers, read_manifest, write_manifest
from monai_unlearn.phases.run_folder import RunFolder
from monai_unlearn.visualize import write_report

__all__ = ["purge"]

logger = logging.getLogger(__name__)

NOT_DROPPED = ("auditing", "claimed", "purging")
"""Entries of the record that stay when one of their files is purged: an audit without its pictures is one still."""


def purge(folder: RunFolder, *, teacher: bool = False) -> None:
    """Delete what need not stay of a finished run, and write down what was deleted.

    Kept are the release, the audit, the certificate, hashes and figures without images; :mod:`.holdings` has the table.
    Deleted is only what a run of ours wrote; what lies behind a link is left. Nothing of the data is read, so that this
    works when they are gone. A purging that was killed is finished by the next one.

    Args:
        folder: the output folder.
        teacher: whether a teacher that was trained here is deleted, too. One that was given is never touched.

    Raises:
        ValueError: if nothing is released, as what would be deleted holds the only unlearned network then.
    """
    _require_release(folder)
    folder.adopt()
    found = files_of_run(folder.path)
    images = "forget" in images_shown(folder)
    goes = {"keep": False, "purge": True, "teacher": teacher, "images": images, "oracle": not oracle_answers(folder)}
    unwanted = {name for name in found if (holding := holding_of(name)) is not None and goes[holding.fate]}
    doomed = {name for name in folder.written(unwanted) if _is_within(folder, name)}
    stays = unwanted - doomed
    if stays:
        logger.warning(
            f"purging: {len(stays)} files are where a run leaves what has to go, and no run of ours wrote them; look "
            f"at them yourself: {', '.join(sorted({name.partition('/')[0] for name in stays}))}"
        )
    manifest = read_manifest(folder)
    unfinished = any(one["state"] == "being purged" for one in manifest["files"])
    if not doomed and not unfinished and manifest["purged"] is not None:
        recertify_manifest(folder)  # which a killed purging may not have come to
        logger.info(f"purging: there is nothing to purge in '{folder.path}' (any more)")
        return
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    with_report = "report.html" in doomed
    gone = doomed - {"report.html"}
    _drop_phases(folder, doomed)  # first, so that no phase takes half of a result for a whole one
    write_manifest(folder, going=gone, when=when)
    for name in sorted(gone):
        (folder / name).unlink(missing_ok=True)
        _remove_empty(folder, (folder / name).parent)
    if with_report:
        _rewrite_report(folder)
    write_manifest(folder, when=when, done=True)
    recertify_manifest(folder)
    logger.info(
        f"purging: {len(gone)} files deleted{', the report is without images' if with_report else ''}; see {MANIFEST}"
    )
    if not teacher and "teacher/model.pt" in found:
        logger.warning(
            "purging: the teacher that was trained here knows the forget cases and is kept; --purge_teacher True "
            "deletes it, after which nothing here can be compared with it or brought back"
        )


def _require_release(folder: RunFolder) -> None:
    released = folder.phases.get("releasing")
    if released is None or any(
        not (folder / name).is_file() or sha256_of(folder / name) != hashed
        for name, hashed in released["files"].items()
    ):
        raise ValueError(
            f"'{folder.path}' holds no released network, and purging would delete the only one that has unlearned; run "
            "the run id 'releasing' first"
        )
    for phase in ("erasing", "restoring"):
        if phase in folder.phases and folder.phases[phase]["files"] != released.get(
            phase, folder.phases[phase]["files"]
        ):
            raise ValueError(
                f"what '{phase}' left in '{folder.path}' is not what was released: it was run again since, and purging "
                "would delete it; run the run id 'releasing' first"
            )


def _is_within(folder: RunFolder, name: str) -> bool:
    """Tell whether a file lies in the folder itself, not behind a link that leads elsewhere."""
    path = Path(name)
    return (
        not path.is_absolute()
        and ".." not in path.parts
        and not any((folder.path / part).is_symlink() for part in (path, *path.parents) if part != Path())
    )


def _drop_phases(folder: RunFolder, doomed: Iterable[str]) -> None:
    without = {
        phase
        for phase, result in folder.phases.items()
        if phase not in NOT_DROPPED and not result["files"].keys().isdisjoint(doomed)
    }
    earlier = folder.phases.get("purging", {}).get("phases", ())
    folder.drop(without, purged={*earlier, *without})


def _remove_empty(folder: RunFolder, place: Path) -> None:
    while place != folder.path and place.is_dir() and not any(place.iterdir()):
        place.rmdir()
        place = place.parent


def _rewrite_report(folder: RunFolder) -> None:
    """Write the report again, without images; it is gone where there is no audit to write it from."""
    audit = folder.phases.get("auditing")
    if audit is None or not (folder / "audit.json").is_file():
        (folder / "report.html").unlink(missing_ok=True)
        return
    content = json.loads((folder / "audit.json").read_bytes())
    write_report(folder / "report.html", content, title=f"Unlearning report: {content['bundle']}")
    kept = [name for name in audit["files"] if (folder / name).is_file()]
    figures_of = {key: value for key, value in audit.items() if key not in ("fingerprint", "files", "images")}
    folder.record("auditing", fingerprint=audit["fingerprint"], files=kept, images=[], **figures_of)
