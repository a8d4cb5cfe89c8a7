"""What a user's own bundle leaves behind: one certificate per network and one over all, and what purging deletes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_unlearn.__main__ import verify_release
from monai_unlearn.audit import is_sealed, read_certificate
from monai_unlearn.files import sha256_of

from .zoo import OVERLAY, own_network, unlearn, write_bundle

pytestmark = pytest.mark.usefixtures("quiet_logging")


def small(config: dict[str, Any]) -> None:
    config["network_def"].update(_target_="DenseNet", init_features=4, growth_rate=4, block_config=[1, 1])


@pytest.fixture
def folds(tmp_path: Path) -> tuple[Path, list[str]]:
    """A bundle, and the weights of two networks of it."""
    config = write_bundle(tmp_path / "bundle", "densenet", change=small)
    paths = [str(tmp_path / f"fold_{number}.pt") for number in range(2)]
    for path in paths:
        torch.save(own_network(config).state_dict(), path)
    return config, paths


def test_an_ensemble_gets_a_certificate_for_each_network_and_one_over_all(
    folds: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, paths = folds
    out = tmp_path / "out"
    unlearn(config, out, request=["case_01"], teacher_checkpoint=paths)
    content, raw = read_certificate(out / "certificate.json")
    assert is_sealed(content, raw)
    assert [one["folder"] for one in content["networks"]] == ["network_0", "network_1"]
    for number, one in enumerate(content["networks"]):
        own = read_certificate(out / f"network_{number}" / "certificate.json")[0]
        assert one["certificate"] == sha256_of(out / f"network_{number}" / "certificate.json")
        assert own["sha256"]["model"] == one["model"] == sha256_of(out / f"network_{number}" / "model.pt")
        assert own["sha256"]["teacher"] == sha256_of(paths[number])
        assert not own["teacher_trained_here"]
    verify_release(str(out / "certificate.json"))
    assert "DIFFERS" not in capsys.readouterr().out

    for path in paths:
        Path(path).rename(f"{path}.archived")  # the teachers may be gone by the time of purging
    Path(f"{paths[0]}.archived").rename(paths[0])
    unlearn(config, out, run_id="purging", request=["case_01"], teacher_checkpoint=paths[:1] * 2)
    assert not list(out.rglob("state"))
    assert not list(out.rglob("checkpoints"))
    after = read_certificate(out / "certificate.json")[0]
    assert after["seal"] != content["seal"]
    verify_release(str(out / "certificate.json"))
    (out / "network_1" / "certificate.json").unlink()
    with pytest.raises(SystemExit):
        verify_release(str(out / "certificate.json"))


def test_somebody_elses_file_in_the_place_of_the_certificate_is_left(
    folds: tuple[Path, list[str]], tmp_path: Path
) -> None:
    config, paths = folds
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "certificate.json").write_text("of birth")
    with pytest.raises((SystemExit, RuntimeError), match="is no certificate of ours"):
        unlearn(config, tmp_path / "out", request=["case_01"], teacher_checkpoint=paths)
    assert (tmp_path / "out" / "certificate.json").read_text() == "of birth"


@pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")  # MONAI's word on configs of strangers
@pytest.mark.filterwarnings("ignore:Can't merge entry:UserWarning")
def test_what_a_bundles_own_components_wrote_is_purged_and_its_figures_verify(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def saving(config: dict[str, Any]) -> None:
        config["validate"]["handlers"].append(
            {"_target_": "MetricsSaver", "save_dir": "@output_dir", "batch_transform": "$lambda batch: None"}
        )

    config = write_bundle(tmp_path / "bundle", "segresnet", change=saving)
    out = tmp_path / "out"
    unlearn(config, out, request=["case_01"])
    assert list((out / "cache").rglob("*.pt"))
    assert list((out / "checkpoints").rglob("*.pt"))
    assert list((out / "handlers").rglob("*"))
    verify_release(
        str(out / "certificate.json"),
        config_file=[str(config), str(OVERLAY)],
        model=str(out / "model.pt"),
        request=["case_01"],
        salt=str(out / "salt.key"),
    )
    said = capsys.readouterr().out
    assert "DIFFERS" not in said
    assert "student.forget.iou: within" in said
    (out / "cache" / "later.pt").write_text("the hospital's")
    unlearn(config, out, run_id="purging", request=["case_01"])
    assert [path.name for path in (out / "cache").rglob("*")] == ["later.pt"]
    assert not (out / "checkpoints").exists()
    assert not (out / "handlers").exists()
    files = {one["file"]: one for one in json.loads((out / "manifest.json").read_text())["files"]}
    assert files["checkpoints/"]["state"] == "purged"
    assert "case_01" not in (out / "phases.json").read_text()
