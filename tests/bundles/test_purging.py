"""The end of a request: its certificate, what verifies it, and what is deleted when all is done."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_unlearn.__main__ import verify_release
from monai_unlearn.audit import is_sealed, read_certificate, render_certificate, seal_certificate
from monai_unlearn.data import hash_identifier
from monai_unlearn.files import sha256_of
from monai_unlearn.phases import audit as auditing
from monai_unlearn.phases import figures, recheck
from monai_unlearn.phases import purge as purging

from .conftest import BUNDLE, run_bundle, settings_for

SECRETS = (b"case_0", b"case_1", b"case_2", b"lesion_a")
PURGED = (
    "state/erased/adapter_model.safetensors",
    "state/restored/adapter_model.safetensors",
    "figures/comparison.png",
)
KEPT = ("model.pt", "adapter/adapter_model.safetensors", "audit.json", "certificate.json", "teacher/model.pt")


def demand_in(folder: Path) -> str:
    path = folder / "demand.json"
    words = {"ids": ["case_04", "case_05"], "reference": "D-17 case_04", "reason": "the parents of case_04 object"}
    path.write_text(json.dumps({**words, "date": "2026-01-05"}))
    return str(path)


@pytest.fixture(scope="module")
def finished(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of a whole run; tests must not change it."""
    folder = tmp_path_factory.mktemp("released")
    run_bundle("run", **settings_for(pictures, folder / "out") | {"request": demand_in(folder)})
    return folder / "out"


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "out"))


@pytest.fixture
def settings(pictures: Path, out: Path, finished: Path) -> dict[str, Any]:
    return settings_for(pictures, out) | {"request": str(finished.parent / "demand.json")}


def certificate_of(folder: Path) -> dict[str, Any]:
    content, raw = read_certificate(folder / "certificate.json")
    assert is_sealed(content, raw)
    return content


def leaking(folder: Path) -> list[str]:
    """Files that hold an id or a patient in the clear."""
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and any(secret in path.read_bytes() for secret in SECRETS)
    ]


def test_a_certificate_says_what_was_asked_what_was_done_and_what_was_found(finished: Path) -> None:
    content = certificate_of(finished)
    salt = (finished / "salt.key").read_bytes()
    assert content["request"]["date"] == "2026-01-05"
    assert content["request"]["reason"] == f"the parents of {hash_identifier('case_04', salt)[:12]} object"
    assert content["forget"] == sorted(hash_identifier(name, salt) for name in ("case_04", "case_05"))
    names = {"partition": "partition.json", "teacher": "teacher/model.pt", "model": "model.pt", "audit": "audit.json"}
    for key, name in names.items():
        assert content["sha256"][key] == sha256_of(finished / name)
    audit = json.loads((finished / "audit.json").read_text())
    assert content["figures"]["models"] == audit["models"]
    assert content["figures"]["verdict"] == audit["verdict"]
    assert content["grade"] == "reversible"
    assert any("No oracle" in sentence for sentence in content["not_claimed"])
    assert content["manifest"]["purged"] is None


def test_no_output_of_a_run_holds_an_identifier_nor_the_certificate_the_salt(finished: Path) -> None:
    assert leaking(finished) == []
    salt = (finished / "salt.key").read_bytes()
    assert salt.hex() not in (finished / "certificate.json").read_text()


def test_a_release_without_an_audit_says_so_and_the_audit_writes_the_certificate_again(
    settings: dict[str, Any], out: Path
) -> None:
    for name in ("audit.json", "certificate.json"):
        (out / name).unlink()
    run_bundle("releasing", **settings)
    content = certificate_of(out)
    assert content["figures"] is None
    assert "was not audited" in content["figures_absent"]
    assert any("No audit" in sentence for sentence in content["not_claimed"])
    run_bundle("auditing", **settings)
    assert certificate_of(out)["figures"]["models"]["student"]["forget"]["n"] == 2


def test_an_audit_of_another_network_is_not_quoted(settings: dict[str, Any], out: Path, finished: Path) -> None:
    other = str(shutil.copy(finished / "teacher/model.pt", out.parent / "other.pt"))
    assert certificate_of(out)["figures"] is not None
    run_bundle("auditing", **settings, student_checkpoint=other)
    assert certificate_of(out)["figures"] is None  # and not those that audit.json no longer has
    assert certificate_of(out)["sha256"]["audit"] is None
    run_bundle("releasing", **settings)
    assert certificate_of(out)["figures"] is None


@pytest.mark.parametrize("change", [{"request": ["case_06"]}, {"group_by": "none"}])
def test_an_audit_for_another_request_leaves_the_certificate_of_what_was_released(
    settings: dict[str, Any], out: Path, change: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    before = (out / "certificate.json").read_bytes()
    run_bundle("auditing", **{**settings, "student_checkpoint": str(out / "model.pt"), **change})
    assert "the certificate is of what was released before" in caplog.text
    assert (out / "certificate.json").read_bytes() == before


def test_an_audit_stands_whose_figures_could_not_be_tracked(
    settings: dict[str, Any], out: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unreachable(*arguments: Any) -> None:
        raise ConnectionError("nobody there")

    with monkeypatch.context() as patch:
        patch.setattr(auditing, "track_figures", unreachable)
        run_bundle("auditing", **settings, resume=False)
    assert "ITS FIGURES ARE NOT TRACKED: ConnectionError: nobody there" in caplog.text
    with caplog.at_level(logging.INFO):
        run_bundle("auditing", **settings)
    assert "auditing: stands already" in caplog.text


def test_an_oracle_of_an_earlier_request_goes_and_that_of_this_one_stays(settings: dict[str, Any], out: Path) -> None:
    def said() -> dict[str, Any]:
        (entry,) = [one for one in certificate_of(out)["manifest"]["files"] if one["file"] == "oracle/model.pt"]
        return dict(entry)

    run_bundle("run", **settings, oracle="train")
    assert said()["holds"] == "weights that never saw the forget cases"
    run_bundle("purging", **settings)
    assert said()["state"] == "kept"
    assert (out / "oracle/model.pt").is_file()
    run_bundle("run", **{**settings, "request": ["case_06"], "ledger": "none"})
    assert said()["holds"] == "weights of an oracle for another request; they may know the forget cases"
    run_bundle("purging", **{**settings, "request": ["case_06"], "ledger": "none"})
    assert said()["state"] == "purged"
    assert not (out / "oracle").exists()


def verify(capsys: pytest.CaptureFixture[str], *arguments: Any, **given: Any) -> str:
    capsys.readouterr()
    verify_release(*arguments, **given)
    return capsys.readouterr().out


def test_the_released_files_verify(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = verify(
        capsys,
        str(out / "certificate.json"),
        model=str(out / "model.pt"),
        teacher=str(out / "teacher/model.pt"),
        adapter=str(out / "adapter"),
        audit=str(out / "audit.json"),
    )
    assert "DIFFERS" not in said
    assert said.count("holds  ") == 7
    assert "the certificate holds for what was checked" in said


def test_a_swapped_model_and_a_changed_byte_end_with_status_1(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = out / "certificate.json"
    with pytest.raises(SystemExit) as caught:
        verify(capsys, str(path), model=str(out / "teacher/model.pt"))
    assert caught.value.code == 1
    assert "DIFFERS     model: SHA-256" in capsys.readouterr().out
    path.write_bytes(path.read_bytes().replace(b'"outcome": "', b'"outcome": "_', 1))
    with pytest.raises(SystemExit) as caught:
        verify(capsys, str(path), model=str(out / "model.pt"))
    assert caught.value.code == 1
    assert "the file was changed after it was written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "nowhere.pt"}, r"cannot read nowhere\.pt"),
        ({"dataset_dir": "somewhere"}, "'dataset_dir' is a setting of a bundle; give its config with --config_file"),
        ({"config_file": str(BUNDLE)}, "give its checkpoint with --model"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(out: Path, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(SystemExit, match=message) as caught:
        verify_release(str(out / "certificate.json"), **arguments)
    assert "\n" not in str(caught.value)


def test_the_command_ends_with_status_1_and_one_line_for_what_is_no_certificate(tmp_path: Path) -> None:
    (tmp_path / "certificate.json").write_bytes(b"[" * 100_000)
    command = [sys.executable, "-m", "monai_unlearn", "verify", str(tmp_path / "certificate.json")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    (line,) = [one for one in ended.stderr.splitlines() if one.startswith("monai_unlearn:")]
    assert "is no certificate: it is nested too deeply" in line
    assert "Traceback" not in ended.stderr


@pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")  # MONAI's word on configs of strangers
def test_the_figures_are_computed_again_from_the_data(
    settings: dict[str, Any], out: Path, capsys: pytest.CaptureFixture[str], quiet_logging: None
) -> None:
    wanted = ("dataset_dir", "request", "device", "network_def#channels", "network_def#strides")
    given = {key: settings[key] for key in wanted} | {"salt": str(out / "salt.key")}
    before = sorted(path.name for path in out.rglob("*"))
    arguments = {"config_file": str(BUNDLE), "meta_file": str(BUNDLE.with_name("metadata.json")), **given}
    said = verify(capsys, str(out / "certificate.json"), model=str(out / "model.pt"), **arguments)
    assert "DIFFERS" not in said
    assert "holds       forget cases: those of the certificate" in said
    assert all(f"student.{subset}.iou: within" in said for subset in ("forget", "retain", "reference", "unseen"))
    assert "case_0" not in said
    assert sorted(path.name for path in out.rglob("*")) == before
    weights = torch.load(out / "model.pt", weights_only=True)
    key = next(name for name, value in weights.items() if value.is_floating_point() and value.ndim > 1)
    torch.save({**weights, key: weights[key] * 1.5}, out / "other.pt")
    with pytest.raises(SystemExit):
        verify(capsys, str(out / "certificate.json"), model=str(out / "other.pt"), **arguments)
    assert "DIFFERS     student.forget.loss" in capsys.readouterr().out


@pytest.mark.parametrize(("of_run", "given"), [("patient", "patient"), (None, "none")])
def test_figures_are_computed_again_with_the_groups_of_the_run(
    out: Path, monkeypatch: pytest.MonkeyPatch, of_run: str | None, given: str
) -> None:
    def ask(**settings: Any) -> None:
        raise KeyboardInterrupt(settings["group_by"])

    monkeypatch.setattr(recheck, "create_workflow", ask)
    path = out / "certificate.json"
    content = certificate_of(out)
    assert content["settings"]["group_by"] == "lesion_id"
    content["settings"]["group_by"] = of_run
    path.write_bytes(render_certificate(seal_certificate(content)))
    arguments = {"model": out / "model.pt", "config_file": str(BUNDLE)}
    with pytest.raises(KeyboardInterrupt, match=rf"^{given}$"):
        recheck.verify_certificate(path, **arguments)
    with pytest.raises(KeyboardInterrupt, match=r"^mine$"):
        recheck.verify_certificate(path, **arguments, group_by="mine")


@pytest.mark.parametrize("code", ["$print('run')", "@seed", "%other.json#key"])
def test_a_certificate_cannot_have_code_run(out: Path, code: str) -> None:
    content = certificate_of(out)
    content["settings"]["group_by"] = code
    (out / "certificate.json").write_bytes(render_certificate(seal_certificate(content)))
    with pytest.raises(SystemExit, match="is an expression and no column; nothing of it was run"):
        verify_release(str(out / "certificate.json"), model=str(out / "model.pt"), config_file=str(BUNDLE))


def shows_images(folder: Path) -> bool:
    """Tell whether the report shows cases; its charts are drawn in SVG."""
    return "data:image/" in (folder / "report.html").read_text()


def test_purging_deletes_what_knows_the_forget_cases_and_keeps_the_rest(
    settings: dict[str, Any], out: Path, finished: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (out / "notes.txt").write_text("the hospital's")
    (out / "state/theirs.pt").write_text("the hospital's")
    (out / "predictions/case_09").mkdir(parents=True)
    (out / "predictions/case_09/case_09_seg.nii.gz").write_text("the hospital's")
    run_bundle("purging", **settings)
    assert not any((out / name).exists() for name in PURGED)
    assert all((out / name).is_file() for name in (*KEPT, "report.html", "figures/case_losses.png", "notes.txt"))
    assert (out / "state/theirs.pt").read_text() == "the hospital's"
    assert (out / "predictions/case_09/case_09_seg.nii.gz").is_file()
    assert "2 files are where a run leaves what has to go, and no run of ours wrote them" in caplog.text
    assert "look at them yourself: predictions, state" in caplog.text
    content = certificate_of(out)
    assert content["manifest"]["purged"] is not None
    assert content["manifest"] == {
        key: value for key, value in json.loads((out / "manifest.json").read_text()).items() if key != "schema"
    }
    purged = {one["file"] for one in content["manifest"]["files"] if one["state"] == "purged"}
    assert set(PURGED) <= purged
    assert not (out / "figures/comparison.png").exists()
    assert shows_images(finished)
    assert not shows_images(out)
    assert "Unlearning report" in (out / "report.html").read_text()
    assert leaking(out) == []


def test_a_second_purging_has_nothing_to_do(
    settings: dict[str, Any], out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_bundle("purging", **settings)
    before = {path: path.read_bytes() for path in out.rglob("*.json")}
    with caplog.at_level(logging.INFO):
        run_bundle("purging", **settings)
    assert "there is nothing to purge" in caplog.text
    assert {path: path.read_bytes() for path in out.rglob("*.json")} == before


def test_purging_needs_no_data_any_more(settings: dict[str, Any], out: Path) -> None:
    run_bundle("purging", **settings | {"dataset_dir": "gone", "request": ["gone"]})
    assert not (out / "state").exists()


def test_the_teacher_goes_if_the_user_says_so(
    settings: dict[str, Any], out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_bundle("purging", **settings)
    assert "--purge_teacher True deletes it" in caplog.text
    run_bundle("purging", **settings, purge_teacher=True)
    assert not (out / "teacher").exists()
    assert (out / "model.pt").is_file()
    with pytest.raises(SystemExit, match="the result of 'teaching' was purged"):
        run_bundle("erasing", **settings)


@pytest.mark.parametrize("run_id", ["restoring", "auditing", "releasing"])
def test_a_phase_that_needs_what_is_gone_names_the_run_id_that_makes_it_again(
    settings: dict[str, Any], out: Path, run_id: str
) -> None:
    run_bundle("purging", **settings)
    with pytest.raises(SystemExit, match=r"the result of 'erasing' was purged.*the run id 'erasing' or 'run' makes it"):
        run_bundle(run_id, **settings)


def test_the_released_network_can_be_audited_after_purging_and_run_again(settings: dict[str, Any], out: Path) -> None:
    before = certificate_of(out)["figures"]["models"]
    run_bundle("purging", **settings)
    run_bundle("auditing", **settings, student_checkpoint=str(out / "model.pt"))
    assert certificate_of(out)["figures"]["models"]["student"]["forget"]["iou"] == pytest.approx(
        before["student"]["forget"]["iou"], abs=1e-4
    )
    run_bundle("run", **settings)
    assert certificate_of(out)["figures"]["models"] == before
    run_bundle("purging", **settings)
    assert not (out / "state").exists()


@pytest.mark.parametrize("moment", ["unlink", "_rewrite_report", "recertify_manifest"])
def test_a_purging_that_was_killed_is_finished_by_the_next_one(
    settings: dict[str, Any], out: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*arguments: Any, **settings: Any) -> None:
        raise Killed

    unlink, deleted = Path.unlink, []

    def delete_one(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".safetensors" and deleted:
            raise Killed
        deleted.append(path)
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        if moment == "unlink":
            patch.setattr(Path, "unlink", delete_one)
        else:
            patch.setattr(purging, moment, die)
        with pytest.raises(Killed):
            run_bundle("purging", **settings)
    with pytest.raises(SystemExit, match="was purged"):
        run_bundle("auditing", **settings)
    run_bundle("purging", **settings)
    assert not any((out / name).exists() for name in PURGED)
    manifest = json.loads((out / "manifest.json").read_text())
    assert set(PURGED) <= {one["file"] for one in manifest["files"] if one["state"] == "purged"}
    assert "being purged" not in {one["state"] for one in manifest["files"]}
    assert certificate_of(out)["manifest"]["files"] == manifest["files"]


def test_links_that_lead_out_of_the_folder_are_not_followed(
    settings: dict[str, Any], out: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(out / "state", elsewhere)
    (out / "state").symlink_to(elsewhere)
    (out / "figures/comparison.png").rename(tmp_path / "comparison.png")
    (out / "figures/comparison.png").symlink_to(tmp_path / "comparison.png")
    run_bundle("purging", **settings)
    assert (elsewhere / "erased/adapter_model.safetensors").is_file()
    assert (tmp_path / "comparison.png").is_file()
    assert not shows_images(out)


def test_a_name_in_the_record_that_leads_out_of_the_folder_deletes_nothing(
    settings: dict[str, Any], out: Path, tmp_path: Path
) -> None:
    (tmp_path / "precious.pt").write_text("x")
    record = json.loads((out / "phases.json").read_text())
    record["claimed"]["files"] |= {"state/../../precious.pt": "", str(tmp_path / "precious.pt"): ""}
    (out / "phases.json").write_text(json.dumps(record))
    run_bundle("purging", **settings)
    assert (tmp_path / "precious.pt").is_file()


def test_nothing_is_purged_before_something_is_released(settings: dict[str, Any], out: Path, tmp_path: Path) -> None:
    (out / "model.pt").unlink()
    with pytest.raises(SystemExit, match=r"holds no released network.*'releasing' first"):
        run_bundle("purging", **settings)
    assert (out / PURGED[0]).is_file()
    with pytest.raises(SystemExit, match="is no output_dir of a run"):
        run_bundle("purging", **settings | {"output_dir": str(tmp_path / "nowhere")})
    assert not (tmp_path / "nowhere").exists()


def test_nothing_is_purged_that_was_erased_again_and_not_released(settings: dict[str, Any], out: Path) -> None:
    run_bundle("erasing", **settings | {"request": ["case_06"]})
    with pytest.raises(SystemExit, match=r"what 'erasing' left in .* is not what was released.*'releasing' first"):
        run_bundle("purging", **settings)
    assert (out / PURGED[0]).is_file()


def test_a_certificate_that_was_changed_is_not_sealed_again(settings: dict[str, Any], out: Path) -> None:
    path = out / "certificate.json"
    forged = path.read_bytes().replace(b'"grade": "reversible"', b'"grade": "permanent"')
    path.write_bytes(forged)
    run_bundle("purging", **settings)
    assert path.read_bytes() == forged


@pytest.mark.parametrize("wanted", ["retain", "none"])
def test_the_report_shows_no_images_that_are_not_wanted(
    settings: dict[str, Any], out: Path, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    draw = figures.draw_comparison
    monkeypatch.setattr(
        figures, "draw_comparison", lambda rows, **more: shown.extend(row.subset for row in rows) or draw(rows, **more)
    )
    run_bundle("auditing", **settings, report_images=wanted)
    assert set(shown) == ({"retain"} if wanted == "retain" else set())
    assert (out / "figures/comparison.png").exists() == (wanted == "retain")
    run_bundle("purging", **settings, report_images=wanted)
    assert (out / "figures/comparison.png").exists() == (wanted == "retain")


def test_a_folder_that_cannot_be_written_to_is_named(settings: dict[str, Any], out: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(SystemExit, match="cannot write to the output_dir"):
        run_bundle("purging", **settings)
