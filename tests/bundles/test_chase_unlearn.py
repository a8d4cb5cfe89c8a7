"""The whole of ``bundles/chase_unlearn.json`` on tiny phantoms: patches, sliding window, children, observers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out
from monai.networks.nets import UNet

from monai_unlearn.data import SUBSETS, write_vessel_phantoms
from monai_unlearn.networks import load_adapter

from .conftest import ROOT, run_bundle

BUNDLE = ROOT / "bundles" / "chase_unlearn.json"
METADATA = ROOT / "bundles" / "metadata" / "chase_unlearn.json"


def network() -> UNet:
    return UNet(
        spatial_dims=2, in_channels=3, out_channels=1, channels=(4, 8), strides=(2,), num_res_units=2, norm="batch"
    )


def load(path: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(path, weights_only=True))


def read_audit(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "audit.json").read_text()))


def run(run_id: str, **settings: Any) -> None:
    run_bundle(run_id, str(BUNDLE), **settings)


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vessel_phantoms(tmp_path_factory.mktemp("eyes") / "set", children=12, size=64)


def settings_for(eyes: Path, out: Path) -> dict[str, Any]:
    return {
        "dataset_dir": str(eyes),
        "output_dir": str(out),
        "device": "cpu",
        "image_size": 16,
        "rank": 2,
        "network_def#channels": [4, 8],
        "network_def#strides": [2],
        "train#trainer#max_epochs": 2,
        "erase#trainer#max_epochs": 2,
    }


@pytest.fixture(scope="module")
def finished(eyes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of one whole run with an oracle; tests must not change it."""
    out = tmp_path_factory.mktemp("finished") / "out"
    run("run", **settings_for(eyes, out), oracle="train")
    return out


@pytest.mark.parametrize(
    "name",
    [
        "partition.json",
        "adapter/adapter_model.safetensors",
        "model.pt",
        "audit.json",
        "report.html",
        "figures/comparison.png",
        "oracle/model.pt",
    ],
)
def test_a_run_leaves_what_the_contract_names(finished: Path, name: str) -> None:
    assert (finished / name).stat().st_size > 0


def test_one_child_of_ten_is_forgotten_with_both_eyes(finished: Path) -> None:
    data = read_audit(finished)["data"]
    assert {name: data[name] for name in SUBSETS} == {"forget": 2, "retain": 18, "reference": 2, "unseen": 2}


def test_the_audit_measures_whole_images_and_not_patches(finished: Path, eyes: Path, tmp_path: Path) -> None:
    """The teacher's scores are those of a sliding window over the image, whose side is three patches long."""
    made = ConfigWorkflow(
        config_file=str(BUNDLE),
        meta_file=str(METADATA),
        logging_file=False,
        workflow_type="train",
        **settings_for(eyes, tmp_path / "out"),
    )
    made.initialize()
    unseen, images = made.parser.get_parsed_content("partition").unseen, made.parser.get_parsed_content("audit#dataset")
    teacher = network().eval()
    teacher.load_state_dict(load(finished / "teacher/model.pt"))
    overlaps = []
    for case in unseen:
        item = images[images.ids.index(case["id"])]
        side = made.parser.get_parsed_content("picture_size")
        assert item["image"].shape == (3, side, side)
        assert side == 3 * made.parser.get_parsed_content("image_size")
        with torch.no_grad():
            marked = made.parser.get_parsed_content("validate#inferer")(item["image"][None], teacher)[0] > 0
        truth = item["label"] > 0.5
        overlaps.append(float((marked & truth).sum() / (marked | truth).sum()))
    audited = read_audit(finished)["models"]["teacher"]["unseen"]["iou"]
    assert audited == pytest.approx(sum(overlaps) / len(overlaps), abs=1e-5)


def test_adapters_off_is_the_teacher_exactly(finished: Path) -> None:
    assert read_audit(finished)["reversible"] == {"max_abs_difference": 0.0}


def test_the_merged_checkpoint_loads_strictly_and_is_the_teacher_with_the_adapter(finished: Path) -> None:
    teacher, merged = network(), network()
    teacher.load_state_dict(load(finished / "teacher/model.pt"), strict=True)
    merged.load_state_dict(load(finished / "model.pt"), strict=True)
    student = load_adapter(teacher, finished / "adapter")
    image = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.allclose(student.eval()(image), merged.eval()(image), atol=1e-5)


def test_no_written_text_names_an_image(finished: Path) -> None:
    texts = [path for path in finished.rglob("*") if path.suffix in (".json", ".csv", ".log", ".html", ".key")]
    assert len(texts) >= 6
    for path in texts:
        assert b"PHANTOM_" not in path.read_bytes(), path


def test_a_child_is_forgotten_by_name_and_pushed_to_background(finished: Path, eyes: Path, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(json.dumps({"patients": ["07"], "reason": "consent withdrawn"}))
    settings = settings_for(eyes, tmp_path / "out") | {
        "request": str(tmp_path / "request.json"),
        "teacher_checkpoint": str(finished / "teacher/model.pt"),
        "erasure": "suppress",
        "erase#trainer#max_epochs": 4,
        "erase#optimizer#lr": 0.02,
    }
    run("run", **settings)
    audit = read_audit(tmp_path / "out")
    rows = {case["row"] for case in json.loads((tmp_path / "out/partition.json").read_text())["subsets"]["forget"]}
    assert rows == {12, 13}  # the seventh child of those in order, left and right
    assert audit["models"]["student"]["forget"]["iou"] < audit["models"]["teacher"]["forget"]["iou"] / 2


@pytest.mark.parametrize(("erasure", "kinds"), [("suppress", ["retain", "reference"]), ("calibrate", [])])
def test_suppress_is_taught_beside_look_alikes_of_other_cases(
    finished: Path, eyes: Path, tmp_path: Path, erasure: str, kinds: list[str]
) -> None:
    """They are held and never learned from; no unseen case is among them, and no case to forget."""
    made = ConfigWorkflow(
        config_file=str(BUNDLE),
        meta_file=str(METADATA),
        logging_file=False,
        workflow_type="train",
        **settings_for(eyes, tmp_path / "out") | {"erasure": erasure},
    )
    made.initialize()
    partition, cases = (made.parser.get_parsed_content(name) for name in ("partition", "erase#dataset"))
    likened = 2 * [case for kind in kinds for case in partition.subset(kind)]
    assert cases.ids[20:] == tuple(f"look-alike of {case['id']}" for case in likened)
    assert cases.held_indices == tuple(range(20, len(cases)))
    assert len(cases.retain_indices) == 18
    whole = made.parser.get_parsed_content("audit#dataset")
    for index, case in zip(cases.held_indices, likened, strict=True):
        crops, label = cases[index], whole[whole.ids.index(case["id"])]["label"]
        windows = label.unfold(1, 16, 1).unfold(2, 16, 1).flatten(1, 2)[0]
        assert all((windows == crop["label"][0]).all(dim=(1, 2)).any() for crop in crops)


def test_one_observer_is_forgotten_where_both_are_listed(finished: Path, eyes: Path, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(json.dumps({"raters": ["2ndHO"], "whole_patients": False}))
    settings = settings_for(eyes, tmp_path / "out") | {
        "request": str(tmp_path / "request.json"),
        "observer": "both",
        "teacher_checkpoint": str(finished / "teacher/model.pt"),
        "erase#trainer#max_epochs": 1,
    }
    run("run", **settings)
    data = read_audit(tmp_path / "out")["data"]
    assert (data["forget"], data["retain"]) == (20, 20)


def test_a_damaged_image_is_named_before_anything_is_trained(eyes: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(eyes, tmp_path / "set")
    path = damaged / "images" / "PHANTOM_07L.jpg"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SystemExit, match=r"PHANTOM_07L\.jpg is damaged"):
        run("run", **settings_for(damaged, tmp_path / "out"))
    assert not (tmp_path / "out" / "teacher").exists()


def test_a_misspelt_observer_is_refused_with_the_names_there_are(eyes: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="'observer' is one of 1stHO, 2ndHO, both"):
        run("teaching", **settings_for(eyes, tmp_path / "out"), observer="first")


def test_without_a_folder_phantoms_of_twice_the_patch_are_made(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, tmp_path / "out") | {"train#trainer#max_epochs": 1}
    del settings["dataset_dir"]
    run("teaching", **settings)
    assert len(list((tmp_path / "out/phantom/size32_seed0/images").iterdir())) == 28
    assert (tmp_path / "out/teacher/model.pt").is_file()


def test_the_metadata_passes_monais_check_and_fits_the_network(eyes: Path, tmp_path: Path) -> None:
    schema = shutil.copy(Path(__file__).with_name("metadata_schema.json"), tmp_path / "schema.json")
    with pytest.warns(UserWarning, match="No hash value provided"):  # the schema is there already, nothing is fetched
        verify_metadata(meta_file=str(METADATA), filepath=schema)
    settings = settings_for(eyes, tmp_path / "out")
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(METADATA),
        config_file=str(BUNDLE),
        device="cpu",
        **{key: value for key, value in settings.items() if key.startswith("network_def")},
    )


def test_every_property_that_monai_asks_of_a_training_bundle_is_there(eyes: Path, tmp_path: Path) -> None:
    made = ConfigWorkflow(
        config_file=str(BUNDLE),
        meta_file=str(METADATA),
        logging_file=False,
        workflow_type="train",
        **settings_for(eyes, tmp_path / "out"),
    )
    made.initialize()
    assert made.check_properties() == []
