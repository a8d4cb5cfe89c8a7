from __future__ import annotations

import json
import logging
import shutil
import stat
from collections import namedtuple

import pytest

from monai_unlearn.data import hash_identifier
from monai_unlearn.phases import run_folder
from monai_unlearn.phases.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return RunFolder(tmp_path / "out")


def finished(folder: RunFolder, phase: str = "erasing", name: str = "state/model.pt", text: str = "weights") -> None:
    """Let a phase run to its end."""
    folder.claim([name])
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    folder.record(phase, fingerprint="inputs", files=[name], seconds=1.5)


def test_a_folder_is_made_with_its_parents_and_a_salt_that_its_owner_alone_may_read(tmp_path):
    folder = RunFolder(tmp_path / "a" / "b")
    key = tmp_path / "a" / "b" / "salt.key"
    assert key.read_bytes() == folder.salt
    assert len(folder.salt) == 32
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_the_salt_stays_when_the_folder_is_opened_again_and_differs_between_folders(tmp_path):
    assert RunFolder(tmp_path / "a").salt == RunFolder(tmp_path / "a").salt
    assert RunFolder(tmp_path / "a").salt != RunFolder(tmp_path / "b").salt


def test_a_phase_is_remembered_when_the_folder_is_opened_again(folder):
    finished(folder)
    again = RunFolder(folder.path)
    assert again.stands("erasing", "inputs")
    assert again.result("erasing")["seconds"] == 1.5
    assert set(again.result("erasing")["files"]) == {"state/model.pt"}


def test_a_phase_does_not_stand_before_it_has_run(folder):
    assert not folder.stands("erasing", "inputs")
    with pytest.raises(ValueError, match="holds no result of 'erasing'; run it first: the run id 'erasing' or 'run'"):
        folder.result("erasing")


def test_a_phase_does_not_stand_for_other_inputs(folder):
    finished(folder)
    assert not folder.stands("erasing", "other inputs")


@pytest.mark.parametrize("change", ["changed", "removed"])
def test_a_phase_whose_file_was_touched_does_not_stand(folder, change):
    finished(folder)
    if change == "changed":
        (folder / "state/model.pt").write_text("Weights")
    else:
        (folder / "state/model.pt").unlink()
    assert not folder.stands("erasing", "inputs")


def test_a_file_of_somebody_else_is_refused_and_left(folder):
    (folder / "model.pt").write_text("the hospital's")
    for look in (folder.refuse_foreign, folder.claim):
        with pytest.raises(ValueError, match=r"model\.pt' exists and was not written by monai_unlearn"):
            look(["audit.json", "model.pt"])
    assert (folder / "model.pt").read_text() == "the hospital's"
    with pytest.raises(ValueError, match="was not written by monai_unlearn"):
        RunFolder(folder.path).claim(["model.pt"])


def test_our_own_file_may_be_written_again_also_by_another_phase(folder):
    finished(folder)
    RunFolder(folder.path).claim(["state/model.pt"])


def test_a_phase_that_died_half_way_may_run_again(folder):
    folder.claim(["audit.json", "report.html"])
    (folder / "audit.json").write_text("{}")  # and here the process is killed
    again = RunFolder(folder.path)
    again.claim(["audit.json", "report.html"])
    assert not again.stands("auditing", "inputs")


def test_looking_for_files_of_others_claims_nothing(folder):
    folder.refuse_foreign(["model.pt"])
    (folder / "model.pt").write_text("the hospital's")
    with pytest.raises(ValueError, match="was not written by monai_unlearn"):
        RunFolder(folder.path).claim(["model.pt"])


def test_a_file_in_the_way_of_the_folder_is_named(tmp_path):
    (tmp_path / "out").write_text("in the way")
    for path in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(ValueError, match=f"cannot make the output_dir '{path}'"):
            RunFolder(path)


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder.os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(ValueError, match=f"cannot write to the output_dir '{tmp_path}'"):
        RunFolder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_disk_is_named(tmp_path, monkeypatch):
    def refuse(path):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(run_folder, "load_or_create_salt", refuse)
    with pytest.raises(ValueError, match=r"cannot write to the output_dir .*Read-only file system"):
        RunFolder(tmp_path)


def test_a_disk_that_is_too_full_is_named_with_what_is_needed(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(2**40, 2**40, 3 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    RunFolder(tmp_path, needed_bytes=3 * 2**20)
    with pytest.raises(ValueError, match="has 3 MiB free and the run may need 4 MiB"):
        RunFolder(tmp_path, needed_bytes=4 * 2**20)


@pytest.mark.parametrize(
    "content", [b"", b'{"erasing": {"finger', b"[]", b"null", b'"x"', b'{"erasing": 3}', b"\xff\xfe"]
)
def test_a_damaged_record_is_named(folder, content):
    (folder / "phases.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"phases\.json is damaged"):
        RunFolder(folder.path)


def test_a_damaged_salt_is_named(folder):
    (folder / "salt.key").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"salt\.key should hold 32 random bytes and holds 5"):
        RunFolder(folder.path)


def test_json_has_no_nan(folder):
    folder.write_json("audit.json", {"loss": 0.5})
    with pytest.raises(ValueError, match="JSON compliant"):
        folder.write_json("audit.json", {"loss": float("nan")})
    assert json.loads((folder / "audit.json").read_text()) == {"loss": 0.5}


IDENTIFIERS = ["case_1", "case_10", "site_a", "site_ab", "spleen_3", "007", "ISIC_0000012", "Anna K."]


@pytest.fixture
def logged(folder):
    """Log lines, and read what ``run.log`` holds of them."""
    handler = folder.log_to_file(IDENTIFIERS)
    logger = logging.getLogger("tests.run_folder")
    logger.setLevel(logging.INFO)

    def write(message: str, error: Exception | None = None) -> str:
        logger.info(message, exc_info=error)
        handler.flush()
        return (folder / "run.log").read_text()

    yield write
    logging.getLogger().removeHandler(handler)
    handler.close()


@pytest.mark.parametrize(
    ("message", "secret"),
    [
        ("forgot case_1.", "case_1"),
        ("forgot 'case_10', said so", "case_10"),
        ("cannot read /data/images/spleen_3.nii.gz", "spleen_3"),
        ("cannot read /data/masks/ISIC_0000012_segmentation.png", "ISIC_0000012"),
        ("cannot read /data/masks/mask_case_1.png", "case_1"),
        ("cannot read C:\\data\\007\\image.dcm", "007"),
        ("cannot read /data/masks/mask007.png", "007"),
        ("patient Anna K. withdrew", "Anna K."),
        ("patient=007", "007"),
    ],
)
def test_the_log_names_no_case_not_even_in_a_path(folder, logged, message, secret):
    log = logged(message)
    assert secret not in log
    assert hash_identifier(secret, folder.salt)[:12] in log
    assert log.strip().endswith(message.replace(secret, hash_identifier(secret, folder.salt)[:12]))


@pytest.mark.parametrize(("longer", "shorter"), [("case_10", "case_1"), ("site_ab", "site_a")])
def test_the_longer_of_two_identifiers_is_replaced_as_one(folder, logged, longer, shorter):
    log = logged(f"{longer} and {shorter}")
    first, second = (hash_identifier(name, folder.salt)[:12] for name in (longer, shorter))
    assert log.strip().endswith(f"{first} and {second}")


def test_other_words_and_numbers_stay(logged):
    assert (
        logged("case_100, case_11, spleen_31 and 10070 of 800 cases")
        .strip()
        .endswith("case_100, case_11, spleen_31 and 10070 of 800 cases")
    )


def test_tracebacks_name_no_case_either(folder, logged):
    try:
        raise ValueError("cannot read /data/images/spleen_3.nii.gz")
    except ValueError as error:
        log = logged("a mistake", error)
    assert "Traceback" in log
    assert "spleen_3" not in log


def test_a_log_without_cases_is_a_plain_log(folder):
    handler = folder.log_to_file([])
    try:
        logging.getLogger("tests.run_folder").warning("a word about case_1")
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    assert "WARNING - a word about case_1" in (folder / "run.log").read_text()
