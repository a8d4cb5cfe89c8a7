"""What every file of a run is said to hold, and the manifest that says it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_unlearn.phases.holdings import HOLDINGS, files_of_run, holding_of
from monai_unlearn.phases.manifest import oracle_answers, read_manifest, write_manifest
from monai_unlearn.phases.run_folder import RunFolder


@pytest.mark.parametrize(
    ("name", "fate"),
    [
        ("model.pt", "keep"),
        ("teacher/model.pt", "teacher"),
        ("state/erased/model.pt", "purge"),
        ("state/erased/adapter_model.safetensors", "purge"),
        ("shadows/0/model.pt", "purge"),
        ("cache/ab/cd.pt", "purge"),
        ("predictions/case_04/case_04_seg.nii.gz", "purge"),
        ("figures/comparison.png", "images"),
        ("figures/case_losses.png", "keep"),
        ("events.out.tfevents.1.host.0", "keep"),
        (".model.a1b2c3d4.pt", "purge"),
        ("state/erased/.adapter_model.a1b2c3_4.safetensors", "purge"),
        ("figures/.comparison.a1b2c3d4.png", "purge"),
    ],
)
def test_a_file_of_a_run_is_known(name, fate):
    holding = holding_of(name)
    assert holding is not None
    assert holding.fate == fate


@pytest.mark.parametrize("name", ["notes.txt", "model.pt.bak", "images/a.png", ".bashrc", "network_0/model.pt"])
def test_a_file_that_no_run_writes_is_not_known(name):
    assert holding_of(name) is None


def test_names_that_components_of_a_bundle_choose_are_counted_and_never_written():
    chosen = {
        "checkpoints/*",
        "cache/*",
        "predictions/*",
        "handlers/*",
        "shadows/*",
        "figures/*",
        "oracle/*",
        "state/*",
    }
    assert chosen <= {one.pattern for one in HOLDINGS if one.counted}


def test_every_pattern_that_fits_names_of_others_is_counted():
    assert all(one.counted for one in HOLDINGS if "*" in one.pattern)


@pytest.mark.parametrize(
    "name",
    [
        "figures/case_04.png",
        "oracle/case_04.pt",
        "state/case_04.pt",
        "state/erased/adapter_case_04.pt",
        "adapter/case_04",
    ],
)
def test_the_manifest_does_not_name_what_others_put_into_the_folders_of_a_run(folder, name):
    put(folder, name, "figures/case_losses.png", "figures/comparison.png", "oracle/model.pt")
    content = write_manifest(folder)
    assert "case_04" not in (folder / "manifest.json").read_text()
    named = {one["file"] for one in content["files"]}
    assert {"figures/case_losses.png", "figures/comparison.png", "oracle/model.pt"} <= named


def test_event_files_are_not_said_to_be_without_images(folder):
    put(folder, "events.out.tfevents.1.host.0")
    (entry,) = [one for one in write_manifest(folder)["files"] if one["file"].startswith("events")]
    assert entry["holds"] == "figures; images where a bundle's own handlers write them"


@pytest.mark.parametrize(("of_oracle", "of_release"), [("a", "b"), (None, "b"), ("a", None), (None, None)])
def test_an_oracle_of_another_request_is_not_said_to_have_never_seen_the_forget_cases(folder, of_oracle, of_release):
    put(folder, "oracle/model.pt")

    def said() -> str:
        (entry,) = [one for one in write_manifest(folder)["files"] if one["file"] == "oracle/model.pt"]
        return str(entry["holds"])

    folder.record("retraining", fingerprint="", files=["oracle/model.pt"], forget=of_oracle)
    folder.record("releasing", fingerprint="", files=[], forget=of_release)
    assert not oracle_answers(folder)
    assert "may know the forget cases" in said()
    folder.record("retraining", fingerprint="", files=["oracle/model.pt"], forget="c")
    folder.record("releasing", fingerprint="", files=[], forget="c")
    assert oracle_answers(folder)
    assert said() == "weights that never saw the forget cases"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "out")


def put(folder: RunFolder, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_files_are_found_at_every_depth_but_not_behind_links_nor_in_other_folders(folder, tmp_path):
    put(folder, "model.pt", "cache/a/b/c.pt", "elsewhere/cache/x.pt", "network_0/model.pt", "notes.txt")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.pt").write_text("")
    (folder / "shadows").symlink_to(outside)
    (folder / "cache/link.pt").symlink_to(outside / "precious.pt")
    (folder / "cache/deep").symlink_to(outside)
    assert files_of_run(folder.path) == {"salt.key", "model.pt", "cache/a/b/c.pt"}


def test_what_comes_while_a_run_is_at_work_is_ours_and_what_was_there_is_not(folder):
    put(folder, "cache/theirs.pt")
    folder.watch()
    put(folder, "cache/case_04.pt", "checkpoints/a.pt")
    folder.adopt()
    put(folder, "cache/later.pt")
    again = RunFolder(folder.path)
    found = files_of_run(folder.path) - {"phases.json"}
    assert again.written(found) == {"cache/case_04.pt", "checkpoints/a.pt"}
    assert "case_04" not in (folder / "phases.json").read_text()


def test_what_a_killed_run_left_is_ours_when_the_next_one_looks(folder):
    folder.watch()
    put(folder, "cache/half.pt")  # and here the process is killed
    again = RunFolder(folder.path)
    again.watch()
    assert again.written(["cache/half.pt"]) == {"cache/half.pt"}


def test_a_run_that_only_looked_has_not_begun(folder):
    folder.watch()  # and here the input is found to be wrong
    put(folder, "checkpoints/theirs.pt")
    with pytest.raises(ValueError, match="is not empty and no run of monai_unlearn has been here"):
        RunFolder(folder.path).refuse_foreign_folders(["checkpoints"])
    folder.claim(["model.pt"])
    RunFolder(folder.path).refuse_foreign_folders(["checkpoints"])


def test_a_manifest_says_what_every_file_holds_and_counts_what_it_must_not_name(folder):
    put(folder, "model.pt", "predictions/case_04.nii.gz", "predictions/case_05.nii.gz", "notes.txt")
    content = write_manifest(folder)
    assert content == json.loads((folder / "manifest.json").read_text())
    files = {one["file"]: one for one in content["files"]}
    assert files["predictions/"]["count"] == 2
    assert files["model.pt"]["holds"] == "weights of the unlearned network"
    assert {"manifest.json", "certificate.json", "salt.key"} <= files.keys()
    assert "notes.txt" not in files
    assert "case_0" not in (folder / "manifest.json").read_text()
    assert {one["state"] for one in content["files"]} == {"kept"}


def test_what_was_begun_to_be_purged_is_remembered_in_full(folder):
    put(folder, "cache/a.pt", "cache/b.pt")
    write_manifest(folder, going=["cache/a.pt", "cache/b.pt"], when="monday")
    (folder / "cache/a.pt").unlink()  # and here the process is killed
    write_manifest(folder, going=["cache/b.pt"], when="tuesday")
    (folder / "cache/b.pt").unlink()
    write_manifest(folder, when="tuesday", done=True)
    (entry,) = [one for one in read_manifest(folder)["files"] if one["file"] == "cache/"]
    assert (entry["state"], entry["count"], entry["when"]) == ("purged", 2, "tuesday")


def test_what_was_purged_stays_in_the_manifest_until_it_is_made_again(folder):
    put(folder, "state/erased/model.pt")
    write_manifest(folder, going=["state/erased/model.pt"], when="monday")
    (folder / "state/erased/model.pt").unlink()
    write_manifest(folder, when="monday", done=True)
    write_manifest(folder)
    states = {one["file"]: one["state"] for one in read_manifest(folder)["files"]}
    assert states["state/erased/model.pt"] == "purged"
    put(folder, "state/erased/model.pt")
    write_manifest(folder)
    assert [one["state"] for one in read_manifest(folder)["files"] if one["file"].startswith("state")] == ["kept"]


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b'{"files": 3}', b'{"purged": null, "files": ["x", 3]}'])
def test_a_damaged_manifest_is_as_none(folder, content):
    (folder / "manifest.json").write_bytes(content)
    folder.claim([])
    assert read_manifest(folder)["files"] == []
