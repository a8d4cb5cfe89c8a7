"""The certificate of a run, written when a network is released and again whenever what it quotes changes."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from monai_unlearn.audit import (
    is_sealed,
    quoted_figures,
    read_certificate,
    render_certificate,
    seal_certificate,
    what_is_not_claimed,
)
from monai_unlearn.data import hash_identifier, redact
from monai_unlearn.files import sha256_of, write_whole
from monai_unlearn.phases.audit_content import grade_of_scope, oracle_recipe, versions
from monai_unlearn.phases.fingerprint import digest, ids_digest
from monai_unlearn.phases.manifest import read_manifest, write_manifest
from monai_unlearn.phases.run_folder import RunFolder
from monai_unlearn.phases.session import Session

__all__ = ["CERTIFICATE", "certify", "certify_ensemble", "recertify_manifest", "what_is_answered"]

logger = logging.getLogger(__name__)

CERTIFICATE = "certificate.json"
NOT_AUDITED = "the released network was not audited: run the run id 'auditing', which writes this certificate again"


def certify(session: Session) -> None:
    """Write ``certificate.json`` of the released network, unless the one that is there says the same.

    Without an audit of this very network the certificate has no figures, and says so.
    """
    folder = session.folder
    if not folder.writes:
        return
    partition, released = session.partition, folder.result("releasing")
    audit = _audit_of_release(folder)
    grade = grade_of_scope(session)
    request, trained_here = partition.request, session.setting("teacher_checkpoint") is None
    free_text = {"reference": request.reference, "reason": request.reason}
    oracle = None if audit is None else folder.phases["auditing"].get("oracle")
    recipe = None if oracle is None else oracle_recipe(session)
    write_manifest(folder)
    _write(
        folder,
        {
            "schema": 1,
            "kind": "network",
            "bundle": session.build("bundle"),
            "request": {
                **{key: text and redact(text, partition.identifiers, folder.salt) for key, text in free_text.items()},
                "date": request.date,
                "classes": list(partition.classes),
                "random": partition.random,
                "named": partition.named,
            },
            "forget": sorted(hash_identifier(case["id"], folder.salt) for case in partition.forget),
            "counts": partition.counts(),
            "sha256": {
                "partition": sha256_of(folder / "partition.json"),
                "teacher": session.teacher_digest,
                "model": released["files"]["model.pt"],
                "adapter_weights": released["files"].get("adapter/adapter_model.safetensors"),
                "adapter_config": released["files"].get("adapter/adapter_config.json"),
                "oracle": oracle,
                "audit": None if audit is None else sha256_of(folder / "audit.json"),
            },
            "versions": versions(),
            "seed": session.setting("seed"),
            "device": str(session.setting("device")),
            "settings": {
                **_settings(session),
                "erase_epochs": folder.phases.get("erasing", {}).get("epochs"),
                "restore_epochs": folder.phases.get("restoring", {}).get("epochs"),
            },
            "teacher_trained_here": trained_here,
            "oracle_recipe": recipe,
            "grade": grade,
            "figures": None if audit is None else quoted_figures(audit),
            "figures_absent": NOT_AUDITED if audit is None else None,
            "manifest": read_manifest(folder),
            "not_claimed": what_is_not_claimed(
                grade=grade,
                teacher_here=trained_here,
                oracle_recipe=recipe,
                audited=audit is not None,
                synthetic=partition.synthetic,
                random=partition.random,
                classes=partition.classes,
            ),
        },
    )


def what_is_answered(session: Session) -> dict[str, str]:
    """Digest the request that a session answers, and all that a certificate quotes of its settings.

    Returns:
        ``forget``: which cases are forgotten; ``answers``: that, and with what.
    """
    partition = session.partition
    forget = ids_digest(partition.forget, session.folder.salt)
    said = [forget, partition.classes, session.setting("seed"), session.build("bundle"), _settings(session)]
    return {"forget": forget, "answers": digest(said)}


def _settings(session: Session) -> dict[str, Any]:
    keys = ("scope", "rank", "image_size", "max_cases", "group_by")
    return {**{key: session.parser.get(key) for key in keys}, "erasure": session.erasure}


def recertify_manifest(folder: RunFolder) -> None:
    """Let the certificate quote the manifest as it is now; one that was changed by hand is not sealed again."""
    path = folder / CERTIFICATE
    if not path.exists():
        return
    content, raw = read_certificate(path)
    if not is_sealed(content, raw):
        logger.warning(
            f"the certificate '{path}' was changed after it was written and is left as it is; the run id 'releasing' "
            "writes it anew"
        )
        return
    _write(folder, {**content, "manifest": read_manifest(folder)})


def certify_ensemble(folder: Path, members: Sequence[Path]) -> None:
    """Write one certificate over those of several networks; nothing where one of them has none yet.

    Args:
        folder: where the certificate goes.
        members: output folders of the networks, below it.

    Raises:
        ValueError: if something else lies where the certificate goes.
    """
    paths = [member / CERTIFICATE for member in members]
    if not all(path.is_file() for path in paths):
        return
    contents = [read_certificate(path)[0] for path in paths]
    path = folder / CERTIFICATE
    before = None
    if path.exists():
        try:
            before = read_certificate(path)[0]
        except ValueError as error:
            raise ValueError(f"'{path}' exists and is no certificate of ours; choose another output_dir") from error
    content = {
        "schema": 1,
        "kind": "ensemble",
        "bundle": contents[0]["bundle"],
        "networks": [
            {
                "folder": member.name,
                "certificate": sha256_of(place),
                "seal": one["seal"],
                "model": one["sha256"]["model"],
                "grade": one["grade"],
                "outcome": one["figures"]["verdict"]["outcome"] if one["figures"] else None,
            }
            for member, place, one in zip(members, paths, contents, strict=True)
        ],
        "not_claimed": [
            "Each network is certified by itself; nothing is claimed of their common answer.",
            "The seal finds a change of this file; it is no signature. Keep it where the file is not.",
        ],
    }
    if before is None or not _says_the_same(before, content):
        write_whole(path, render_certificate(_issued(content)))


def _write(folder: RunFolder, content: dict[str, Any]) -> None:
    """Write a certificate, sealed and dated, unless the sealed one that is there says the same."""
    path = folder / CERTIFICATE
    folder.claim([CERTIFICATE])
    if path.exists():
        try:
            before, raw = read_certificate(path)
        except ValueError:  # damaged, and written anew
            pass
        else:
            if is_sealed(before, raw) and _says_the_same(before, content):
                return
    sealed = _issued(content)
    write_whole(path, render_certificate(sealed))
    logger.info(f"the certificate '{path}' has the seal {sealed['seal']}")


def _issued(content: dict[str, Any]) -> dict[str, Any]:
    return seal_certificate({**content, "issued": datetime.now(timezone.utc).isoformat(timespec="seconds")})


def _says_the_same(before: dict[str, Any], content: dict[str, Any]) -> bool:
    body = {key: value for key, value in before.items() if key not in ("issued", "seal")}
    wanted = {key: value for key, value in content.items() if key not in ("issued", "seal")}
    return bool(body == json.loads(json.dumps(wanted)))


def _audit_of_release(folder: RunFolder) -> dict[str, Any] | None:
    """Return the content of ``audit.json`` if it is there as it was written and is about the released network."""
    audit, released = folder.phases.get("auditing"), folder.phases["releasing"]
    if audit is None or sha256_or_nothing(folder / "audit.json") != audit["files"].get("audit.json"):
        return None
    of_release = (released.get("restored"), [released["files"]["model.pt"]])
    same = all(audit.get(key) == released.get(key) for key in ("teacher", "forget"))
    if audit.get("student") not in of_release or not same:
        return None
    content: dict[str, Any] = json.loads((folder / "audit.json").read_bytes())
    return content


def sha256_or_nothing(path: Path) -> str | None:
    """SHA-256 of a file, or ``None`` where there is none."""
    return sha256_of(path) if path.is_file() else None
