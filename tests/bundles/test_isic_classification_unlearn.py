"""``bundles/isic_classification_unlearn.json`` on tiny phantoms: cases, a class and a site are forgotten."""

from __future__ import annotations

import csv
import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out
from monai.networks.nets import ResNet

from monai_unlearn.data import LESION_CLASSES, SUBSETS, write_class_phantoms
from monai_unlearn.networks import load_adapter

from .conftest import ROOT, run_bundle

BUNDLE = ROOT / "bundles" / "isic_classification_unlearn.json"
METADATA = ROOT / "bundles" / "metadata" / "isic_classification_unlearn.json"


def network() -> ResNet:
    return ResNet(
        block="basic",
        layers=[1, 1, 1, 1],
        block_inplanes=[4, 4, 8, 8],
        spatial_dims=2,
        n_input_channels=3,
        conv1_t_size=5,
        conv1_t_stride=2,
        num_classes=7,
    )


def load(path: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(path, weights_only=True))


def read_audit(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "audit.json").read_text()))


def run(run_id: str, **settings: Any) -> None:
    run_bundle(run_id, str(BUNDLE), **settings)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_class_phantoms(tmp_path_factory.mktemp("images") / "set", count=60, size=16)


def settings_for(images: Path, out: Path) -> dict[str, Any]:
    return {
        "dataset_dir": str(images),
        "output_dir": str(out),
        "device": "cpu",
        "image_size": 16,
        "request": 0.2,
        "rank": 2,
        "tier": "none",
        "network_def#block_inplanes": [4, 4, 8, 8],
        "train#trainer#max_epochs": 2,
        "erase#trainer#max_epochs": 1,
        "erase#sampler#batch_size": 12,
        "erase#sampler#forget_per_batch": 4,
    }


@pytest.fixture(scope="module")
def finished(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of one whole run with an oracle; tests must not change it."""
    out = tmp_path_factory.mktemp("finished") / "out"
    run("run", **settings_for(images, out), oracle="train")
    return out


@pytest.mark.parametrize(
    "name",
    [
        "partition.json",
        "adapter/adapter_model.safetensors",
        "model.pt",
        "audit.json",
        "report.html",
        "figures/class_bars.png",
        "figures/loss_attack.png",
        "oracle/model.pt",
    ],
)
def test_a_run_leaves_what_the_contract_names(finished: Path, name: str) -> None:
    assert (finished / name).stat().st_size > 0


def test_the_merged_checkpoint_loads_strictly_and_is_the_teacher_with_the_adapter(finished: Path) -> None:
    teacher, merged = network(), network()
    teacher.load_state_dict(load(finished / "teacher/model.pt"), strict=True)
    merged.load_state_dict(load(finished / "model.pt"), strict=True)
    student = load_adapter(teacher, finished / "adapter")
    image = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.allclose(student.eval()(image), merged.eval()(image), atol=1e-5)


def test_adapters_off_is_the_teacher_exactly(finished: Path) -> None:
    assert read_audit(finished)["reversible"] == {"max_abs_difference": 0.0}


def test_the_audit_holds_accuracy_and_f1_of_every_subset_of_every_model(finished: Path, images: Path) -> None:
    audit = read_audit(finished)
    assert audit["data"]["class_names"] == list(LESION_CLASSES)
    with (images / "labels.csv").open() as file:
        trained = [row["dx"] for row in csv.DictReader(file) if row["split"] == "train"]
    assert audit["data"]["forget"] + audit["data"]["retain"] == len(trained)
    for model in ("teacher", "student", "oracle"):
        for subset in SUBSETS:
            figures = audit["models"][model][subset]
            assert figures["n"] == audit["data"][subset]
            assert 0 <= figures["accuracy"] <= 1
            present = [value for value in figures["f1_per_class"] if value is not None]
            assert figures["f1_macro"] == pytest.approx(sum(present) / len(present))


def test_the_report_shows_cases_with_the_probability_of_every_class(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    shown = re.findall(r'alt="Image of case [0-9a-f]{8}, (\w+), truly (\w+)"', page)
    assert [subset for subset, _ in shown] == ["retain"] * 3 + ["forget"] * 3
    assert {label for _, label in shown} <= set(LESION_CLASSES)
    assert page.count("(true)") == 6


def test_no_written_text_names_a_case_or_a_lesion(finished: Path) -> None:
    texts = [path for path in finished.rglob("*") if path.suffix in (".json", ".csv", ".log", ".html", ".key")]
    assert len(texts) >= 6
    for path in texts:
        assert b"PHANTOM_0" not in path.read_bytes(), path
        assert b"PHANTOM_LESION" not in path.read_bytes(), path


def test_a_class_is_forgotten_on_request_by_its_name(finished: Path, images: Path, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(json.dumps({"classes": ["bkl"], "reason": "wrong labels"}))
    settings = settings_for(images, tmp_path / "out") | {
        "request": str(tmp_path / "request.json"),
        "teacher_checkpoint": str(finished / "teacher/model.pt"),
        "oracle": "train",
        "scope": "weights",
        "erase#trainer#max_epochs": 8,
        "erase#optimizer#lr": 0.02,
        "restore#trainer#max_epochs": 0,
    }
    run("run", **settings)
    audit = read_audit(tmp_path / "out")
    label = LESION_CLASSES.index("bkl")
    assert audit["request"]["classes"] == [label]
    with (images / "labels.csv").open() as file:
        trained = [row for row in csv.DictReader(file) if row["split"] == "train"]
    assert audit["data"]["forget"] == sum(row["dx"] == "bkl" for row in trained)
    for model in ("student", "oracle"):
        figures = audit["models"][model]["forget"]
        assert [value for value in figures["f1_per_class"] if value is not None] == [figures["f1_per_class"][label]]
    taught, learnt = network().eval(), network().eval()
    taught.load_state_dict(load(finished / "teacher/model.pt"))
    learnt.load_state_dict(load(tmp_path / "out" / "model.pt"))
    image = torch.rand(16, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        before, after = (model(image).softmax(dim=1)[:, label].mean() for model in (taught, learnt))
    assert after < before / 2


def test_a_site_is_forgotten_on_request(finished: Path, images: Path, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(json.dumps({"where": 'source == "north"'}))
    settings = settings_for(images, tmp_path / "out") | {
        "request": str(tmp_path / "request.json"),
        "teacher_checkpoint": str(finished / "teacher/model.pt"),
        "erasure": "suppress",
    }
    run("run", **settings)
    with (images / "labels.csv").open() as file:
        trained = [row for row in csv.DictReader(file) if row["split"] == "train"]
    assert read_audit(tmp_path / "out")["data"]["forget"] == sum(row["source"] == "north" for row in trained) > 0


def test_a_second_run_does_nothing_and_says_so(
    finished: Path, images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = shutil.copytree(finished, tmp_path / "out")
    with caplog.at_level(logging.INFO):
        run("run", **settings_for(images, out), oracle="train")
    assert caplog.text.count("stands already") == 6


def test_another_label_of_a_case_is_another_input(
    finished: Path, images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A class index is no file with a size and a time of change; it counts all the same."""
    out, moved = shutil.copytree(finished, tmp_path / "out"), shutil.copytree(images, tmp_path / "set")
    lines = (moved / "labels.csv").read_text().splitlines()
    number, line = next((number, line) for number, line in enumerate(lines) if ",nv," in line and ",train" in line)
    lines[number] = line.replace(",nv,", ",mel,")
    (moved / "labels.csv").write_text("\n".join(lines) + "\n")
    with caplog.at_level(logging.INFO):
        run("teaching", **settings_for(moved, out))
    assert "stands already" not in caplog.text


def test_a_damaged_image_is_named_before_anything_is_trained(images: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(images, tmp_path / "set")
    path = damaged / "images" / "PHANTOM_0007.jpg"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SystemExit, match=r"PHANTOM_0007\.jpg is damaged"):
        run("run", **settings_for(damaged, tmp_path / "out"))
    assert not (tmp_path / "out" / "teacher").exists()


def test_the_metadata_passes_monais_check_and_says_what_the_network_takes_and_gives(
    images: Path, tmp_path: Path
) -> None:
    schema = shutil.copy(Path(__file__).with_name("metadata_schema.json"), tmp_path / "schema.json")
    with pytest.warns(UserWarning, match="No hash value provided"):  # the schema is there already, nothing is fetched
        verify_metadata(meta_file=str(METADATA), filepath=schema)
    metadata = json.loads(METADATA.read_text())
    channels = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    assert tuple(channels.values()) == LESION_CLASSES
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(METADATA),
        config_file=str(BUNDLE),
        device="cpu",
        dataset_dir=str(images),
        output_dir=str(tmp_path / "out"),
    )


def test_every_property_that_monai_asks_of_a_training_bundle_is_there(images: Path, tmp_path: Path) -> None:
    made = ConfigWorkflow(
        config_file=str(BUNDLE),
        meta_file=str(METADATA),
        logging_file=False,
        workflow_type="train",
        **settings_for(images, tmp_path / "out"),
    )
    made.initialize()
    assert made.check_properties() == []


def test_a_class_request_and_cycles_do_not_go_together(images: Path, tmp_path: Path) -> None:
    request = {"classes": ["bkl"], "reason": "wrong labels"}
    settings = settings_for(images, tmp_path / "out") | {"request": request, "scope": "weights", "erasure": "cycle"}
    with pytest.raises(SystemExit, match="would teach unlearned classes again"):
        run("erasing", **settings)
