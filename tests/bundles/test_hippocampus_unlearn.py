"""``bundles/hippocampus_unlearn.json`` on tiny volumes: patients, a class, phantoms, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out
from monai.networks.nets import UNet

from monai_unlearn.data import SUBSETS, write_volume_phantoms

from .conftest import ROOT

BUNDLE = ROOT / "bundles" / "hippocampus_unlearn.json"
METADATA = ROOT / "bundles" / "metadata" / "hippocampus_unlearn.json"


def workflow(run_id: str, **settings: Any) -> ConfigWorkflow:
    made = ConfigWorkflow(
        config_file=str(BUNDLE),
        meta_file=str(METADATA),
        logging_file=False,
        run_id=run_id,
        workflow_type="train",
        **settings,
    )
    made.initialize()
    return made


def run(run_id: str, **settings: Any) -> None:
    made = workflow(run_id, **settings)
    made.run()
    made.finalize()


def settings_for(volumes: Path | None, out: Path) -> dict[str, Any]:
    return {
        "dataset_dir": None if volumes is None else str(volumes),
        "output_dir": str(out),
        "device": "cpu",
        "image_size": [16, 20, 16],
        "request": 0.2,
        "rank": 2,
        "tier": "none",
        "network_def#channels": [4, 8],
        "network_def#strides": [2],
        "train#trainer#max_epochs": 2,
        "erase#trainer#max_epochs": 2,
        "erase#sampler#batch_size": 4,
        "erase#sampler#forget_per_batch": 1,
    }


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_volume_phantoms(tmp_path_factory.mktemp("volumes") / "set", count=16, size=(16, 20, 16))


@pytest.fixture(scope="module")
def finished(volumes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of one whole run with an oracle; tests must not change it."""
    out = tmp_path_factory.mktemp("finished") / "out"
    run("run", **settings_for(volumes, out), oracle="train")
    return out


def network() -> UNet:
    return UNet(
        spatial_dims=3, in_channels=1, out_channels=3, channels=(4, 8), strides=(2,), num_res_units=2, norm="batch"
    )


@pytest.mark.parametrize(
    "name",
    [
        *("partition.json", "salt.key", "model.pt", "audit.json", "report.html", "metrics.csv", "run.log"),
        *("adapter/adapter_model.safetensors", "adapter/adapter_config.json", "figures/comparison.png"),
        *("teacher/model.pt", "oracle/model.pt"),
    ],
)
def test_a_run_leaves_what_the_contract_names(finished: Path, name: str) -> None:
    assert (finished / name).stat().st_size > 0


def test_the_merged_checkpoint_loads_strictly_into_the_original_class(finished: Path) -> None:
    network().load_state_dict(torch.load(finished / "model.pt", weights_only=True), strict=True)


def test_the_audit_holds_both_parts_of_every_subset_of_every_model(finished: Path) -> None:
    audit = json.loads((finished / "audit.json").read_text())
    assert (audit["data"]["forget"], audit["data"]["retain"]) == (3, 10)
    assert audit["reversible"] == {"max_abs_difference": 0.0}
    for model in ("teacher", "student", "oracle"):
        for subset in SUBSETS:
            figures = audit["models"][model][subset]
            assert figures["n"] == audit["data"][subset]
            assert len(figures["dice_per_class"]) == 2
            assert figures["dice"] == pytest.approx(np.mean(figures["dice_per_class"]))


def test_the_report_shows_a_slice_of_volumes(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert len(re.findall(r'aria-label="Case [0-9a-f]{8}, (?:retain|forget): how much', page)) >= 4
    assert {(int(width), int(height)) for width, height in re.findall(r'width="(\d+)" height="(\d+)"', page)} == {
        (20, 16)
    }


def test_no_written_text_names_a_patient(finished: Path) -> None:
    texts = [path for path in finished.rglob("*") if path.suffix in (".json", ".csv", ".log", ".html", ".key")]
    assert len(texts) >= 6
    for path in texts:
        assert b"PHANTOM_0" not in path.read_bytes(), path


@pytest.mark.parametrize("scope", ["adapters", "weights"])
def test_the_posterior_part_is_forgotten_as_a_class(finished: Path, volumes: Path, tmp_path: Path, scope: str) -> None:
    """Every volume has the class: there is no retain case, and nothing for restore to do."""
    request = tmp_path / "request.yaml"
    request.write_text("classes: [posterior]\n")
    out = tmp_path / "out"
    settings = settings_for(volumes, out) | {
        "request": str(request),
        "scope": scope,
        "teacher_checkpoint": str(finished / "teacher/model.pt"),
        "erase#trainer#max_epochs": 8,
        "erase#optimizer#lr": 0.02,
    }
    run("run", **settings)
    audit = json.loads((out / "audit.json").read_text())
    assert audit["request"]["classes"] == [2]
    assert (audit["data"]["forget"], audit["data"]["retain"]) == (13, 0)
    losses = (out / "metrics.csv").read_text()
    assert "forget_class" in losses
    volume = torch.zeros(1, 1, 16, 20, 16)
    teacher, student = network(), network()
    teacher.load_state_dict(torch.load(finished / "teacher/model.pt", weights_only=True))
    student.load_state_dict(torch.load(out / "model.pt", weights_only=True))
    with torch.no_grad():
        posterior = [net.eval()(volume).softmax(1)[:, 2].mean().item() for net in (teacher, student)]
    assert posterior[1] < 0.5 * posterior[0]


def test_suppress_runs(finished: Path, volumes: Path, tmp_path: Path) -> None:
    teacher = str(finished / "teacher/model.pt")
    run("run", **settings_for(volumes, tmp_path / "out"), teacher_checkpoint=teacher, erasure="suppress")
    rows = (tmp_path / "out" / "metrics.csv").read_text()
    assert "suppress" in rows


def test_without_dataset_dir_phantoms_of_the_input_size_are_made(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("teaching", **settings_for(None, out) | {"max_cases": 12, "train#trainer#max_epochs": 1})
    assert (out / "teacher/model.pt").is_file()
    assert len(list((out / "phantom").rglob("images/*.nii.gz"))) == 80


def test_one_number_as_image_size_means_a_cube(volumes: Path, tmp_path: Path) -> None:
    made = workflow("teaching", **settings_for(volumes, tmp_path / "out") | {"image_size": 16})
    assert made.parser.get_parsed_content("example_input").shape == (1, 1, 16, 16, 16)
    assert made.parser.get_parsed_content("cases")[0]["image"].shape == (1, 16, 16, 16)


def test_intensities_are_normalised_volume_by_volume(volumes: Path, tmp_path: Path) -> None:
    made = workflow("teaching", **settings_for(volumes, tmp_path / "out") | {"image_size": [20, 24, 20]})
    raw = [nib.load(path).get_fdata().std() for path in sorted((volumes / "images").iterdir())]
    assert max(raw) > 100 * min(raw)
    for item in made.parser.get_parsed_content("cases"):
        inside = item["image"][item["image"] != 0]
        assert inside.mean().item() == pytest.approx(0, abs=1e-3)
        assert inside.std().item() == pytest.approx(1, rel=1e-2)


def test_mixed_orientations_end_the_run_before_anything_is_written(volumes: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(volumes, tmp_path / "set")
    for kind in ("images", "labels"):
        path = folder / kind / "PHANTOM_0003.nii.gz"
        voxels = np.asanyarray(nib.load(path).dataobj)
        nib.save(nib.Nifti1Image(voxels, np.diag([-1.0, 1.0, 1.0, 1.0])), path)
    with pytest.raises(SystemExit, match=r"mixed orientations: .* is (RAS|LAS)"):
        run("run", **settings_for(folder, tmp_path / "out"))
    assert not (tmp_path / "out" / "teacher").exists()


def test_a_truncated_volume_ends_the_run_before_anything_is_written(volumes: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(volumes, tmp_path / "set")
    path = folder / "images" / "PHANTOM_0003.nii.gz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(SystemExit, match=r"the volume .*PHANTOM_0003\.nii\.gz is truncated or damaged"):
        run("run", **settings_for(folder, tmp_path / "out"))
    assert not (tmp_path / "out" / "teacher").exists()


def test_a_patient_who_is_not_there_is_an_error_that_names_the_nearest(volumes: Path, tmp_path: Path) -> None:
    request = tmp_path / "request.yaml"
    request.write_text("patients: [PHANTOM_9999]\n")
    with pytest.raises(SystemExit, match="PHANTOM_9999"):
        run("run", **settings_for(volumes, tmp_path / "out") | {"request": str(request)})


def test_every_property_that_monai_asks_of_a_training_bundle_is_there(volumes: Path, tmp_path: Path) -> None:
    assert workflow("run", **settings_for(volumes, tmp_path / "out")).check_properties() == []


def test_the_metadata_passes_monais_check_against_a_local_schema(tmp_path: Path) -> None:
    schema = shutil.copy(Path(__file__).with_name("metadata_schema.json"), tmp_path / "schema.json")
    with pytest.warns(UserWarning, match="No hash value provided"):  # the schema is there already, nothing is fetched
        verify_metadata(meta_file=str(METADATA), filepath=schema)


def test_the_metadata_name_the_pinned_versions() -> None:
    metadata = json.loads(METADATA.read_text())
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert metadata["monai_version"] == pins["monai"]
    assert metadata["pytorch_version"] == pins["torch"]
    assert metadata["required_packages_version"]["peft"] == pins["peft"]


def test_the_network_takes_and_gives_what_the_metadata_say() -> None:
    verify_net_in_out(net_id="network_def", meta_file=str(METADATA), config_file=str(BUNDLE), device="cpu")
